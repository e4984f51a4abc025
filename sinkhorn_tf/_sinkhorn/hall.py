"""Problems of the Sinkhorn limit that have no plan: the proof by Hall's theorem."""

import tensorflow as tf

_INF = float("inf")
# Masses that differ by less, relatively, may be equal.
_MAX_ROUNDING = 1e-9


def is_infeasible(problem, dual):
    """Whether the duals prove that no permutation exists (Hall's theorem).

    They do if, for any k, the k rows of the largest duals have fewer than k columns
    between them: exactly then the k-th largest of the duals that the columns can reach
    is smaller than that of the rows. Without a permutation, ascent of the semi-dual
    raises the duals of such rows. With masses, those of the rows are larger than those
    of the columns.

    Args:
        problem: The `newton._Problem`.
        dual: Potentials of the rows, `[B, N]`.

    Returns:
        bool `[B]`.
    """
    x = problem.x

    def test():
        allowed = x > -_INF
        reached = tf.reduce_max(tf.where(allowed, dual[:, :, None], -_INF), 1)
        rows = tf.where(tf.reduce_any(allowed, 2), dual, _INF)
        if problem.rows is None and problem.cols is None:
            return tf.reduce_any(tf.sort(reached) < tf.sort(rows), 1)
        needed = _mass_from(rows, rows, problem.rows)
        available = _mass_from(rows, reached, problem.cols)
        exists = True if problem.rows is None else problem.rows > 0
        # Sums of masses are rounded.
        available *= 1 + _MAX_ROUNDING
        return tf.reduce_any(exists & (needed > available), 1)

    nothing = tf.zeros_like(dual[:, 0], tf.bool)
    return tf.cond(problem.forbids, test, lambda: nothing)


def _mass_from(thresholds, values, masses):
    """The mass of the values that are at least each threshold.

    Args:
        thresholds: `[B, K]`.
        values: `[B, N]`.
        masses: `[B or 1, N]`, or None where all are 1.

    Returns:
        `[B, K]`.
    """
    counts = tf.cast(values[:, None, :] >= thresholds[:, :, None], values.dtype)
    return tf.reduce_sum(counts if masses is None else counts * masses[:, None, :], 2)
