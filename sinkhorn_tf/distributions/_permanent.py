"""The exact sum over matchings, a permanent, by dynamic programming over sets of columns.

The sum over all ways to place the first k rows on a set of k columns comes from the sums
of the first k - 1 rows on that set less one column (Bellman 1962, Held and Karp 1962, with
sums instead of maxima). Drawing the columns of the rows from last to first by the same
sums samples exactly.
"""

import math

import tensorflow as tf

from sinkhorn_tf._core import subsets
from sinkhorn_tf.distributions._scaled_matchings import log_partition

# All sets of 16 columns: 0.5 million products for an example, twice as many for one more.
MAX_SETS = 2**16


def count_sets(n, m):
    """The number of sets of at most min(N, M) of max(N, M) columns."""
    n, m = sorted((n, m))
    return sum(math.comb(m, k) for k in range(n + 1))


def exact_log_partition(problems):
    """The logarithm of the sum over all matchings: `ScaledMatchings` -> float64 `[B]`."""
    total = tf.reduce_sum(_sums(problems)[-1] * _last_weights(problems), axis=0)
    # Without any matching the sum is 0, and its logarithm has no derivative.
    found = total > 0
    log_sum = tf.math.log(tf.where(found, total, 1)) + _log_last_orders(problems)
    return log_partition(problems, tf.where(found, log_sum, -math.inf))


def sample(problems, uniform):
    """Draws matchings with probabilities in proportion to their weights.

    Args:
        problems: `ScaledMatchings`.
        uniform: float64 `[B, N + 1, S]`, strictly inside (0, 1).

    Returns:
        int32 `[S, B, N]`, the columns of the rows, those of dummies among them.
    """
    n, m = problems.reduced.shape[1:]
    weights = tf.exp(problems.reduced)
    sums = _sums(problems)
    last = tf.transpose(sums[-1] * _last_weights(problems))
    cumulated = tf.cumsum(last, axis=1)
    threshold = _below(uniform[:, n], cumulated[:, -1:])
    chosen = tf.searchsorted(cumulated, threshold, side="right")
    chosen = tf.minimum(chosen, last.shape[1] - 1)
    columns = []
    for k in range(n, 0, -1):
        smaller, column = subsets.extensions(m, k)
        smaller = tf.gather(smaller.T, chosen)
        column = tf.gather(column.T, chosen)
        terms = tf.gather(tf.transpose(sums[k - 1]), smaller, batch_dims=1)
        terms *= tf.gather(weights[:, k - 1], column, batch_dims=1)
        cumulated = tf.cumsum(terms, axis=2)
        threshold = _below(uniform[:, k - 1], cumulated[:, :, -1])
        reached = tf.cast(cumulated <= threshold[:, :, None], tf.int32)
        option = tf.minimum(tf.reduce_sum(reached, axis=2), k - 1)[:, :, None]
        chosen = tf.gather(smaller, option, batch_dims=2)[:, :, 0]
        columns.append(tf.gather(column, option, batch_dims=2)[:, :, 0])
    return tf.transpose(tf.stack(columns[::-1], axis=-1), [1, 0, 2])


def _below(uniform, total):
    """A share of the total, less than all of it: no option of weight 0 is ever chosen."""
    return uniform * total * (1 - 2.0**-50)


def _sums(problems):
    """For each k from 0 to N the sums of the first k rows on each set: `[sets, B]`."""
    rows = tf.transpose(tf.exp(problems.reduced), [1, 2, 0])
    sums = [tf.ones_like(rows[0, :1])]
    for k, row in enumerate(tf.unstack(rows), 1):
        smaller, column = subsets.extensions(rows.shape[1], k)
        terms = tf.gather(sums[-1], smaller) * tf.gather(row, column)
        sums.append(tf.reduce_sum(terms, axis=0))
    return sums


def _last_weights(problems):
    """The weight of the columns that each set of N columns leaves over: `[sets, B]`."""
    n, m = problems.reduced.shape[1:]
    _, columns = subsets.extensions(m, n)
    used = tf.reduce_sum(tf.one_hot(columns, m, dtype=tf.float64), axis=0)
    return tf.exp(tf.matmul(1 - used, problems.last, transpose_b=True))


def _log_last_orders(problems):
    """The logarithm of the number of orders of the M - N last dummies."""
    n, m = problems.reduced.shape[1:]
    return math.lgamma(m - n + 1)
