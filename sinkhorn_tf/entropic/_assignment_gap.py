"""The exact gap of the assignment problem.

Node k of the residual graph is row k with its column `perm[k]` of the best
permutation; the edge k -> l puts row k into l's column. Every other permutation is a
set of disjoint cycles of that graph. With the reduced costs of optimal duals as
weights no edge is negative, and a cycle weighs what it adds to the cost. So the
second best permutation is the lightest cycle, and the best strictly worse one the
lightest cycle of positive weight: it has an edge of positive weight, and the shortest
way back closes the cycle.
"""

import math

import numpy as np
from scipy.optimize import linear_sum_assignment

from sinkhorn_tf.entropic import _checks


def assignment_gap(cost, *, tolerance=None):
    """From the best permutation to the best *strictly worse* one (EP, Definition 1).

    This is the gap of the Birkhoff polytope, which EP calls hard in general. For N
    rows it takes time N^3, about a second for 500.

    Args:
        cost: `[..., N, N]`, costs to minimise, minus the logits; +inf forbids a pair.
        tolerance: Reduced costs up to here are taken for 0, so that permutations made
            of them are tied with the best. None: what they can be off by rounding,
            `N 2^-50 max|cost|`; 0 for integers, which are exact. What counts as tied
            costs up to N times as much more than the best, and the bounds that rest
            on the gap hold up to that (Corollary 2).

    Returns:
        Float > 0, or float64 `[...]`; +inf where all permutations cost the same.

    Raises:
        ValueError: If a shape or number is out of range, or the forbidden pairs leave
            no permutation.
    """
    return _for_each(cost, tolerance, strictly=True)


def second_best_gap(cost):
    """From the best permutation to the second best, 0 if there are two best ones.

    Args:
        cost: As in `assignment_gap`.

    Returns:
        Float >= 0, or float64 `[...]`; +inf where there is only one permutation.

    Raises:
        ValueError: As `assignment_gap`.
    """
    return _for_each(cost, 0.0, strictly=False)


def optimal_duals(cost):
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
    # The edges of the residual graph, and the shortest paths to its nodes.
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


def rounding_of_duals(cost):
    """What the reduced costs can be off by rounding; 0 for integers."""
    if _checks.are_exact(cost, 4 * len(cost)):
        return 0.0
    return 4 * len(cost) * 2.0**-52 * np.abs(cost[np.isfinite(cost)]).max(initial=0.0)


def _for_each(cost, tolerance, strictly):
    cost = _checks.to_costs(cost)
    n = cost.shape[-1]
    gaps = [_gap(each, tolerance, strictly) for each in cost.reshape(-1, n, n)]
    return gaps[0] if cost.ndim == 2 else np.reshape(gaps, cost.shape[:-2])


def _gap(cost, tolerance, strictly):
    rounding = rounding_of_duals(cost)
    tolerance = _checks.to_tie_tolerance(tolerance, rounding)
    # By a power of 2: no digit changes, and no sum overflows.
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
        # Positive by rounding only.
        cycles[source, target] = math.inf


def _with_pair(cost, perm, reduced, row, col):
    """What the best permutation with this pair costs more than the best of all.

    A sum without rounding of the costs themselves; the reduced costs are rounded.
    """
    forced = reduced.copy()
    forced[row] = math.inf
    forced[row, col] = reduced[row, col]
    rows, other = linear_sum_assignment(forced)
    return math.fsum([*cost[rows, other], *-cost[rows, perm]])


def _shortest_paths(edges):
    """Floyd and Warshall: float64 `[N, N]`, without the way from a node to itself."""
    distance = edges.copy()
    for k in range(len(distance)):
        through = distance[:, k, None] + distance[None, k, :]
        np.minimum(distance, through, out=distance)
    return distance
