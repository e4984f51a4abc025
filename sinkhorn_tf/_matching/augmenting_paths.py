"""Linear assignment by shortest augmenting paths, in lock step over a batch.

Every row is placed; there may be more columns. With more columns than rows the duals g
are >= 0, and 0 in the end for every column that no row has. The first duals may break
this. Then the slack, one more row whose scores are 0, searches too: until a path ends at
such a column, all duals fall by the length of the paths to them.

Jonker & Volgenant 1987, A shortest augmenting path algorithm for dense and sparse
linear assignment problems, for maximisation. Every example is a small machine that
advances by itself at each step of one loop: it scans a row of its own search, or
flips one edge of the path it has found, or is done.

It differs from the paper in two points. The first duals come from `warm_start` instead
of column reduction and augmenting row reduction, and mostly leave few rows to search
for. Equal rows are scanned once in a search (`_equal_rows`): otherwise k of them, such
as the black pieces of a puzzle, would cost k^2 / 2 scans. Few rows need no search
(`held_karp`), and plain graphs, which pay for each step, take `sweeps` where they can.
"""

import math
import typing

import tensorflow as tf

from sinkhorn_tf._core import batching
from sinkhorn_tf._matching import sweeps
from sinkhorn_tf._matching.held_karp import assign_few, is_few
from sinkhorn_tf._matching.warm_start import warm_duals


class _Search(typing.NamedTuple):
    """The state of all examples: `[B]`, `[B, N]` over rows, `[B, M]` over columns.

    Except for whole squares the slack is the last row, which never has a column.
    """

    v: tf.Tensor  # [B, M] column duals of the minimisation
    row_of: tf.Tensor  # [B, M] matched row of each column, or -1
    col_of: tf.Tensor  # [B, N] matched column of each row, -1, or M if it needs none
    class_of: tf.Tensor  # [B, M] class of the matched row of each column, or -1
    distance: tf.Tensor  # [B, M] shortest known path to each column
    before: tf.Tensor  # [B, M] the row through which that path comes
    closed: tf.Tensor  # [B, M] columns whose distance is final
    row: tf.Tensor  # [B] the row to scan next
    offset: tf.Tensor  # [B] length of the path to that row, less its dual
    col: tf.Tensor  # [B] the column to flip next, or -1 while searching
    done: tf.Tensor  # [B]


class _Problem(typing.NamedTuple):
    """What does not change while the search goes on."""

    cost: tf.Tensor  # [B, N, M]
    row_class: tf.Tensor  # [B, N] the first of the rows that are equal to this one
    more_cols: tf.Tensor | None  # [B] as in `Existing`, None for whole squares


def assign(x, largest=math.inf, duals=True, existing=None):
    """Matches rows to columns so that the sum is largest.

    Args:
        x: float64 `[B, N, M]`, N <= M; `-inf` forbids a pair.
        largest: A bound of the magnitudes of finite elements, if one is known.
        duals: Whether to return duals.
        existing: The `Existing`; None for whole squares.

    Returns:
        `(perm, g)`: int32 `[B, N]`, -1 for a row that does not exist, and throughout for
        an example with NaN or +inf or where the rows cannot all be placed; column duals
        `[B, M]`, finite, such that each row of `x - g` has its maximum at the matched
        column, up to rounding, 0 for columns that do not exist. With more columns than
        rows they are >= 0, and 0 for the columns of no row. Without `duals` they may
        be None.
    """
    invalid = batching.find_invalid(x)
    scale = None
    if largest > 1e300:
        x, scale = _scaled(x)
    if is_few(x):
        perm, g = assign_few(x, invalid, duals, existing)
        perm = tf.where(invalid[:, None], -1, perm)
    else:
        perm, g = _search(x, invalid, existing)
    if g is None:
        return perm, None
    if scale is not None:
        g = g / scale
    return perm, g if existing is None else tf.where(existing.cols, g, 0)


def _scaled(x):
    """`x`, made smaller where differences would overflow, and the factor `[B, 1]`."""
    size = tf.reduce_max(tf.where(tf.math.is_finite(x), tf.abs(x), 0), axis=[1, 2])
    one = tf.ones_like(size)
    scale = tf.where(size > 1e300, one * 2.0**-40, one)
    return x * scale[:, None, None], scale[:, None]


def _search(x, invalid, existing=None):
    """`assign` of any number of items."""
    x = batching.where(invalid, tf.zeros_like(x), x)
    g = warm_duals(x, existing)
    if existing is None and sweeps.is_for_sweeps(x):
        perm, g = sweeps.assign(x, g, skipped=invalid)
        solved = tf.reduce_all(perm >= 0, axis=1, keepdims=True)
        return tf.where(solved, perm, -1), g
    state = _first_state(x, g, invalid, existing)
    # Without a search there is no use for the classes of equal rows.
    row_class = tf.cond(
        tf.reduce_all(state.done),
        lambda: tf.zeros_like(x[:, :, 0], tf.int32),
        lambda: _equal_rows(x),
    )
    state = state._replace(
        class_of=tf.where(
            state.row_of < 0, -1, _at(row_class, tf.maximum(state.row_of, 0))
        )
    )
    n, m = tf.unstack(tf.shape(x)[1:])
    if existing is None:
        problem = _Problem(-x, row_class, None)
        searches = n
    else:
        slack = tf.where(existing.cols, tf.zeros_like(state.v), math.inf)
        cost = tf.concat([-x, slack[:, None, :]], axis=1)
        # The slack is in no class of rows, even if their scores are 0, too.
        row_class = tf.concat([row_class, tf.fill([tf.shape(x)[0], 1], n)], axis=1)
        problem = _Problem(cost, row_class, existing.more_cols)
        searches = n + m
    # A search needs at most n + 1 scans and n + 1 flips.
    state = tf.while_loop(
        lambda state: ~tf.reduce_all(state.done),
        lambda state: (_advance(problem, state),),
        (state,),
        maximum_iterations=2 * searches * (n + 1) + 1,
    )[0]
    col_of = state.col_of
    if existing is not None:
        col_of = col_of[:, :-1]
    solved = ~invalid & tf.reduce_all(col_of >= 0, axis=1)
    return tf.where(solved[:, None] & (col_of < m), col_of, -1), -state.v


def _tight_pairs(x, g):
    """A matching of pairs that are tight at the duals.

    Returns:
        `(col_of, row_of)`: int32 `[B, N]` and `[B, M]`, -1 where there is none.
    """
    n, m = tf.unstack(tf.shape(x)[1:])
    rows, cols = tf.range(n), tf.range(m)
    # The operator `==` gives a result of unknown rank where sizes are unknown.
    reduced = x - g[:, None, :]
    best = tf.reduce_max(reduced, axis=2, keepdims=True)
    tight = tf.equal(reduced, best) & (best > -math.inf)
    choice = tf.reduce_min(tf.where(tight, cols, m), axis=2)
    # A column goes to the first row that wants it.
    wants = tf.equal(choice[:, :, None], cols)
    row_of = tf.reduce_min(tf.where(wants, rows[:, None], n), axis=1)
    won = tf.equal(_at(row_of, tf.minimum(choice, m - 1)), rows)
    col_of = tf.where(won & (choice < m), choice, -1)
    return col_of, tf.where(row_of < n, row_of, -1)


def _first_state(x, g, invalid, existing=None):
    """The matching of pairs that are tight at the duals, and the first row to search."""
    col_of, row_of = _tight_pairs(x, g)
    more_cols = None
    if existing is not None:
        more_cols = existing.more_cols
        # The rows that do not exist count as placed, the slack does not.
        col_of = tf.where(existing.rows, col_of, tf.shape(x)[2])
        col_of = tf.pad(col_of, [[0, 0], [0, 1]], constant_values=-1)
    row, complete = _next_row(more_cols, -g, row_of, col_of)
    return _Search(
        v=-g,
        row_of=row_of,
        col_of=col_of,
        class_of=tf.zeros_like(row_of),
        distance=tf.fill(tf.shape(g), tf.constant(math.inf, tf.float64)),
        before=tf.zeros_like(row_of),
        closed=tf.zeros_like(g, tf.bool),
        row=row,
        offset=tf.zeros_like(g[:, 0]),
        col=tf.fill(tf.shape(row), -1),
        done=invalid | complete,
    )


def _equal_rows(x):
    """For each row the first one equal to it, or itself: int32 `[B, N]`.

    Equal rows have equal checksums; a comparison separates other rows that share one.
    """
    n, m = tf.unstack(tf.shape(x)[1:])
    index = tf.range(n)
    # Any weights do that have no simple relation: a checksum shared by unequal rows
    # costs scans, not correctness. The cosine needs no generator and no state.
    weights = tf.cos(1.7 * tf.cast(tf.range(m), tf.float64))
    checksum = tf.reduce_sum(tf.where(x > -math.inf, x, 0) * weights, axis=2)
    same = tf.equal(checksum[:, :, None], checksum[:, None, :])
    first = tf.reduce_min(tf.where(same, index, n - 1), axis=2)
    equal = tf.reduce_all(tf.equal(x, tf.gather(x, first, batch_dims=1)), axis=2)
    return tf.where(equal, first, index)


def _advance(problem, state):
    """One step of every example."""
    searching = ~state.done & (state.col < 0)
    flipping = ~state.done & (state.col >= 0)
    return _flip(problem, _scan(problem, state, searching), flipping)


def _scan(problem, state, where):
    """Relaxes the paths through `row`, then fixes the nearest column."""
    reach = _at(problem.cost, state.row) - state.v + state.offset[:, None]
    nearer = where[:, None] & ~state.closed & (reach < state.distance)
    distance = tf.where(nearer, reach, state.distance)
    # The column of an equal row is as near as this row's own and opens no new path.
    same_class = tf.equal(state.class_of, _at(problem.row_class, state.row)[:, None])
    if problem.more_cols is not None:
        # Columns of no row whose dual is 0 are the slack's own.
        released = (state.row_of < 0) & (state.v == 0)
        same_class |= released & _is_slack(state.row, state)[:, None]
    closed = state.closed | (where[:, None] & same_class)
    open_distance = tf.where(closed, tf.constant(math.inf, tf.float64), distance)
    nearest = tf.reduce_min(open_distance, axis=1)
    # Two plain minima are faster than argmin.
    m = tf.shape(open_distance)[1]
    at_nearest = tf.equal(open_distance, nearest[:, None])
    col = tf.reduce_min(tf.where(at_nearest, tf.range(m), m - 1), axis=1)
    stuck = where & (nearest == math.inf)
    row = _at(state.row_of, col)
    arrives = where & ~stuck & (row < 0)
    goes_on = where & ~stuck & (row >= 0)
    # When the search is over, the duals of the columns nearer than the last change.
    change = tf.minimum(distance - nearest[:, None], 0)
    if problem.more_cols is not None:
        # The slack's own dual stays 0, hence those of the columns fall instead.
        of_slack = tf.reduce_all(state.col_of[:, :-1] >= 0, axis=1)
        fall = tf.minimum(distance, nearest[:, None])
        change = tf.where(of_slack[:, None], fall, change)
    row = tf.maximum(row, 0)
    matched_cost = tf.gather_nd(problem.cost, tf.stack([row, col], 1), batch_dims=1)
    offset = nearest - (matched_cost - _at(state.v, col))
    return state._replace(
        v=state.v + tf.where(arrives[:, None], change, 0),
        distance=distance,
        before=tf.where(nearer, state.row[:, None], state.before),
        closed=closed | (goes_on[:, None] & _one_hot(col, closed)),
        row=tf.where(goes_on, row, state.row),
        offset=tf.where(goes_on, offset, state.offset),
        col=tf.where(arrives, col, state.col),
        done=state.done | stuck,
    )


def _flip(problem, state, where):
    """Matches `col` to the row before it, and goes on to the old column of that row.

    Where the row had no column, a new search starts, if there is a row to start from.
    """
    col = tf.maximum(state.col, 0)
    row = _at(state.before, col)
    old_col = _at(state.col_of, row)
    turned = where[:, None] & _one_hot(col, state.closed)
    placed = where[:, None] & _one_hot(row, state.col_of)
    new_row, new_class = row, _at(problem.row_class, row)
    if problem.more_cols is not None:
        # The slack only releases the column.
        slack = _is_slack(row, state)
        placed &= ~slack[:, None]
        new_row, new_class = (tf.where(slack, -1, x) for x in (new_row, new_class))
    row_of = tf.where(turned, new_row[:, None], state.row_of)
    col_of = tf.where(placed, col[:, None], state.col_of)
    starts = where & (old_col < 0)
    next_row, complete = _next_row(problem.more_cols, state.v, row_of, col_of)
    infinity = tf.constant(math.inf, tf.float64)
    return state._replace(
        row_of=row_of,
        col_of=col_of,
        class_of=tf.where(turned, new_class[:, None], state.class_of),
        distance=tf.where(starts[:, None], infinity, state.distance),
        closed=state.closed & ~starts[:, None],
        row=tf.where(starts, next_row, state.row),
        offset=tf.where(starts, tf.zeros_like(state.offset), state.offset),
        col=tf.where(where, old_col, state.col),
        done=state.done | (starts & complete),
    )


def _next_row(more_cols, v, row_of, col_of):
    """The first row to search for, and whether there is none.

    That is an unmatched row; when all are matched, the slack as long as a column of no
    row has a dual that is not 0.
    """
    n = tf.shape(col_of)[1]
    unmatched = col_of < 0
    if more_cols is not None:
        bound = more_cols & tf.reduce_any((row_of < 0) & (v < 0), axis=1)
        unmatched &= bound[:, None] | (tf.range(n) < n - 1)
    row = tf.reduce_min(tf.where(unmatched, tf.range(n), n), axis=1)
    return tf.minimum(row, n - 1), row == n


def _is_slack(row, state):
    return row == tf.shape(state.col_of)[1] - 1


def _at(values, index):
    """`values[b, index[b]]`."""
    return tf.gather(values, index, batch_dims=1)


def _one_hot(index, like):
    """bool `[B, N]`, True at `index`."""
    return tf.equal(tf.range(tf.shape(like)[1]), index[:, None])
