"""Linear assignment by shortest augmenting paths, in lock step over a batch.

Jonker & Volgenant 1987, A shortest augmenting path algorithm for dense and sparse
linear assignment problems, for maximisation. Every example is a small machine that
advances by itself at each step of one loop: it scans a row of its own search, or
flips one edge of the path it has found, or is done.

Differs from the paper in: the first duals come from `warm_start` instead of column
reduction and augmenting row reduction, and mostly leave few rows to search for;
equal rows are scanned once in a search (`_equal_rows`), without which k of them,
such as the black pieces of a puzzle, cost k^2 / 2 scans. A few rows need no search
(`subsets`).
"""

import math
import typing

import tensorflow as tf

from sinkhorn_tf._matching.held_karp import assign_few, is_few
from sinkhorn_tf._matching.warm_start import warm_duals

# Examples whose duals are moved at a time: enough work for one step, and their
# distances stay in the cache.
CHUNK = 8


class _Search(typing.NamedTuple):
    """The state of all examples: `[B]`, or `[B, N]` over columns or rows."""

    v: tf.Tensor  # [B, N] column duals of the minimisation
    row_of: tf.Tensor  # [B, N] matched row of each column, or -1
    col_of: tf.Tensor  # [B, N] matched column of each row, or -1
    kind_of: tf.Tensor  # [B, N] kind of the matched row of each column, or -1
    distance: tf.Tensor  # [B, N] shortest known path to each column
    before: tf.Tensor  # [B, N] the row through which that path comes
    closed: tf.Tensor  # [B, N] columns whose distance is final
    row: tf.Tensor  # [B] the row to scan next
    offset: tf.Tensor  # [B] length of the path to that row, less its dual
    col: tf.Tensor  # [B] the column to flip next, or -1 while searching
    done: tf.Tensor  # [B]


def assign(x, largest=math.inf, duals=True):
    """Matches rows to columns so that the sum is largest.

    Args:
        x: float64 `[B, N, N]`; `-inf` forbids a pair.
        largest: What no finite element exceeds in size, if that is known.
        duals: Whether the duals are wanted.

    Returns:
        `(perm, g)`: int32 `[B, N]`, -1 throughout for an example with NaN or +inf or
        without any permutation; column duals `[B, N]`, finite, such that each row of
        `x - g` has its maximum at the matched column, up to rounding. Without `duals`
        they may be None.
    """
    poisoned = ~tf.reduce_all(x < math.inf, axis=[1, 2])
    scale = None
    if largest > 1e300:
        x, scale = _scaled(x)
    if is_few(x):
        perm, g = assign_few(x, poisoned, duals)
        perm = tf.where(poisoned[:, None], -1, perm)
    else:
        perm, g = _search(x, poisoned)
    return perm, g if g is None or scale is None else g / scale


def _scaled(x):
    """Smaller where differences would overflow, and the factor `[B, 1]`."""
    size = tf.reduce_max(tf.where(tf.math.is_finite(x), tf.abs(x), 0), axis=[1, 2])
    one = tf.ones_like(size)
    scale = tf.where(size > 1e300, one * 2.0**-40, one)
    return x * scale[:, None, None], scale[:, None]


def _search(x, poisoned):
    """`assign` of any number of items."""
    x = tf.where(poisoned[:, None, None], tf.zeros_like(x), x)
    state = _first_state(x, warm_duals(x), poisoned)
    # No kinds to look for where nothing is left to search for.
    kind = tf.cond(
        tf.reduce_all(state.done),
        lambda: tf.zeros_like(state.col_of),
        lambda: _equal_rows(x),
    )
    state = state._replace(
        kind_of=tf.where(state.row_of < 0, -1, _at(kind, tf.maximum(state.row_of, 0)))
    )
    n = tf.shape(x)[-1]
    cost = -x
    # A row needs at most n scans and n flips.
    state = tf.while_loop(
        lambda state: ~tf.reduce_all(state.done),
        lambda state: (_advance(cost, kind, state),),
        (state,),
        maximum_iterations=2 * n * n + 1,
    )[0]
    solved = ~poisoned & tf.reduce_all(state.col_of >= 0, axis=1)
    return tf.where(solved[:, None], state.col_of, -1), -state.v


def interior_duals(x, perm, g, needed):
    """Moves optimal duals into the interior of the optimal face.

    The duals that a search ends with are tight on many pairs besides the matched
    ones, and then prove nothing to a strict comparison. Adding to `g` the average
    over all columns s of the shortest path lengths to s in the residual graph keeps
    them optimal and leaves slack on every other pair if the matching is unique.

    Args:
        x: float64 `[B, N, N]`, no NaN or +inf.
        perm: int32 `[B, N]`, optimal permutations.
        g: float64 `[B, N]`, optimal column duals.
        needed: bool `[B]`, the examples to do it for; the work is N^3 for each.

    Returns:
        float64 `[B, N]`, `g` in the other examples.
    """
    batch = tf.shape(x)[0]
    order = tf.argsort(tf.cast(~needed, tf.int32), stable=True)
    count = tf.reduce_sum(tf.cast(needed, tf.int32))
    chunk = tf.range(tf.minimum(CHUNK, batch))

    def move_chunk(start, moved):
        # The last chunk may repeat an example, or hold some that need nothing.
        index = tf.gather(order, tf.minimum(start + chunk, batch - 1))
        part = _interior_duals(*(tf.gather(each, index) for each in (x, perm, g)))
        part = tf.where(tf.gather(needed, index)[:, None], part, tf.gather(g, index))
        moved = tf.tensor_scatter_nd_update(moved, index[:, None], part)
        return start + CHUNK, moved

    return tf.while_loop(lambda start, _: start < count, move_chunk, (0, g))[1]


def _interior_duals(x, perm, g):
    """`interior_duals` of every example."""
    # Node k is row k with its column perm[k]; edge k -> l is row k in l's column.
    reduced = tf.gather(x - g[:, None, :], perm, axis=2, batch_dims=1)
    slack = tf.linalg.diag_part(reduced)[:, :, None] - reduced
    n = tf.shape(x)[-1]

    def through(k, distance):
        return k + 1, tf.minimum(
            distance, distance[:, :, k, None] + distance[:, k, None, :]
        )

    # Floyd and Warshall.
    _, distance = tf.while_loop(
        lambda k, _: k < n,
        through,
        (tf.constant(0), tf.maximum(slack, 0)),
        maximum_iterations=n,
    )
    # The unreachable count as the farthest that can be reached.
    finite = tf.math.is_finite(distance)
    largest = tf.reduce_max(
        tf.where(finite, distance, tf.zeros_like(distance)), axis=[1, 2], keepdims=True
    )
    average = tf.reduce_mean(tf.minimum(distance, largest), axis=2)
    return g + tf.gather(average, tf.argsort(perm, axis=1), batch_dims=1)


def _first_state(x, g, poisoned):
    """The matching of what is tight at the duals, and the first row to search for."""
    n = tf.shape(x)[-1]
    index = tf.range(n)
    reduced = x - g[:, None, :]
    best = tf.reduce_max(reduced, axis=2, keepdims=True)
    tight = (reduced == best) & (best > -math.inf)
    choice = tf.reduce_min(tf.where(tight, index, n), axis=2)
    # A column goes to the first row that wants it.
    wants = choice[:, :, None] == index
    row_of = tf.reduce_min(tf.where(wants, index[:, None], n), axis=1)
    won = _at(row_of, tf.minimum(choice, n - 1)) == index
    col_of = tf.where(won & (choice < n), choice, -1)
    row, complete = _next_row(col_of)
    return _Search(
        v=-g,
        row_of=tf.where(row_of < n, row_of, -1),
        col_of=col_of,
        kind_of=tf.zeros_like(col_of),
        distance=tf.fill(tf.shape(g), tf.constant(math.inf, tf.float64)),
        before=tf.zeros_like(col_of),
        closed=tf.zeros_like(won),
        row=row,
        offset=tf.zeros_like(g[:, 0]),
        col=tf.fill(tf.shape(row), -1),
        done=poisoned | complete,
    )


def _equal_rows(x):
    """For each row the first one equal to it, or itself: int32 `[B, N]`.

    Equal rows have equal checksums; what other rows share one, the comparison tells.
    """
    n = tf.shape(x)[-1]
    index = tf.range(n)
    weights = tf.cos(1.7 * tf.cast(index, tf.float64))
    checksum = tf.reduce_sum(tf.where(x > -math.inf, x, 0) * weights, axis=2)
    same = checksum[:, :, None] == checksum[:, None, :]
    first = tf.reduce_min(tf.where(same, index, n - 1), axis=2)
    equal = tf.reduce_all(x == tf.gather(x, first, batch_dims=1), axis=2)
    return tf.where(equal, first, index)


def _advance(cost, kind, state):
    """One step of every example."""
    searching = ~state.done & (state.col < 0)
    flipping = ~state.done & (state.col >= 0)
    return _flip(_scan(cost, kind, state, searching), kind, flipping)


def _scan(cost, kind, state, where):
    """Relaxes the paths through `row`, then fixes the nearest column."""
    reach = _at(cost, state.row) - state.v + state.offset[:, None]
    nearer = where[:, None] & ~state.closed & (reach < state.distance)
    distance = tf.where(nearer, reach, state.distance)
    # The column of an equal row is as near as this row's own, and leads nowhere new.
    same_kind = state.kind_of == _at(kind, state.row)[:, None]
    closed = state.closed | (where[:, None] & same_kind)
    open_distance = tf.where(closed, tf.constant(math.inf, tf.float64), distance)
    nearest = tf.reduce_min(open_distance, axis=1)
    # argmin is slower than two plain minima.
    n = tf.shape(kind)[1]
    at_nearest = open_distance == nearest[:, None]
    col = tf.reduce_min(tf.where(at_nearest, tf.range(n), n - 1), axis=1)
    stuck = where & (nearest == math.inf)
    row = _at(state.row_of, col)
    found = where & ~stuck & (row < 0)
    on = where & ~stuck & (row >= 0)
    # The duals of the columns nearer than the last, when the search is over.
    closer = tf.minimum(distance - nearest[:, None], 0)
    row = tf.maximum(row, 0)
    matched_cost = tf.gather_nd(cost, tf.stack([row, col], 1), batch_dims=1)
    offset = nearest - (matched_cost - _at(state.v, col))
    return state._replace(
        v=state.v + tf.where(found[:, None], closer, 0),
        distance=distance,
        before=tf.where(nearer, state.row[:, None], state.before),
        closed=closed | (on[:, None] & _one_hot(col, closed)),
        row=tf.where(on, row, state.row),
        offset=tf.where(on, offset, state.offset),
        col=tf.where(found, col, state.col),
        done=state.done | stuck,
    )


def _flip(state, kind, where):
    """Matches `col` to the row before it, and goes on to that row's old column.

    Where that row had none, a new search starts, if there is a row to start from.
    """
    col = tf.maximum(state.col, 0)
    row = _at(state.before, col)
    old_col = _at(state.col_of, row)
    turned = where[:, None] & _one_hot(col, state.closed)
    placed = where[:, None] & _one_hot(row, state.closed)
    col_of = tf.where(placed, col[:, None], state.col_of)
    starts = where & (old_col < 0)
    next_row, complete = _next_row(col_of)
    infinity = tf.constant(math.inf, tf.float64)
    return state._replace(
        row_of=tf.where(turned, row[:, None], state.row_of),
        col_of=col_of,
        kind_of=tf.where(turned, _at(kind, row)[:, None], state.kind_of),
        distance=tf.where(starts[:, None], infinity, state.distance),
        closed=state.closed & ~starts[:, None],
        row=tf.where(starts, next_row, state.row),
        offset=tf.where(starts, tf.zeros_like(state.offset), state.offset),
        col=tf.where(where, old_col, state.col),
        done=state.done | (starts & complete),
    )


def _next_row(col_of):
    """The first unmatched row, and whether there is none."""
    n = tf.shape(col_of)[1]
    row = tf.reduce_min(tf.where(col_of < 0, tf.range(n), n), axis=1)
    return tf.minimum(row, n - 1), row == n


def _at(values, index):
    """`values[b, index[b]]`."""
    return tf.gather(values, index, batch_dims=1)


def _one_hot(index, like):
    """bool `[B, N]`, True at `index`."""
    return tf.range(tf.shape(like)[1]) == index[:, None]
