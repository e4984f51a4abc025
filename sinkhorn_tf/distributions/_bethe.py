"""The Bethe approximation of the sum over matchings.

For a matrix K and a doubly stochastic P it is the largest value of

.. math:: \\sum_{ij} P_{ij} \\log K_{ij} - P_{ij} \\log P_{ij} + (1 - P_{ij}) \\log(1 - P_{ij}),

a concave function of P (Vontobel 2013), which is at most the logarithm of the permanent
of K at every P (Gurvits 2011), and at its largest less by at most N / 2 log 2 (Anari and
Rezaei 2019). Belief propagation finds P; rounding makes it exactly doubly stochastic.
"""

import math

import tensorflow as tf

from sinkhorn_tf._core import batching
from sinkhorn_tf.distributions._rounding import round_to_marginals
from sinkhorn_tf.distributions._scaled_matchings import (
    complete,
    log_partition,
    squares,
)

# Belief propagation has settled when no belief changes by more.
_SETTLED = 1e-10
# A scaled weight below exp(-500) / N! changes a sum that is at least 1 by less than any
# rounding, so that the forbidden pairs, whose logarithm is infinite, get that weight.
_LEAST = -500.0


def bethe_log_partition(problems, n_iters):
    """A lower bound of the logarithm of the sum: `ScaledMatchings` -> float64 `[B]`."""
    log_k = squares(problems)
    m = log_k.shape[-1]
    log_k = tf.maximum(log_k, _LEAST - math.lgamma(m + 1))
    beliefs = tf.stop_gradient(_propagate(tf.stop_gradient(log_k), n_iters))
    ones = tf.ones_like(beliefs[:, 0])
    plan = round_to_marginals(beliefs, ones, ones)
    # The best matching alone is another lower bound, with any order of the dummies.
    best = tf.one_hot(complete(problems), m, dtype=log_k.dtype)
    of_best = tf.reduce_sum(best * log_k, [1, 2]) + problems.log_orders
    is_better = of_best > _functional(plan, log_k)
    plan = tf.stop_gradient(batching.where(is_better, best, plan))
    orders = tf.where(is_better, problems.log_orders, 0)
    return log_partition(problems, _functional(plan, log_k) + orders)


def _functional(plan, log_k):
    """The Bethe functional of doubly stochastic matrices: `[B]`."""
    terms = plan * log_k - tf.math.xlogy(plan, plan)
    terms += tf.math.xlog1py(1 - plan, -plan)
    return tf.reduce_sum(terms, [1, 2])


def _propagate(log_k, n_iters):
    """Sum-product belief propagation: `[B, M, M]` -> the beliefs, of the same shape.

    A message is the logarithm of a ratio: of a pair being matched to its not being.
    """

    def step(count, active, from_cols, beliefs):
        from_rows = -_sum_of_others(log_k + from_cols, axis=2)
        new_cols = -_sum_of_others(log_k + from_rows, axis=1)
        new = tf.sigmoid(log_k + from_rows + new_cols)
        change = tf.reduce_max(tf.abs(new - beliefs), axis=[1, 2])
        return (
            count + 1,
            active & (change > _SETTLED),
            batching.where(active, new_cols, from_cols),
            batching.where(active, new, beliefs),
        )

    start = tf.zeros_like(log_k)
    active = tf.ones_like(log_k[:, 0, 0], tf.bool)
    *_, beliefs = tf.while_loop(
        lambda count, active, *_: (count < n_iters) & tf.reduce_any(active),
        step,
        (0, active, start, start + 1 / log_k.shape[-1]),
    )
    return beliefs


def _sum_of_others(x, axis):
    """The logarithm of the sum of all exponentials along an axis but each one's own."""
    if x.shape[axis] == 1:
        return tf.fill(tf.shape(x), tf.constant(_LEAST, x.dtype))
    largest = tf.reduce_max(x, axis, keepdims=True)
    is_largest = tf.cast(x >= largest, x.dtype)
    # Only one of several that are equally large counts as the largest.
    is_largest *= tf.cast(tf.equal(tf.cumsum(is_largest, axis), 1), x.dtype)
    rest = tf.where(is_largest > 0, tf.constant(-math.inf, x.dtype), x)
    second = tf.reduce_max(rest, axis, keepdims=True)
    rest_sum = tf.reduce_sum(tf.exp(rest - second), axis, keepdims=True)
    # Of the others' sums the largest term is a part, so that nothing cancels.
    shares = tf.exp(rest - largest)
    others = 1 + tf.reduce_sum(shares, axis, keepdims=True) - shares
    return tf.where(
        is_largest > 0, second + tf.math.log(rest_sum), largest + tf.math.log(others)
    )
