"""The exact gap of the assignment problem.

Node k of the residual graph is row k with its column `perm[k]` of the best
permutation; the edge k -> l puts row k into l's column. Every other permutation is a
set of disjoint cycles of that graph. With the reduced costs of optimal duals as
weights no edge is negative, and a cycle weighs what it adds to the cost. So the
second best permutation is the lightest cycle, and the best strictly worse one the
lightest cycle of positive weight: it has an edge of positive weight, and the shortest
way back closes the cycle.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csgraph

from sinkhorn_tf.entropic import _numpy_arguments


def assignment_gap(
    cost: ArrayLike, *, tolerance: float | None = None
) -> float | np.ndarray:
    """The cost from the best permutation to the best *strictly worse* one.

    This is the gap of the Birkhoff polytope (Weed 2018, Definition 1), said there to
    be hard to compute in general. For N rows it takes time N^3, about a second for 500.
    It is about permutations: with integral masses of rows and columns the vertices are
    integral too, but with other masses they are not, and no such gap holds for them.

    Args:
        cost: `[..., N, N]`, costs to minimise, minus the logits; +inf forbids a pair.
        tolerance: Reduced costs up to this number are taken for 0, so that
            permutations made of them are tied with the best. None stands for the
            largest error by rounding, `N 2^-50 max|cost|`, or 0 for integers, which
            are exact. A permutation that counts as tied costs at most N times the
            tolerance more than the best, and the bounds that rest on the gap hold up
            to that (Corollary 2).

    Returns:
        Float > 0, or float64 `[...]`; +inf where all permutations cost the same.

    Raises:
        ValueError: If a shape or number is out of range, or the forbidden pairs leave
            no permutation.

    Example:

    >>> st.entropic.assignment_gap([[0, 0, 5], [0, 0, 5], [5, 5, 0]])
    10.0
    """
    return _for_each(cost, tolerance, strictly=True)


def second_best_gap(cost: ArrayLike) -> float | np.ndarray:
    """The cost from the best permutation to the second best, 0 if two are the best.

    Args:
        cost: As in `assignment_gap`.

    Returns:
        Float >= 0, or float64 `[...]`; +inf where there is only one permutation.

    Raises:
        ValueError: As `assignment_gap`.

    Example:

    >>> st.entropic.second_best_gap([[0, 0, 5], [0, 0, 5], [5, 5, 0]])
    0.0
    """
    return _for_each(cost, 0.0, strictly=False)


def optimal_duals(cost: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The best permutation, and duals that prove it.

    Args:
        cost: float64 `[N, N]`, without NaN or -inf.

    Returns:
        `(perm, reduced)`: the columns of the rows, and `[N, N]` the reduced costs
        `cost_ij - f_i - g_j`: 0 at the permutation, not negative elsewhere.
    """
    try:
        _, perm = linear_sum_assignment(cost)
    except ValueError as error:
        raise ValueError(
            "cost must leave a permutation without a forbidden pair. Received: "
            f"{int(np.isinf(cost).sum())} pairs of cost +inf"
        ) from error
    rows = np.arange(len(cost))
    # The edges of the residual graph, and the shortest paths to its nodes. Bellman and
    # Ford's iterations by hand: SciPy's refuse a graph where rounding has made a cycle
    # of tied permutations slightly negative.
    weights = cost[:, perm] - cost[rows, perm][:, None]
    distance = np.zeros(len(cost))
    for _ in rows:
        shorter = (distance[:, None] + weights).min(0)
        if (shorter >= distance).all():
            break
        distance = np.minimum(distance, shorter)
    reduced = np.maximum(weights + distance[:, None] - distance[None, :], 0)
    reduced[rows, rows] = 0
    return perm, reduced[:, np.argsort(perm)]


def rounding_of_duals(cost: np.ndarray) -> float:
    """The largest error of the reduced costs by rounding; 0 for integers."""
    if _numpy_arguments.sums_are_exact(cost, 4 * len(cost)):
        return 0.0
    return 4 * len(cost) * 2.0**-52 * np.abs(cost[np.isfinite(cost)]).max(initial=0.0)


def _for_each(cost, tolerance, strictly):
    cost = _numpy_arguments.to_costs(cost)
    n = cost.shape[-1]
    gaps = [_gap(each, tolerance, strictly) for each in cost.reshape(-1, n, n)]
    return gaps[0] if cost.ndim == 2 else np.reshape(gaps, cost.shape[:-2])


def _gap(cost, tolerance, strictly):
    rounding = rounding_of_duals(cost)
    tolerance = _numpy_arguments.to_tie_tolerance(tolerance, rounding)
    # Scaling by a power of 2 changes no digit, and afterwards no sum overflows.
    _, exponent = np.frexp(np.abs(cost[np.isfinite(cost)]).max(initial=0.0))
    cost = np.ldexp(cost, -exponent)
    perm, reduced = optimal_duals(cost)
    edges = reduced[:, perm]
    edges[edges <= np.ldexp(tolerance, -exponent)] = 0
    np.fill_diagonal(edges, math.inf)
    cycles = edges + _shortest_paths(edges).T
    if strictly:
        cycles[edges == 0] = math.inf
    while True:
        source, target = np.unravel_index(np.argmin(cycles), cycles.shape)
        if np.isinf(cycles[source, target]):
            return math.inf
        gap = _with_pair(cost, perm, reduced, source, perm[target])
        if gap > 0 or not strictly:
            with np.errstate(over="ignore"):
                gap = np.ldexp(max(gap, 0.0), exponent)
            # A gap too large for float64 is not +inf, which says there is none.
            return float(min(gap, np.finfo(np.float64).max))
        # This cycle is positive by rounding only.
        cycles[source, target] = math.inf


def _with_pair(cost, perm, reduced, row, col):
    """The cost of the best permutation with this pair, less that of the best of all.

    It is summed without rounding from the costs themselves; the reduced costs are
    rounded.
    """
    forced = reduced.copy()
    forced[row] = math.inf
    forced[row, col] = reduced[row, col]
    rows, other = linear_sum_assignment(forced)
    return math.fsum([*cost[rows, other], *-cost[rows, perm]])


def _shortest_paths(edges):
    """The lengths of shortest paths, float64 `[N, N]`; 0 from a node to itself."""
    # A dense graph would lose its edges of weight 0, which a sparse one stores.
    graph = csgraph.csgraph_from_dense(edges, null_value=math.inf)
    return csgraph.floyd_warshall(graph)
