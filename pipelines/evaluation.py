"""Measuring permutations: by index, by content, and what could be had at best."""

import functools
import math

import numpy as np
import tensorflow as tf

import sinkhorn_tf as st
from pipelines import losses


def chance(n):
    """What uniformly random permutations of n items score on average."""
    return {
        "proportion_wrong": 1 - 1 / n,
        "proportion_any_wrong": 1 - 1 / math.factorial(n),
        "kendall_tau": 1.0 if n == 1 else 0.0,
    }


def oracle(perm, same):
    """What a solver scores on average that knows all but equal items apart.

    Equal items go to the places of their class at random. With k the size of an
    item's class: P.W. = 1 - mean 1 / k and P.A.W. = 1 - prod 1 / k!. A pair of items
    of classes A and B keeps its order as often as any pair of their places does, so
    tau is the mean over pairs of sign * (mean sign over A x B).

    Args:
        perm: int32 `[B, N]`, the true permutations.
        same: bool `[B, N, N]`, which items are equal.

    Returns:
        Dict of float64 `[B]`.
    """
    same = tf.cast(same, tf.float64)
    size = tf.reduce_sum(same, 2)
    n = perm.shape[-1]
    signs = tf.cast(tf.sign(perm[:, :, None] - perm[:, None, :]), tf.float64)
    mean_signs = (same @ signs @ same) / (size[:, :, None] * size[:, None, :])
    tau = tf.reduce_sum(signs * mean_signs, [1, 2]) / max(n * (n - 1), 1)
    return {
        "proportion_wrong": 1 - tf.reduce_mean(1 / size, 1),
        # Each item holds its share of log k!.
        "proportion_any_wrong": 1
        - tf.exp(-tf.reduce_sum(tf.math.lgamma(size + 1) / size, 1)),
        "kendall_tau": tf.ones_like(tau) if n == 1 else tau,
    }


def evaluate(network, puzzles):
    """The `summary` of the scores of all `examples`."""
    return summary(examples(network, puzzles), network.output_shape[-1])


def examples(network, puzzles):
    """Measures a network on each puzzle, with hard permutations and no noise.

    Args:
        network: Keras model from pieces to logits `[B, N, N]`.
        puzzles: Iterable of batches of puzzles, see `pipelines.puzzles`.

    Returns:
        Dict of float64 `[M]`: the scores that `summary` names, "/" between levels.
    """
    measure = _compiled_measure(network)
    parts = {}
    for batch in puzzles:
        for name, values in measure(batch).items():
            parts.setdefault(name, []).append(values.numpy().astype(np.float64))
    return {name: np.concatenate(values) for name, values in parts.items()}


def ranking(scores):
    """The indices of the `examples`, best first.

    By the number of wrong pieces, by content; then by the cross-entropy.
    """
    return np.lexsort((scores["cross_entropy"], scores["by_content/proportion_wrong"]))


def summary(scores, n):
    """The means of the scores of `examples`.

    Args:
        scores: What `examples` returns.
        n: The number of pieces of a puzzle.

    Returns:
        Dict with the scores of `metrics.json`: `proportion_wrong`,
        `proportion_any_wrong`, `kendall_tau`, `l1` (mean absolute difference of the
        hard reconstruction, pixels in [0, 1]), `l2` (root of the mean square of an
        image, averaged), `cross_entropy` (of the soft permutation at temperature 1
        with the true one), `pieces_right` and `puzzles_right` (shares, 1 minus the
        first two), `n_examples`, and under `by_content` (equal pieces are
        interchangeable), `chance` and `oracle` some of these again; under
        `standard_error` those of the means over the examples.
    """
    count = len(scores["proportion_wrong"])
    means = {name: float(values.mean()) for name, values in scores.items()}
    under = lambda prefix: {
        k.split("/")[1]: v for k, v in means.items() if k.startswith(prefix + "/")
    }
    right = lambda found: {
        "pieces_right": 1 - found["proportion_wrong"],
        "puzzles_right": 1 - found["proportion_any_wrong"],
    }
    return {
        **{k: v for k, v in means.items() if "/" not in k},
        **right(means),
        "n_examples": count,
        "standard_error": {
            name: float(values.std() / math.sqrt(count))
            for name, values in scores.items()
            if "/" not in name
        },
        "by_content": under("by_content") | right(under("by_content")),
        "chance": chance(n),
        "oracle": under("oracle"),
    }


@functools.lru_cache(maxsize=2)
def _compiled_measure(network):
    """Traced once for a network, however often it is validated."""
    return tf.function(
        lambda batch: _measure(network, batch), autograph=False, reduce_retracing=True
    )


def _measure(network, batch):
    """Scores of each example of a batch, a dict of `[B]`."""
    logits = network(batch["pieces"], training=False)
    perm, found = batch["perm"], st.matching(logits)
    target = batch["target"]
    restored = st.permutations.apply(found, batch["pieces"])
    flat = lambda x: tf.reshape(x, [tf.shape(x)[0], x.shape[1], -1])
    difference = flat(restored - target)
    differs = tf.reduce_any(difference != 0, axis=2)
    pieces = flat(batch["pieces"])
    same = tf.reduce_all(pieces[:, :, None] == pieces[:, None, :], axis=3)
    best = {f"oracle/{k}": v for k, v in oracle(perm, same).items()}
    return {
        "proportion_wrong": st.metrics.proportion_wrong(perm, found),
        "proportion_any_wrong": st.metrics.proportion_any_wrong(perm, found),
        "kendall_tau": st.metrics.kendall_tau(perm, found),
        "cross_entropy": losses.cross_entropy(st.sinkhorn(logits)[:, None], perm),
        "l1": tf.reduce_mean(tf.abs(difference), [1, 2]),
        "l2": tf.sqrt(tf.reduce_mean(difference**2, [1, 2])),
        "by_content/proportion_wrong": tf.reduce_mean(tf.cast(differs, tf.float32), 1),
        "by_content/proportion_any_wrong": tf.cast(
            tf.reduce_any(differs, axis=1), tf.float32
        ),
        **best,
    }


def table(scores):
    """The scores beside chance and oracle, as lines of text."""
    names = {"proportion_wrong": "P.W.", "proportion_any_wrong": "P.A.W."}
    names |= {"kendall_tau": "Kendall tau", "l1": "l1", "l2": "l2"}
    columns = ("measured", "by content", "oracle", "chance")
    lines = [f"{'':12}" + "".join(f"{column:>12}" for column in columns)]
    for key, name in names.items():
        parts = (scores, scores["by_content"], scores["oracle"], scores["chance"])
        cells = (f"{part[key]:12.3f}" if key in part else f"{'':12}" for part in parts)
        lines.append(f"{name:12}" + "".join(cells))
    lines.append(f"{scores['n_examples']:,} examples")
    lines += legend("piece", "puzzle")
    lines.append(
        "l1, l2: differences of the restored image's pixels, which are in [0, 1]."
    )
    lines.append("Oracle: a solver that only cannot tell equal pieces apart.")
    return "\n".join(line.rstrip() for line in lines)


def evaluate_lists(logits, held_out, batch_size=100):
    """Measures a network that sorts, with hard permutations and no noise.

    By content a number is wrong if another one than the sorted list's stands in its
    place: equal numbers may come in any order.

    Args:
        logits: Function of float32 values `[B, N]` to logits `[B, N, N]`.
        held_out: A batch of lists, see `pipelines.lists`.
        batch_size: Lists at a time.

    Returns:
        Dict with the scores of an interval in `metrics.json`.
    """
    find = _compiled_matching(logits)
    sums, ties = {}, 0
    count = len(held_out["values"])
    for start in range(0, count, batch_size):
        values, ordered = (
            held_out[k][start : start + batch_size] for k in ("values", "sorted")
        )
        found = find(values)
        true = st.permutations.inverse(tf.argsort(values, axis=1, stable=True))
        wrong = st.permutations.apply(found, values) != ordered
        parts = {
            "proportion_wrong": st.metrics.proportion_wrong(true, found),
            "proportion_any_wrong": st.metrics.proportion_any_wrong(true, found),
            "kendall_tau": st.metrics.kendall_tau(true, found),
            "content/proportion_wrong": tf.reduce_mean(tf.cast(wrong, tf.float32), 1),
            "content/proportion_any_wrong": tf.reduce_any(wrong, axis=1),
            "ties": tf.reduce_any(ordered[:, 1:] == ordered[:, :-1], axis=1),
        }
        for name, part in parts.items():
            sums[name] = sums.get(name, 0.0) + part.numpy().sum(dtype=np.float64)
    means = {name: float(total / count) for name, total in sums.items()}
    by_content = {
        name: means.pop(f"content/{name}")
        for name in ("proportion_wrong", "proportion_any_wrong")
    }
    ties = round(means.pop("ties") * count)
    return {
        **means,
        "by_content": by_content,
        "n_examples": count,
        "n_examples_with_ties": ties,
    }


@functools.lru_cache(maxsize=2)
def _compiled_matching(logits):
    """Compiled once for a network, however often it is validated."""
    return tf.function(
        lambda values: st.matching(logits(values)), jit_compile=True, autograph=False
    )


def lists_table(intervals):
    """The scores of `evaluate_lists` by interval, as lines of text."""
    groups = ("by content", "", "by index", "", "", "")
    heads = ("P.W.", "P.A.W.", "P.W.", "P.A.W.", "Kendall tau", "with ties")
    lines = [
        f"{'':12}" + "".join(f"{head:>12}" for head in heads).rstrip()
        for heads in (groups, heads)
    ]
    for name, found in intervals.items():
        content = found["by_content"]
        numbers = (
            content["proportion_wrong"],
            content["proportion_any_wrong"],
            found["proportion_wrong"],
            found["proportion_any_wrong"],
            found["kendall_tau"],
        )
        cells = "".join(f"{number:12.4f}" for number in numbers)
        lines.append(f"{name:12}{cells}{found['n_examples_with_ties']:12}")
    return "\n".join([*lines, *legend("number", "list")])


def legend(item, example):
    """The names of scores in a table explained, as lines of text."""
    return [
        f"P.W.: proportion of wrong {item}s.",
        f"P.A.W.: proportion of {example}s with any wrong {item}.",
        "Kendall tau: rank correlation with the true order, from -1 to 1, which is best.",
        f"By index every {item} has one place; by content equal {item}s may change theirs.",
        "On another kind of processor such numbers differ in the third digit.",
    ]
