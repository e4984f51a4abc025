"""Scores of jigsaw puzzles: by index, by content, and beside the best possible ones."""

import math

import numpy as np
import tensorflow as tf

import sinkhorn_tf as st
from pipelines.shared import baselines
from pipelines.shared.legend import legend


class Evaluator:
    """Measures a network on puzzles, with hard permutations and no noise.

    One object traces its function once, however often the network is validated.

    Args:
        network: Keras model from pieces to logits `[B, N, N]`.
    """

    def __init__(self, network):
        self.network = network
        self._measure = tf.function(
            lambda batch: _measure(network, batch),
            autograph=False,
            reduce_retracing=True,
        )

    def examples(self, puzzles):
        """The scores of each puzzle.

        Args:
            puzzles: Iterable of batches of puzzles, see `shared.puzzles.cutting`.

        Returns:
            Dict of float64 `[M]`: the scores that `summary` names, with "/" between
            levels.
        """
        parts = {}
        for batch in puzzles:
            for name, values in self._measure(batch).items():
                parts.setdefault(name, []).append(values.numpy().astype(np.float64))
        return {name: np.concatenate(values) for name, values in parts.items()}

    def summary(self, puzzles):
        """The `summary` of the scores of all puzzles."""
        return summary(self.examples(puzzles), self.network.output_shape[-1])


def ranking(scores):
    """The indices of puzzles, best first.

    The number of pieces that are wrong by content decides, then the cross-entropy.

    Args:
        scores: Dict that `Evaluator.examples` returns.
    """
    return np.lexsort((scores["cross_entropy"], scores["by_content/proportion_wrong"]))


def first_puzzles(scores, count):
    """The indices of the first puzzles, of which one has wrong pieces if any puzzle has.

    Where none of the first `count` has some, the first that has takes the last place.

    Args:
        scores: Dict that `Evaluator.examples` returns.
        count: The number of puzzles.
    """
    wrong = scores["by_content/proportion_wrong"] > 0
    first = np.arange(min(count, len(wrong)))
    if wrong.any() and not wrong[first].any():
        first[-1] = np.argmax(wrong)
    return first


def summary(scores, n):
    """The means of the scores of puzzles.

    Args:
        scores: Dict that `Evaluator.examples` returns.
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
    by_content = _below(means, "by_content")
    return {
        **{k: v for k, v in means.items() if "/" not in k},
        **_shares_right(means),
        "n_examples": count,
        "standard_error": {
            name: float(values.std() / math.sqrt(count))
            for name, values in scores.items()
            if "/" not in name
        },
        "by_content": by_content | _shares_right(by_content),
        "chance": baselines.chance(n),
        "oracle": _below(means, "oracle"),
    }


def _below(means, level):
    """The entries of a dict whose names begin with `level/`, without that beginning."""
    prefix = f"{level}/"
    return {k.removeprefix(prefix): v for k, v in means.items() if k.startswith(prefix)}


def _shares_right(means):
    return {
        "pieces_right": 1 - means["proportion_wrong"],
        "puzzles_right": 1 - means["proportion_any_wrong"],
    }


def _measure(network, batch):
    """Scores of each example of a batch, a dict of `[B]`."""
    logits = network(batch["pieces"], training=False)
    perm, matching = batch["perm"], st.matching(logits)
    restored = st.permutations.apply(matching, batch["pieces"])
    difference = _flatten_pieces(restored - batch["target"])
    differs = tf.reduce_any(difference != 0, axis=2)
    pieces = _flatten_pieces(batch["pieces"])
    same = tf.reduce_all(pieces[:, :, None] == pieces[:, None, :], axis=3)
    best = {f"oracle/{k}": v for k, v in baselines.oracle(perm, same).items()}
    return {
        "proportion_wrong": st.metrics.proportion_wrong(perm, matching),
        "proportion_any_wrong": st.metrics.proportion_any_wrong(perm, matching),
        "kendall_tau": st.metrics.kendall_tau(perm, matching),
        "cross_entropy": st.losses.cross_entropy(st.sinkhorn(logits)[:, None], perm),
        "l1": tf.reduce_mean(tf.abs(difference), [1, 2]),
        "l2": tf.sqrt(tf.reduce_mean(difference**2, [1, 2])),
        "by_content/proportion_wrong": tf.reduce_mean(tf.cast(differs, tf.float32), 1),
        "by_content/proportion_any_wrong": tf.cast(
            tf.reduce_any(differs, axis=1), tf.float32
        ),
        **best,
    }


def _flatten_pieces(pieces):
    """`[B, N, h, w, C]` as `[B, N, h * w * C]`."""
    return tf.reshape(pieces, [tf.shape(pieces)[0], pieces.shape[1], -1])


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
