"""Scores of sorted lists, by index and by content."""

import numpy as np
import tensorflow as tf

import sinkhorn_tf as st
from pipelines.shared.legend import legend


class Evaluator:
    """Measures a network that sorts, with hard permutations and no noise.

    One object compiles its matching once, however often the network is validated.

    Args:
        logits: Function of float32 values `[B, N]` to logits `[B, N, N]`.
    """

    def __init__(self, logits):
        self._match = tf.function(
            lambda values: st.matching(logits(values)),
            jit_compile=True,
            autograph=False,
        )

    def scores(self, held_out, batch_size=100):
        """The scores of lists.

        By content a place is wrong if its number is not that of the sorted list: equal
        numbers may come in any order.

        Args:
            held_out: A batch of lists, see `shared.lists`.
            batch_size: The number of lists that are matched together.

        Returns:
            Dict with the scores of an interval in `metrics.json`.
        """
        sums = {}
        count = len(held_out["values"])
        for start in range(0, count, batch_size):
            values, ordered = (
                held_out[k][start : start + batch_size] for k in ("values", "sorted")
            )
            for name, scores in _measure(self._match(values), values, ordered).items():
                total = scores.numpy().sum(dtype=np.float64)
                sums[name] = sums.get(name, 0.0) + total
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


def _measure(matching, values, ordered):
    """Scores of each list of a batch, a dict of `[B]`."""
    true = st.permutations.inverse(tf.argsort(values, axis=1, stable=True))
    wrong = st.permutations.apply(matching, values) != ordered
    return {
        "proportion_wrong": st.metrics.proportion_wrong(true, matching),
        "proportion_any_wrong": st.metrics.proportion_any_wrong(true, matching),
        "kendall_tau": st.metrics.kendall_tau(true, matching),
        "content/proportion_wrong": tf.reduce_mean(tf.cast(wrong, tf.float32), 1),
        "content/proportion_any_wrong": tf.reduce_any(wrong, axis=1),
        "ties": tf.reduce_any(ordered[:, 1:] == ordered[:, :-1], axis=1),
    }


def table(intervals):
    """The scores of `Evaluator.scores` by interval, as lines of text."""
    groups = ("by content", "", "by index", "", "", "")
    heads = ("P.W.", "P.A.W.", "P.W.", "P.A.W.", "Kendall tau", "with ties")
    lines = [
        f"{'':12}" + "".join(f"{head:>12}" for head in heads).rstrip()
        for heads in (groups, heads)
    ]
    for name, scores in intervals.items():
        content = scores["by_content"]
        numbers = (
            content["proportion_wrong"],
            content["proportion_any_wrong"],
            scores["proportion_wrong"],
            scores["proportion_any_wrong"],
            scores["kendall_tau"],
        )
        cells = "".join(f"{number:12.4f}" for number in numbers)
        lines.append(f"{name:12}{cells}{scores['n_examples_with_ties']:12}")
    return "\n".join([*lines, *legend("number", "list")])
