"""Optimal column duals, moved into the interior of the optimal face: the proofs.

The residual graph of a matching has a node for each matched pair, and an edge from k to
l as long as the loss of putting row k into l's column. Adding to optimal duals the
average over all nodes of the distances to them keeps the duals optimal, and leaves
slack on every other pair if the matching is unique.

All distances take N^3 operations. Less will do for a proof: distances over edges that are
all shorter by a little leave that little on every other pair, and exist unless other
matchings are as good to within it. Rounds over all edges find them, as many as the longest
chain of tight edges has: 42 and 59 for two matrices of random scores of N = 1000, where
Floyd and Warshall take 1000 such rounds.
"""

import math

import numpy as np
import tensorflow as tf

from sinkhorn_tf._core import batching
from sinkhorn_tf._matching.rectangular import invert

# Examples at a time: enough work for one step, and their distances stay in the cache.
CHUNK = 8
# The slack that a proof leaves on every other pair, in units of the mean loss. It is far
# above rounding, and smaller than what most second-best matchings lose.
_MARGIN = 2.0**-26


def loosen(x, perm, g, needed):
    """Moves optimal duals so that every other pair has some slack, if that is quick.

    Args:
        x, perm, g, needed: As in `move_inside`, for whole squares; the work is N^2 for
            each edge of the longest chain of tight ones.

    Returns:
        float64 `[B, N]`, optimal duals; `g` in examples whose chains have more than N / 2
            edges, such as those with several best matchings.
    """
    (moved,) = batching.update_in_chunks(
        lambda *inputs: (_loosen(*inputs),), (x, perm, g), (g,), needed, CHUNK
    )
    return moved


def _loosen(x, perm, g):
    slack = _slack(x, perm, g)
    finite = slack < math.inf
    count = tf.reduce_sum(tf.cast(finite, slack.dtype), axis=[1, 2], keepdims=True)
    # The sum of what has been divided does not overflow.
    parts = tf.where(finite, slack / count, 0)
    edges = slack - _MARGIN * tf.reduce_sum(parts, axis=[1, 2], keepdims=True)
    edges = tf.linalg.set_diag(edges, tf.zeros_like(g))

    def shorten(_, distance):
        shorter = tf.reduce_min(edges + distance[:, None, :], axis=2)
        # The diagonal makes it at most the old one.
        return tf.reduce_any(shorter < distance, axis=1), shorter

    moving, distance = tf.while_loop(
        lambda moving, _: tf.reduce_any(moving),
        shorten,
        (tf.ones_like(perm[:, 0], tf.bool), tf.zeros_like(g)),
        maximum_iterations=tf.shape(g)[1] // 2,
    )
    kept = moving | ~tf.reduce_all(tf.math.is_finite(distance), axis=1)
    return batching.where(kept, g, g + _by_column(distance, perm))


def move_inside(x, perm, g, needed, existing=None, least=None):
    """Moves optimal duals into the interior of the optimal face.

    The duals that a search ends with are tight on many pairs besides the matched
    ones, and then prove nothing to a strict comparison.

    Args:
        x: float64 `[B, N, M]`, N <= M, no NaN or +inf.
        perm: int32 `[B, N]`, optimal matchings; -1 for rows that do not exist.
        g: float64 `[B, M]`, optimal column duals.
        needed: bool `[B]`, the examples to do it for; the work is N^3 for each.
        existing: The `Existing`; None for whole squares.
        least: float64 `[B, M]`, bounds >= 0 of the duals, with which row duals are >= 0
            too; None for a bound of 0 of the columns alone.

    Returns:
        float64 `[B, M]`, `g` in the other examples.
    """
    if existing is None:
        move, inputs = _move_inside, (x, perm, g)
    elif least is not None:
        move, inputs = _move_existing_inside, (x, perm, g, *existing, least)
    else:
        move, inputs = _move_existing_inside, (x, perm, g, *existing)
    (moved,) = batching.update_in_chunks(
        lambda *inputs: (move(*inputs),), inputs, (g,), needed, CHUNK
    )
    return moved


def _move_inside(x, perm, g):
    """`move_inside` for every example."""
    distance = _shortest_paths(_slack(x, perm, g))
    distance = _without_infinity(distance, axis=[1, 2])
    return g + _by_column(tf.reduce_mean(distance, axis=2), perm)


def _slack(x, perm, g):
    """The edges `[B, N, N]` of the residual graphs of whole squares, >= 0."""
    reduced = tf.gather(x - g[:, None, :], perm, axis=2, batch_dims=1)
    slack = tf.linalg.diag_part(reduced)[:, :, None] - reduced
    return tf.maximum(slack, 0)


def _move_existing_inside(x, perm, g, rows, cols, more_cols, least=None):
    """`_move_inside` with one more node if there are more columns than rows.

    That node is matched to all columns of no row, whose duals are 0: its row has the
    score 0 for every column. With `least` it has that score, and another column of
    score 0 for all rows.
    """
    infinity = tf.constant(math.inf, g.dtype)
    safe = tf.maximum(perm, 0)
    reduced = x - g[:, None, :]
    matched = tf.where(rows, tf.gather(reduced, safe, batch_dims=2), 0)
    slack = matched[:, :, None] - tf.gather(reduced, safe, axis=2, batch_dims=1)
    slack = tf.where(rows[:, :, None] & rows[:, None, :], slack, infinity)
    row_of = invert(perm, tf.shape(x)[2])
    free = cols & (row_of < 0) & more_cols[:, None]
    rival = tf.reduce_max(tf.where(free[:, None, :], reduced, -infinity), axis=2)
    dual = g
    if least is not None:
        rival, dual = tf.maximum(rival, 0), g - least
    dual = tf.gather(dual, safe, batch_dims=1)
    from_node = tf.where(rows & more_cols[:, None], dual, infinity)
    slack = tf.concat([slack, (matched - rival)[:, :, None]], axis=2)
    last = tf.pad(from_node, [[0, 0], [0, 1]])
    slack = tf.concat([slack, last[:, None, :]], axis=1)
    distance = _shortest_paths(tf.maximum(slack, 0))
    distance = _without_infinity(distance, axis=[1, 2])
    nodes = tf.concat([rows, more_cols[:, None]], axis=1)
    count = tf.reduce_sum(tf.cast(nodes, g.dtype), axis=1, keepdims=True)
    total = tf.reduce_sum(tf.where(nodes[:, None, :], distance, 0), axis=2)
    rise = total / tf.maximum(count, 1)
    rise -= tf.where(more_cols[:, None], rise[:, -1:], 0)
    moved = g + tf.gather(rise, tf.maximum(row_of, 0), batch_dims=1)
    moved = batching.where(more_cols, tf.maximum(moved, 0), moved)
    return tf.where(row_of >= 0, moved, 0)


def _shortest_paths(edges):
    """The distances between all nodes, by the algorithm of Floyd and Warshall."""
    n = tf.shape(edges)[-1]

    def allow_node(k, distance):
        through_k = distance[:, :, k, None] + distance[:, k, None, :]
        return k + 1, tf.minimum(distance, through_k)

    _, distance = tf.while_loop(
        lambda k, _: k < n,
        allow_node,
        (tf.constant(0), edges),
        maximum_iterations=n,
    )
    return distance


def from_matching(rows, perm):
    """Column duals in the interior of the optimal face, from the matching alone.

    The distances to the nearest node are optimal duals, whatever the signs of the
    edges, since no cycle is negative.

    Args:
        rows: float64 `[N, N, B]`, the batch last, where sums and minima vectorise.
        perm: int32 `[B, N]`, optimal permutations.

    Returns:
        float64 `[B, N]`.
    """
    n = rows.shape[0]
    scores = tf.gather(tf.transpose(rows, [2, 0, 1]), perm, axis=2, batch_dims=1)
    matched = tf.linalg.diag_part(scores)[:, :, None]
    distance = tf.reshape(tf.transpose(matched - scores, [1, 2, 0]), [n * n, -1])
    start, middle, end = np.indices([n, n, n]).transpose(0, 2, 1, 3).reshape(3, n, -1)
    first, second = np.int32(start * n + middle), np.int32(middle * n + end)
    for _ in range(math.ceil(math.log2(n - 1))):
        # Each round allows paths of twice as many edges, until it allows all paths.
        paths = tf.gather(distance, first) + tf.gather(distance, second)
        distance = tf.reduce_min(paths, axis=0)
    distance = tf.reshape(distance, [n, n, -1])
    nearest = tf.reduce_min(distance, axis=1)
    distance = tf.maximum(distance - nearest[:, None] + nearest, 0)
    distance = _without_infinity(distance, axis=[0, 1])
    duals = nearest + tf.add_n(tf.unstack(distance, axis=1)) / n
    return _by_column(tf.transpose(duals), perm)


def _without_infinity(distance, axis):
    """A node that cannot be reached counts as the farthest one that can.

    Args:
        distance: Distances >= 0 between all nodes.
        axis: The axes of the nodes; the other one is that of the batch.
    """
    finite = tf.where(distance < math.inf, distance, 0)
    return tf.minimum(distance, tf.reduce_max(finite, axis=axis, keepdims=True))


def _by_column(values, perm):
    """Values `[B, N]` of nodes, in the order of their columns."""
    return tf.gather(values, tf.argsort(perm, axis=1), batch_dims=1)
