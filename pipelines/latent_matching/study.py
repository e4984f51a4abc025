"""The study of latent matchings: fits, references, tables, picture."""

import functools
import os
import time

import numpy as np
import tensorflow as tf

import sinkhorn_tf as st
from pipelines.latent_matching import figures, fitting, problems
from pipelines.shared import machine, options
from pipelines.shared.errors import UserError
from pipelines.shared.files import read_json, write_json
from pipelines.shared.training import metrics_file, run_directory

# N of the first table, that of Linderman et al. (2018).
N = 6
# Mean distances at sigma = .1, .25, .5, .75 that Linderman et al. (2018) print.
PUBLISHED = {
    "stick-breaking": (0.09, 0.23, 0.41, 0.55),
    "rounding": (0.06, 0.21, 0.32, 0.38),
    "Mallows, theta = 2": (0.23, 0.33, 0.53, 0.69),
    "Mallows, theta = 5": (0.08, 0.27, 0.54, 0.72),
}
PUBLISHED_SIGMAS = (0.1, 0.25, 0.5, 0.75)
# The largest N whose permutations are enumerated for the distance: 5,040 of them.
_MAX_ENUMERATED = 7
# Hard permutations of all instances that are drawn at a time: 29 MB of noise at N = 6.
_DRAWS_AT_A_TIME = 200_000


def run(config):
    """Fits, measures, prints and draws; leaves `metrics.json` and a picture.

    Args:
        config: `LatentMatchingConfig`.
    """
    started = time.monotonic()
    # TensorFlow would warn of functions that are traced for each size of problem.
    tf.get_logger().setLevel("ERROR")
    cases = Cases(config)
    measures = _measures(config)
    for sigma in config.sigmas:
        for name, measure in measures.items():
            key = f"sigma={sigma:g} {name}"
            cases.run(key, lambda s=sigma, f=measure, k=key: f(s, config, _progress(k)))
    for n in config.sizes:
        key = f"n={n}"
        cases.run(key, lambda n=n, k=key: measure_size(n, config, _progress(k)))
    scores = {
        "distances": {
            name: {
                f"{sigma:g}": cases.results[f"sigma={sigma:g} {name}"]
                for sigma in config.sigmas
            }
            for name in measures
        },
        "sizes": {str(n): cases.results[f"n={n}"] for n in config.sizes},
        "published": {
            name: dict(zip(map(str, PUBLISHED_SIGMAS), row, strict=True))
            for name, row in PUBLISHED.items()
        },
        "seconds": time.monotonic() - started,
        "flags": options.values(config),
        "versions": metrics_file.versions(),
        "processor": machine.processor(),
    }
    metrics = os.path.join(config.workdir, "metrics.json")
    picture = os.path.join(config.workdir, "latent_matching.png")
    write_json(metrics, scores)
    figures.draw(picture, scores)
    print_tables(scores)
    print(f"Metrics: {metrics}\nPicture: {picture}")


class Cases:
    """The results so far, in `cases.json`, written whole after each case.

    Args:
        config: `LatentMatchingConfig`.

    Raises:
        UserError: If the directory holds cases and `resume` is not set, or cases of other
            settings.
    """

    # A resumed run may ask for other cases, and nothing else may differ.
    _FREE = ("workdir", "resume", "sigmas", "bounds", "sizes")

    def __init__(self, config):
        self._path = os.path.join(config.workdir, "cases.json")
        self._flags = {
            k: v for k, v in options.values(config).items() if k not in self._FREE
        }
        self.results = {}
        if os.path.exists(self._path):
            if not config.resume:
                raise UserError(
                    f"{config.workdir} already holds cases: pass --resume to keep them, "
                    "or another --workdir."
                )
            earlier = read_json(self._path)
            for name, value in self._flags.items():
                if earlier["flags"].get(name) != value:
                    raise UserError(
                        f"--resume needs the flags of the run in {config.workdir}. "
                        f"Received: --{name}={value}, the run has "
                        f"{earlier['flags'].get(name)}"
                    )
            self.results = earlier["results"]
        run_directory.make(config.workdir)

    def run(self, key, measure):
        """Measures a case, unless it is there already, and writes it."""
        if key in self.results:
            print(f"{key}: kept")
            return
        started = time.monotonic()
        result = measure()
        self.results[key] = result | {"seconds": time.monotonic() - started}
        write_json(self._path, {"flags": self._flags, "results": self.results})
        print(f"{key}: {_described(result)}, {self.results[key]['seconds']:.0f} s")


def _described(result):
    if "distance" in result:
        return f"distance {result['distance']:.3f}"
    return f"bound {result['bound_gap']:.2f} nats below the evidence"


def _progress(key):
    def show(step, bound):
        print(f"  {key}: step {step}, bound {bound:.2f}")

    return show


def _measures(config):
    """Dict of the name of an approximation to its function of sigma and the settings."""
    fits = {
        f"fitted, {name}": functools.partial(measure_fit, fitting.BOUNDS[name])
        for name in config.bounds
    }
    return {
        **fits,
        "told, perturbed matching": measure_perturbed,
        "told, independent rows": measure_rows,
        "told, Mallows, theta = 2": functools.partial(measure_mallows, 2.0),
        "told, Mallows, theta = 5": functools.partial(measure_mallows, 5.0),
        "exact samples": measure_exact_samples,
    }


def instances(sigma, config):
    """The log-likelihoods of the instances of a sigma, and their posteriors."""
    scores = problems.log_likelihoods(config.instances, N, sigma, config.seed)
    return scores, problems.posterior(scores)


def measure_fit(bound, sigma, config, progress):
    """The distance of the matchings of a fit, and its bound beside the evidence."""
    scores, exact = instances(sigma, config)
    found = fitting.fit(scores, bound, config, progress)
    shares = frequencies(found.logits, config.draws, config.seed + 1)
    evidence = log_evidence(scores)
    return summary(problems.distance(exact, shares)) | {
        "bound_gap": float(np.mean(evidence - found.bound)),
        "divergence": float(divergence(shares).mean()),
        "exact_divergence": float(divergence(exact).mean()),
    }


def measure_perturbed(sigma, config, progress):
    """Matchings of the posterior's own logits with Gumbel noise."""
    scores, exact = instances(sigma, config)
    shares = frequencies(scores, config.draws, config.seed + 1)
    return summary(problems.distance(exact, shares))


def measure_rows(sigma, config, progress):
    """Independent rows of the plan of the posterior's own logits."""
    scores, exact = instances(sigma, config)
    plans = st.sinkhorn_solve(scores.astype(np.float64)).plan.numpy()
    return summary(problems.distance(exact, problems.independent_rows(plans)))


def measure_mallows(theta, sigma, config, progress):
    """Mallows' distribution around the mode of the posterior."""
    _, exact = instances(sigma, config)
    return summary(problems.distance(exact, problems.mallows(exact, theta)))


def measure_exact_samples(sigma, config, progress):
    """As many exact samples of the posterior: the bias of all rows that are sampled."""
    _, exact = instances(sigma, config)
    rng = np.random.default_rng(config.seed + 2)
    shares = rng.multinomial(config.draws, exact) / config.draws
    return summary(problems.distance(exact, shares))


def summary(distances):
    """The mean of an instance's distances, with its standard error."""
    error = distances.std(ddof=1) / len(distances) ** 0.5 if len(distances) > 1 else 0.0
    return {"distance": float(distances.mean()), "standard_error": float(error)}


def frequencies(logits, draws, seed):
    """The shares of all permutations among matchings of noisy logits.

    Args:
        logits: float32 `[count, n, n]`.
        draws: The number of matchings of each.
        seed: Int.

    Returns:
        float64 `[count, n!]`.
    """
    count, n = logits.shape[:2]
    total = np.zeros((count, len(problems.permutations(n))))
    distribution = st.distributions.GumbelMatching(logits)
    # A graph of one size, so that the last call draws too many rather than retraces.
    size = max(1, min(draws, _DRAWS_AT_A_TIME // count))
    sample = tf.function(lambda seed: distribution.sample(size, seed), jit_compile=True)
    rows = np.arange(count)
    for start in range(0, draws, size):
        lists = sample(tf.constant([seed, start])).numpy()[: draws - start]
        np.add.at(total, (rows, problems.ranks(lists)), 1)
    return total / draws


def divergence(shares):
    """The KL divergence from uniform permutations in nats: `[count, k]` -> `[count]`."""
    logs = np.log(shares, out=np.zeros_like(shares), where=shares > 0)
    return (shares * logs).sum(1) + np.log(shares.shape[1])


def log_evidence(scores):
    """The log-evidence without the Gaussian constant: `[count, n, n]` -> `[count]`."""
    posterior = st.distributions.BoltzmannPermutations(scores.astype(np.float64))
    n = scores.shape[-1]
    return posterior.log_partition().numpy() - np.log(np.arange(1, n + 1)).sum()


def measure_size(n, config, progress):
    """A fit of the bound with a mixture for another N, beside the exact posterior."""
    scores = problems.log_likelihoods(
        config.size_instances, n, config.size_sigma, config.seed
    )
    found = fitting.fit(scores, fitting.mixture, config, progress)
    posterior = st.distributions.BoltzmannPermutations(scores.astype(np.float64))
    exact = posterior.marginals().numpy()
    distribution = st.distributions.GumbelMatching(found.logits)
    size = min(config.draws, 10_000)
    ours = distribution.expected_matching(size, seed=config.seed + 1).numpy()
    gap = log_evidence(scores) - found.bound
    result = {
        "bound_gap": float(gap.mean()),
        "entropy": float(posterior.entropy().numpy().mean()),
        "marginal_error": float(abs(ours - exact).mean((1, 2)).mean() * n),
        "same_mode": float(
            (distribution.mode() == posterior.mode()).numpy().all(-1).mean()
        ),
    }
    if n <= _MAX_ENUMERATED:
        shares = frequencies(found.logits, config.draws, config.seed + 1)
        distances = problems.distance(problems.posterior(scores), shares)
        result |= summary(distances)
    return result


def print_tables(scores):
    """Prints the scores of `run`."""
    names = list(scores["distances"])
    sigmas = list(scores["distances"][names[0]])
    print(f"\nMean Bhattacharyya distance to the exact posterior, N = {N}")
    print(f"{'sigma':28}" + "".join(f"{sigma:>8}" for sigma in sigmas))
    rows = {
        name: [scores["distances"][name][s]["distance"] for s in sigmas]
        for name in names
    }
    for name, published in scores["published"].items():
        rows[f"published, {name}"] = [published.get(s) for s in sigmas]
    for name, row in rows.items():
        cells = ("" if x is None else f"{x:.3f}" for x in row)
        print(f"{name:28}" + "".join(f"{cell:>8}" for cell in cells))
    if not scores["sizes"]:
        return
    print("\nThe bound with a mixture as N grows")
    print(
        f"{'N':>3} {'entropy':>9} {'bound gap':>10} {'marginals':>10} {'distance':>9}"
    )
    for n, row in scores["sizes"].items():
        distance = f"{row['distance']:.3f}" if "distance" in row else ""
        print(
            f"{n:>3} {row['entropy']:9.2f} {row['bound_gap']:10.3f} "
            f"{row['marginal_error']:10.3f} {distance:>9}"
        )
