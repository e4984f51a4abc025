"""Scores to compare with: those of chance, and those of the best possible solver."""

import math

import tensorflow as tf


def chance(n):
    """The mean scores of uniformly random permutations of n items."""
    return {
        "proportion_wrong": 1 - 1 / n,
        "proportion_any_wrong": 1 - 1 / math.factorial(n),
        "kendall_tau": 1.0 if n == 1 else 0.0,
    }


def oracle(perm, same):
    """The mean scores of a solver whose only mistake is to confuse equal items.

    Such a solver puts equal items in the places of their class at random. With k the
    size of an item's class: P.W. = 1 - mean 1 / k and P.A.W. = 1 - prod 1 / k!. A pair
    of items of classes A and B keeps its order as often as any pair of their places
    does, so tau is the mean over pairs of sign * (mean sign over A x B).

    Args:
        perm: int32 `[B, N]`, the true permutations.
        same: bool `[B, N, N]`, which items are equal.

    Returns:
        Dict with the scores of `chance`, float64 `[B]` each.
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
