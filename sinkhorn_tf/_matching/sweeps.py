"""Linear assignment by sweeps: shortest paths from all unmatched rows at once.

A sweep finds the shortest paths from the unmatched rows to every column, by relaxing all
edges in rounds (Bellman 1958, On a routing problem), moves all duals by their lengths,
after which every edge of a path is tight, and augments along one path of each tree. The
trees are disjoint, so that a few sweeps place all rows: two to four for 36 rows.

Plain TensorFlow pays for each op, not for the arithmetic of small matrices. A round has
seven ops and takes all rows of all examples a step further; the search of
`augmenting_paths` has fifty for one row of each.

An example takes part until its rows are placed, or no path is left. Compiled by XLA, whose
shapes are fixed, all examples would take part in every sweep, and a step costs little:
there the search of single rows is as fast, or faster from N = 100 on.
"""

import math
import typing

import numpy as np
import tensorflow as tf

from sinkhorn_tf._core.compilation import is_for_xla

# Beyond this N the rounds, which touch every edge, take longer than scans of single rows.
_MAX_N = 128


class _State(typing.NamedTuple):
    g: tf.Tensor  # [B, N] column duals
    row_of: tf.Tensor  # int32 [B, N] matched row of each column, or -1
    active: tf.Tensor  # bool [B]


class _Paths(typing.NamedTuple):
    """Shortest paths from the unmatched rows; from a column to its row they cost nothing."""

    row_distance: tf.Tensor  # [B, N], inf where there is no path
    col_distance: tf.Tensor  # [B, N]
    row_round: tf.Tensor  # int32 [B, N] the round that found it, -1 for unmatched rows
    col_round: tf.Tensor  # int32 [B, N]


def is_for_sweeps(x):
    """Whether N is known and small, and the graph a plain one."""
    n = x.shape[1]
    return n is not None and n == x.shape[2] and n <= _MAX_N and not is_for_xla()


def assign(x, g, skipped):
    """Matches rows to columns so that the sum is largest.

    Args:
        x: float64 `[B, N, N]`, for which `is_for_sweeps` holds; `-inf` forbids a pair.
        g: float64 `[B, N]`, any column duals, the closer to optimal ones the better.
        skipped: bool `[B]`, examples that are not to be matched.

    Returns:
        `(perm, g)`: int32 `[B, N]`, -1 for a row that cannot be placed; optimal duals.
    """
    sweep = _sweep if x.shape[0] == 1 else _sweep_of_active
    state = _State(g, tf.fill(tf.shape(g), -1), ~skipped)
    (state,) = tf.while_loop(
        lambda state: tf.reduce_any(state.active),
        lambda state: (sweep(x, state),),
        (state,),
        maximum_iterations=x.shape[1],
    )
    return _inverse(state.row_of), state.g


def _sweep_of_active(x, state):
    index = tf.where(state.active)[:, 0]
    some = _State(*(tf.gather(each, index) for each in state))
    parts = _sweep(tf.gather(x, index), some)
    return _State(
        *(
            tf.tensor_scatter_nd_update(whole, index[:, None], part)
            for whole, part in zip(state, parts, strict=True)
        )
    )


def _sweep(x, state):
    reduced = x - state.g[:, None, :]
    best = tf.reduce_max(reduced, axis=2, keepdims=True)
    # A row without any allowed pair has no path.
    best = tf.where(best > -math.inf, best, tf.zeros_like(best))
    length = best - reduced
    col_of = _inverse(state.row_of)
    starts = (col_of < 0) & state.active[:, None]
    free = state.row_of < 0
    paths = _shortest_paths(length, col_of, starts, ~free)
    parent = _parents(length, paths)
    found = paths.col_distance < math.inf
    ends, turned = _disjoint_paths(parent, col_of, free & found, paths.col_distance)
    longest = tf.reduce_max(
        tf.where(ends, paths.col_distance, 0), axis=1, keepdims=True
    )
    row_of = tf.where(turned, parent, state.row_of)
    return _State(
        # Columns beyond the farthest end move as far as that end does: their edges stay
        # feasible.
        g=state.g - tf.minimum(paths.col_distance, longest),
        row_of=row_of,
        active=tf.reduce_any(turned, axis=1) & tf.reduce_any(row_of < 0, axis=1),
    )


def _shortest_paths(length, col_of, starts, taken):
    """The `_Paths` from some rows.

    Args:
        length: `[B, N, N]` of the edges, >= 0.
        col_of: int32 `[B, N]`, -1 for unmatched rows.
        starts: bool `[B, N]`, the rows to start from, which are unmatched.
        taken: bool `[B, N]`, the columns that have a row, from which paths go on.
    """
    infinity = tf.fill(tf.shape(col_of), tf.constant(math.inf, length.dtype))
    matched = col_of >= 0
    index = tf.maximum(col_of, 0)
    first = tf.where(starts, tf.zeros_like(infinity), infinity)

    def of_rows(of_cols, otherwise):
        return tf.where(matched, tf.gather(of_cols, index, batch_dims=1), otherwise)

    def body(count, _, row_distance, col_distance, col_round):
        nearest = tf.reduce_min(row_distance[:, :, None] + length, axis=1)
        nearer = nearest < col_distance
        col_distance = tf.minimum(nearest, col_distance)
        col_round = tf.where(nearer, count, col_round)
        row_distance = of_rows(col_distance, first)
        goes_on = tf.reduce_any(nearer & taken)
        return count + 1, goes_on, row_distance, col_distance, col_round

    rounds = tf.zeros_like(col_of)
    _, _, row_distance, col_distance, col_round = tf.while_loop(
        lambda count, goes_on, *_: goes_on,
        body,
        (tf.constant(0), tf.constant(True), first, infinity, rounds),
        maximum_iterations=length.shape[1] + 1,
    )
    row_round = of_rows(col_round, -tf.ones_like(rounds))
    return _Paths(row_distance, col_distance, row_round, col_round)


def _parents(length, paths):
    """The row before each column on its shortest path, int32 `[B, N]`.

    Distances do not fall along a path; edges of length 0 go to a later round, which keeps
    paths free of cycles. Where several rows are as near, such as equal ones, each column
    has an order of its own among them, so that they share the columns out.
    """
    rows, cols = paths.row_distance[:, :, None], paths.col_distance[:, None, :]
    shortest = tf.equal(rows + length, cols)
    earlier = paths.row_round[:, :, None] < paths.col_round[:, None, :]
    n = length.shape[1]
    order = tf.where(shortest & ((rows < cols) | earlier), _orders(n), n * n)
    return tf.math.floormod(tf.reduce_min(order, axis=1), n)


def _orders(n):
    """For each column the rows in an order of its own: int32 `[N, N]`, `k n + row`."""
    rng = np.random.default_rng(0)
    orders = rng.permuted(np.tile(np.arange(n), (n, 1)), axis=1).T
    return (orders * n + np.arange(n)[:, None]).astype(np.int32)


def _disjoint_paths(parent, col_of, ends, distance):
    """The shortest path to an unmatched column from each unmatched row that has one.

    Args:
        parent: The row before each column.
        col_of: The column of each row, -1 for unmatched ones.
        ends: bool `[B, N]`, the unmatched columns that have a path.
        distance: `[B, N]`, of the columns.

    Returns:
        The ends of these paths, and all columns on them: bool `[B, N]`.
    """
    n = parent.shape[1]
    cols = tf.range(n)
    # The column before each column, or itself.
    step = tf.gather(col_of, parent, batch_dims=1)
    step = tf.where(step < 0, cols, step)
    steps = []
    for _ in range(max(1, math.ceil(math.log2(n)))):
        steps.append(step)
        step = tf.gather(step, step, batch_dims=1)
    root = tf.gather(parent, step, batch_dims=1)
    # Near ends keep duals small, and with them their digits.
    infinity = tf.constant(math.inf, distance.dtype)
    nearest = _least_of_each(tf.where(ends, distance, infinity), root)
    ends &= tf.equal(distance, nearest)
    ends &= tf.equal(_least_of_each(tf.where(ends, cols, n), root), cols)
    turned = ends
    for step in steps:
        turned |= _scatter_any(turned, step)
    return ends, turned


def _inverse(row_of):
    """int32 `[B, N]` of columns -> of rows, -1 for those of no column."""
    n = row_of.shape[1]
    index = tf.where(row_of < 0, n, row_of)
    cols = tf.range(n) + tf.zeros_like(row_of)
    flat, total = _flat(index, n + 1)
    inverse = tf.math.unsorted_segment_max(tf.reshape(cols, [-1]), flat, total)
    return tf.maximum(tf.reshape(inverse, [-1, n + 1])[:, :n], -1)


def _least_of_each(values, index):
    """For each value the smallest of those that share its index: `[B, N]`."""
    flat, total = _flat(index, values.shape[1])
    smallest = tf.math.unsorted_segment_min(tf.reshape(values, [-1]), flat, total)
    return tf.reshape(tf.gather(smallest, flat), tf.shape(values))


def _scatter_any(marks, index):
    """bool `[B, N]`, whether any of the marks has this index."""
    n = marks.shape[1]
    flat, total = _flat(index, n)
    values = tf.reshape(tf.cast(marks, tf.int32), [-1])
    return tf.reshape(tf.math.unsorted_segment_max(values, flat, total), [-1, n]) > 0


def _flat(index, size):
    """Indices `[B, N]` below `size` into `[B size]`, and `B size`."""
    batch = tf.shape(index)[0]
    return tf.reshape(index + size * tf.range(batch)[:, None], [-1]), batch * size
