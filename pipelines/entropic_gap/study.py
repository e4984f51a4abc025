"""The study of the entropic penalty: measurements beside proven bounds.

The bounds, theorems and propositions are those of Weed (2018), An explicit analysis of
the entropic penalty in linear programming; eta is 1 / temperature.
"""

import math
import os
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

import sinkhorn_tf as st
from pipelines.entropic_gap import figures
from pipelines.shared import datasets, lists, machine, options
from pipelines.shared.errors import UserError
from pipelines.shared.files import write_json
from pipelines.shared.plain_paths import plain_path
from pipelines.shared.puzzles import batches
from pipelines.shared.training import metrics_file, run_directory

# The suboptimality that is asked for on the matrix of theorem 2.
EPSILON = 0.25
# The accuracy for networks, a share of the gain of the best permutation over the mean.
ACCURACY = 0.01
# N of the random assignment problems.
RANDOM_SIZE = 20


class Curve(NamedTuple):
    """One linear program, whose suboptimality is drawn against eta.

    Attributes:
        gap: The difference in cost of the second-best vertex and the best.
        radii: `(R1, RH)` of the polytope, its l1 radius and its entropic radius.
        measure: Function of an array of etas to suboptimalities.
        lower: Function of an array of etas to a lower bound; None if none is proven.
    """

    gap: float
    radii: tuple[float, float]
    measure: Callable[[np.ndarray], np.ndarray]
    lower: Callable[[np.ndarray], np.ndarray] | None = None


def run(config):
    """Measures, prints and draws; leaves `metrics.json` and `entropic_gap.png`.

    Args:
        config: `EntropicGapConfig`.
    """
    started = time.monotonic()
    # TensorFlow would warn of functions that are traced for each size of problem.
    tf.get_logger().setLevel("ERROR")
    run_directory.make(config.workdir)
    curves = {"simplex, d = 100": simplex_curve(100)}
    curves["Theorem 2, n = 100"] = theorem_2_curve(100)
    random, more = random_problems(config)
    curves |= more
    theorem = [theorem_2(n) for n in config.sizes]
    networks, more = trained_networks(config)
    curves |= more
    scores = {
        "theorem_2": theorem,
        "random": random,
        "networks": networks,
        "seconds": time.monotonic() - started,
        "flags": options.values(config),
        "versions": metrics_file.versions(),
        "processor": machine.processor(),
    }
    metrics = os.path.join(config.workdir, "metrics.json")
    picture = os.path.join(config.workdir, "entropic_gap.png")
    write_json(metrics, scores)
    figures.draw(picture, {k: sampled(v) for k, v in curves.items()}, theorem)
    print_tables(scores)
    print(f"Metrics: {metrics}\nPicture: {picture}")


def random_problems(config):
    """Random assignment problems of two kinds.

    Args:
        config: `EntropicGapConfig`.

    Returns:
        Dict of a kind to its `random_scores`, and dict of a title to the `Curve` of the
        problem with the median gap.
    """
    rng = np.random.default_rng(config.seed)
    shape = (config.instances, RANDOM_SIZE, RANDOM_SIZE)
    # The order of the kinds matters: both take numbers from one generator.
    costs = {
        "integers 0 to 9": rng.integers(0, 10, shape).astype(float),
        "Gaussian": rng.normal(size=shape),
    }
    scores, curves = {}, {}
    for kind, cost in costs.items():
        gaps = st.entropic.assignment_gap(cost)
        scores[kind] = random_scores(cost, gaps)
        curves[f"{kind}, n = {RANDOM_SIZE}"] = median_curve(-cost, gaps)
    return scores, curves


def trained_networks(config):
    """The assignment problems of the logits of trained networks.

    Args:
        config: `EntropicGapConfig`.

    Returns:
        Dict of a network to its `network_scores`, and dict of a network to the `Curve`
        of the problem with the median gap; both are empty without a folder of networks.
    """
    scores, curves = {}, {}
    if config.savedmodels:
        for name, logits in network_logits(config).items():
            gaps = st.entropic.assignment_gap(-logits)
            scores[name] = network_scores(logits, gaps)
            curves[name] = median_curve(logits, gaps)
    return scores, curves


def simplex_curve(d):
    """The `Curve` of the simplex with costs (0, 1, ..., 1), in closed form."""
    c = np.array([0.0] + [1.0] * (d - 1))
    entropic = st.entropic

    def measure(etas):
        return np.array([c @ entropic.simplex_solution(c, 1.0, eta) for eta in etas])

    def lower(eta):
        slow = entropic.simplex_slow_lower_bound(eta, 1.0, 1.0, d)
        return np.maximum(slow, entropic.simplex_fast_lower_bound(eta, 1.0, 1.0, d))

    return Curve(1.0, entropic.simplex_radii(1.0, d), measure, lower)


def theorem_2_curve(n):
    """The `Curve` of the matrix of theorem 2, with its lower bound."""
    curve = assignment_curve(-st.entropic.tight_instance(n), 1.0)
    return curve._replace(lower=lambda eta: st.entropic.tight_lower_bound(eta, n))


def median_curve(logits, gaps):
    """The `Curve` of the assignment problem with the median gap among several."""
    middle = np.argsort(gaps)[len(gaps) // 2]
    return assignment_curve(logits[middle], gaps[middle])


def assignment_curve(logits, gap):
    """The `Curve` of one assignment problem."""
    return Curve(
        float(gap),
        st.entropic.birkhoff_radii(len(logits)),
        lambda etas: st.entropic.assignment_suboptimality(logits, 1 / etas),
    )


def sampled(curve, count=24):
    """The points of a `Curve` that the picture shows, a dict for `figures.draw`."""
    R1, RH = curve.radii
    threshold = (R1 + RH) / curve.gap
    # The points begin where nothing is decided yet, and contain the threshold.
    most = float(curve.measure(np.array([1e-9 * threshold]))[0])
    low = min(1e-3 * threshold, 0.1 * RH / most)
    eta = np.geomspace(low, 4 * threshold, count)
    eta = np.sort(np.append(eta, threshold * (1 + 1e-12)))
    lower = None if curve.lower is None else curve.lower(eta)
    return {
        "eta": eta,
        "threshold": threshold,
        "measured": curve.measure(eta),
        "slow rate": st.entropic.slow_rate(eta, RH),
        "fast rate": st.entropic.fast_rate(eta, curve.gap, R1, RH),
        # A bound of 0 says nothing.
        "lower bound": None if lower is None else np.where(lower > 0, lower, np.nan),
    }


def theorem_2(n):
    """The least eta for EPSILON on the matrix of theorem 2, and its proven bounds."""
    logits = -st.entropic.tight_instance(n)
    lower = st.entropic.lower_bound_eta(n, EPSILON)
    upper = st.entropic.sufficient_eta(EPSILON, 1.0, *st.entropic.birkhoff_radii(n))
    return {
        "n": n,
        "lower": float(lower),
        "measured": float(least_eta(logits, EPSILON, lower / 2, upper)),
        "upper": float(upper),
        "slow": n * math.log(n) / EPSILON,
    }


def least_eta(logits, epsilon, low, high, sections=4, rounds=5):
    """The least eta of a suboptimality <= epsilon, up to an error of 0.3 %.

    Args:
        logits: `[N, N]`.
        epsilon: The suboptimality.
        low: An eta that is too small.
        high: An eta that is large enough.
        sections: The number of etas that a round tries.
        rounds: The number of rounds.
    """
    for _ in range(rounds):
        etas = np.geomspace(low, high, sections + 2)
        inner = etas[1:-1]
        is_enough = st.entropic.assignment_suboptimality(logits, 1 / inner) <= epsilon
        first = int(np.argmax(is_enough)) if is_enough.any() else sections
        low, high = etas[first], etas[first + 1]
    return high


def random_scores(costs, gaps):
    """The suboptimality of random problems beside its bounds, and their violations."""
    n = costs.shape[-1]
    R1, RH = st.entropic.birkhoff_radii(n)
    scores = {"instances": len(costs), "median_gap": float(np.median(gaps)), "at": {}}
    violations = 0
    for factor in (0.01, 0.1, 0.3, 1.0, 2.0):
        eta = factor * (R1 + RH) / gaps
        value = st.entropic.assignment_suboptimality(-costs, 1 / eta)
        slow = st.entropic.slow_rate(eta, RH)
        fast = st.entropic.fast_rate(eta * (1 + 1e-12), gaps, R1, RH)
        rounding = 1e-12 * n * np.abs(costs).max((1, 2))
        violations += int((value > np.minimum(slow, fast) + rounding).sum())
        scores["at"][f"{factor:g}"] = {
            "measured": float(np.median(value)),
            "slow_rate": float(np.median(slow)),
            "fast_rate": float(np.median(fast)) if factor >= 1 else None,
        }
    scores["violations"] = violations
    return scores


def network_scores(logits, gaps):
    """The temperature that the theory allows, and the highest that is low enough."""
    n = logits.shape[-1]
    allowed, enough, bounds = [], [], []
    for x, gap in zip(logits, gaps, strict=True):
        best = x[np.arange(n), st.matching(x).numpy()].sum()
        epsilon = ACCURACY * (best - x.sum() / n)
        temperature, name = st.entropic.temperature_for_accuracy(
            n=n, epsilon=epsilon, gap=gap
        )
        allowed.append(temperature)
        bounds.append(name)
        enough.append(1 / least_eta(x, epsilon, 1e-4 / temperature, 1 / temperature))
    return {
        "n": n,
        "logits": len(logits),
        "median_gap": float(np.median(gaps)),
        "accuracy": ACCURACY,
        "allowed_temperature": float(np.median(allowed)),
        "enough_temperature": float(np.median(enough)),
        "factor": float(np.median(np.divide(enough, allowed))),
        "slow_rate_better": bounds.count("slow_rate"),
    }


def network_logits(config):
    """Logits of the trained networks on their test data: dict of float64 `[k, N, N]`."""
    count = config.network_logits
    sorting = st.models.sorting_network(120, 32, dtype="float64")
    sorting.set_weights(saved_weights(config.savedmodels, "sorting_n120"))
    values = lists.evaluation_lists(120, "U(0,1)", "test", count)["values"]
    jigsaw = st.models.jigsaw_network(4, (4, 4, 1), "context")
    jigsaw.set_weights(saved_weights(config.savedmodels, "jigsaw_digits"))
    digits = datasets.load("digits", "test", size=8, data_dir=None, cache_dir=None)
    puzzles = batches.evaluation_puzzles(
        digits.images, digits.file_order, grid=2, batch_size=count
    )
    pieces = next(iter(puzzles))["pieces"]
    logits = {
        "sorting network, n = 120": sorting(values),
        "jigsaw network, digits 2x2": jigsaw(pieces, training=False),
    }
    return {name: np.asarray(x, np.float64)[:count] for name, x in logits.items()}


def saved_weights(folder, name):
    """The weights of an exported network in a folder of them."""
    path = os.path.join(folder, name, "1")
    if not os.path.exists(os.path.join(path, "saved_model.pb")):
        raise UserError(
            "No exported network here; an empty --savedmodels= leaves the networks out. "
            f"Received: --savedmodels={folder}"
        )
    with plain_path(path) as plain:
        return [np.asarray(w) for w in tf.saved_model.load(plain).weights]


def print_tables(scores):
    """Prints the scores of `run`."""
    print(f"\nTheorem 2: the least eta of a suboptimality <= {EPSILON}")
    print(f"{'n':>5} {'lower':>9} {'measured':>9} {'Prop. 5':>9} {'slow':>9}")
    for row in scores["theorem_2"]:
        print(
            f"{row['n']:5} {row['lower']:9.1f} {row['measured']:9.1f} "
            f"{row['upper']:9.1f} {row['slow']:9.1f}"
        )
    print("\nRandom assignment problems, medians, eta relative to (R1 + RH) / gap")
    print(f"{'':>16} {'eta':>6} {'measured':>10} {'slow':>10} {'fast':>10}")
    for kind, row in scores["random"].items():
        for factor, at in row["at"].items():
            fast = "" if at["fast_rate"] is None else f"{at['fast_rate']:.3g}"
            print(
                f"{kind:>16} {factor:>6} {at['measured']:10.3g} "
                f"{at['slow_rate']:10.3g} {fast:>10}"
            )
        print(f"{kind:>16} violations: {row['violations']} of {5 * row['instances']}")
    for name, row in scores["networks"].items():
        print(
            f"\n{name}: for {ACCURACY:.0%} of the gain the theory allows temperature "
            f"{row['allowed_temperature']:.3g}, {row['enough_temperature']:.3g} is "
            f"enough ({row['factor']:.3g} times)"
        )
