"""Linear assignment by shortest augmenting paths, in lock step over a batch.

Jonker & Volgenant 1987, A shortest augmenting path algorithm for dense and sparse
linear assignment problems, for maximisation. Every example is a small machine that
advances by itself at each step of one loop: it scans a row of its own search, or
flips one edge of the path it has found, or is done.
"""

import math
import typing

import tensorflow as tf


class _Search(typing.NamedTuple):
    """The state of all examples: `[B]`, or `[B, N]` over columns or rows."""

    v: tf.Tensor  # [B, N] column duals of the minimisation
    row_of: tf.Tensor  # [B, N] matched row of each column, or -1
    col_of: tf.Tensor  # [B, N] matched column of each row, or -1
    distance: tf.Tensor  # [B, N] shortest known path to each column
    before: tf.Tensor  # [B, N] the row through which that path comes
    scanned: tf.Tensor  # [B, N] columns whose distance is final
    row: tf.Tensor  # [B] the row to scan next
    offset: tf.Tensor  # [B] length of the path to that row, less its dual
    col: tf.Tensor  # [B] the column to flip next, or -1 while searching
    done: tf.Tensor  # [B]


def assign(x):
    """Matches rows to columns so that the sum is largest.

    Args:
        x: float64 `[B, N, N]`; `-inf` forbids a pair.

    Returns:
        `(perm, g)`: int32 `[B, N]`, -1 throughout for an example with NaN or +inf or
        without any permutation; column duals `[B, N]`, finite, such that each row of
        `x - g` has its maximum at the matched column, up to rounding.
    """
    poisoned = tf.reduce_any(tf.math.is_nan(x) | (x == math.inf), axis=[1, 2])
    x = tf.where(poisoned[:, None, None], tf.zeros_like(x), x)
    forbidden = x == -math.inf
    # Differences of numbers near the end of the range would overflow.
    size = tf.reduce_max(tf.where(forbidden, tf.zeros_like(x), tf.abs(x)), axis=[1, 2])
    one = tf.ones_like(size)
    scale = tf.where(size > 1e300, one * 2.0**-40, one)
    cost = -x * scale[:, None, None]
    n = tf.shape(x)[-1]
    state = _greedy(cost, poisoned)
    # A row needs at most n scans and n flips.
    state = tf.while_loop(
        lambda state: ~tf.reduce_all(state.done),
        lambda state: (_advance(cost, state),),
        (state,),
        maximum_iterations=2 * n * n + 1,
    )[0]
    solved = ~poisoned & tf.reduce_all(state.col_of >= 0, axis=1)
    return tf.where(solved[:, None], state.col_of, -1), -state.v / scale[:, None]


def interior_duals(x, perm, g):
    """Moves optimal duals into the interior of the optimal face.

    The duals that a search ends with are tight on many pairs besides the matched
    ones, and then prove nothing to a strict comparison. Adding to `g` the average
    over all columns s of the shortest path lengths to s in the residual graph keeps
    them optimal and leaves slack on every other pair if the matching is unique.

    Args:
        x: float64 `[B, N, N]`, no NaN or +inf.
        perm: int32 `[B, N]`, optimal permutations.
        g: float64 `[B, N]`, optimal column duals.

    Returns:
        float64 `[B, N]`.
    """
    # Node k is row k with its column perm[k]; edge k -> l is row k in l's column.
    reduced = tf.gather(x - g[:, None, :], perm, axis=2, batch_dims=1)
    slack = tf.linalg.diag_part(reduced)[:, :, None] - reduced
    n = tf.shape(x)[-1]

    def through(k, distance):
        return k + 1, tf.minimum(
            distance, distance[:, :, k, None] + distance[:, k, None, :]
        )

    _, distance = tf.while_loop(
        lambda k, _: k < n,
        through,
        (tf.constant(0), tf.maximum(slack, 0)),
        maximum_iterations=n,
    )
    finite = tf.math.is_finite(distance)
    largest = tf.reduce_max(
        tf.where(finite, distance, tf.zeros_like(distance)), axis=[1, 2], keepdims=True
    )
    average = tf.reduce_mean(tf.minimum(distance, largest), axis=2)
    return g + tf.gather(average, tf.argsort(perm, axis=1), batch_dims=1)


def _greedy(cost, poisoned):
    """Duals from column and row minima, and the matching of what is tight there."""
    finite_or_0 = lambda x: tf.where(tf.math.is_finite(x), x, tf.zeros_like(x))
    v = finite_or_0(tf.reduce_min(cost, axis=1))
    reduced = cost - v[:, None, :]
    n = tf.shape(cost)[-1]
    choice = tf.one_hot(tf.argmin(reduced, axis=2), n, True, False, dtype=tf.bool)
    choice &= tf.math.is_finite(cost)
    # A column goes to the first row that wants it.
    taken = tf.reduce_any(choice, axis=1)
    row_of = tf.argmax(tf.cast(choice, tf.int32), axis=1, output_type=tf.int32)
    won = choice & (tf.range(n)[:, None] == row_of[:, None, :])
    col_of = tf.argmax(tf.cast(won, tf.int32), axis=2, output_type=tf.int32)
    state = _Search(
        v=v,
        row_of=tf.where(taken, row_of, -1),
        col_of=tf.where(tf.reduce_any(won, axis=2), col_of, -1),
        distance=tf.zeros_like(v),
        before=tf.zeros_like(row_of),
        scanned=tf.zeros_like(taken),
        row=tf.zeros_like(row_of[:, 0]),
        offset=tf.zeros_like(v[:, 0]),
        col=tf.zeros_like(row_of[:, 0]),
        done=poisoned,
    )
    return _start_search(state, tf.ones_like(poisoned))


def _start_search(state, where):
    """Starts from the first unmatched row in the examples `where`, if there is one."""
    free = state.col_of < 0
    row = tf.argmax(tf.cast(free, tf.int32), axis=1, output_type=tf.int32)
    each = where[:, None]
    return state._replace(
        distance=tf.where(each, tf.constant(math.inf, tf.float64), state.distance),
        scanned=state.scanned & ~each,
        row=tf.where(where, row, state.row),
        offset=tf.where(where, tf.zeros_like(state.offset), state.offset),
        col=tf.where(where, -1, state.col),
        done=state.done | (where & ~tf.reduce_any(free, axis=1)),
    )


def _advance(cost, state):
    """One step of every example."""
    searching = ~state.done & (state.col < 0)
    flipping = ~state.done & (state.col >= 0)
    return _flip(_scan(cost, state, searching), flipping)


def _scan(cost, state, where):
    """Relaxes the paths through `row`, then fixes the nearest column."""
    row_cost = tf.gather(cost, state.row, batch_dims=1)
    reach = row_cost - state.v + state.offset[:, None]
    nearer = where[:, None] & ~state.scanned & (reach < state.distance)
    distance = tf.where(nearer, reach, state.distance)
    before = tf.where(nearer, state.row[:, None], state.before)
    open_distance = tf.where(state.scanned, tf.constant(math.inf, tf.float64), distance)
    col = tf.argmin(open_distance, axis=1, output_type=tf.int32)
    nearest = _at(open_distance, col)
    stuck = where & (nearest == math.inf)
    where &= ~stuck
    row = _at(state.row_of, col)
    found = where & (row < 0)
    # The duals of the columns scanned so far, when the search is over.
    closer = distance - nearest[:, None]
    ends = found[:, None] & state.scanned
    v = state.v + tf.where(ends, closer, tf.zeros_like(closer))
    on = where & ~found
    row = tf.where(on, row, state.row)
    matched_cost = tf.gather(_at(cost, row), col, batch_dims=1)
    offset = nearest - (matched_cost - _at(state.v, col))
    return state._replace(
        v=v,
        distance=distance,
        before=before,
        scanned=state.scanned | (on[:, None] & _one_hot(col, state.scanned)),
        row=row,
        offset=tf.where(on, offset, state.offset),
        col=tf.where(found, col, state.col),
        done=state.done | stuck,
    )


def _flip(state, where):
    """Matches `col` to the row before it, and goes on to that row's old column."""
    col = tf.maximum(state.col, 0)
    row = _at(state.before, col)
    old_col = _at(state.col_of, row)
    each = where[:, None]
    row_of = tf.where(each & _one_hot(col, state.scanned), row[:, None], state.row_of)
    col_of = tf.where(each & _one_hot(row, state.scanned), col[:, None], state.col_of)
    state = state._replace(
        row_of=row_of, col_of=col_of, col=tf.where(where, old_col, state.col)
    )
    return _start_search(state, where & (old_col < 0))


def _at(values, index):
    """`values[b, index[b]]`."""
    return tf.gather(values, index, batch_dims=1)


def _one_hot(index, like):
    """bool `[B, N]`, True at `index`."""
    return tf.range(tf.shape(like)[1]) == index[:, None]
