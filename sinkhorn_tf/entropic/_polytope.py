"""The polytope `{Ax = b, x >= 0}`: its support, and rows that are independent."""

from __future__ import annotations

import typing

import numpy as np
from scipy.linalg import qr
from scipy.optimize import linprog

# Rows are dependent up to this, relative to the largest entry of the factor R.
_RANK_TOLERANCE = 1e-11
# Equations are consistent up to this, relative to the largest right-hand side.
_CONSISTENCY_TOLERANCE = 1e-9
# Coordinates above this are positive.
_POSITIVE = 1e-9


class Polytope(typing.NamedTuple):
    """A polytope with an interior point, in the coordinates that can be positive."""

    A: np.ndarray  # [r, s], independent rows
    b: np.ndarray  # [r]
    support: np.ndarray  # bool [d], the coordinates that are not forced to 0
    interior: np.ndarray  # [s], positive, in the polytope up to rounding


def analyse(A: np.ndarray, b: np.ndarray) -> Polytope:
    """Checks `{Ax = b, x >= 0}`, and takes out redundant rows and zero coordinates.

    Args:
        A: float64 `[m, d]`, finite.
        b: float64 `[m]`, finite.

    Returns:
        A `Polytope`.

    Raises:
        ValueError: If the polytope is empty or unbounded.
    """
    A, b = _scaled(A, b)
    rows = _independent_rows(A, b)
    A, b = A[rows], b[rows]
    _check_bounded(A, b)
    support, interior = _relative_interior(A, b)
    A = A[:, support]
    # More rows can be dependent now that some coordinates are gone.
    rows = _independent_rows(*_scaled(A, b))
    return Polytope(A[rows], b[rows], support, interior[support])


def _scaled(A, b):
    """Scales each row to a largest coefficient of 1."""
    size = np.abs(A).max(1, initial=0.0)
    size = np.where(size > 0, size, 1.0)
    return A / size[:, None], b / size


def _independent_rows(A, b):
    """Indices of rows that span all rows; raises where `Ax = b` has no solution."""
    if not A.size:
        rank, order = 0, np.arange(len(A))
    else:
        factors: typing.Any = qr(A.T, mode="economic", pivoting=True)
        _, upper, order = factors
        diagonal = np.abs(np.diag(upper))
        rank = int((diagonal > _RANK_TOLERANCE * max(A.shape) * diagonal[0]).sum())
    rows = np.sort(order[:rank])
    # The solution of least norm of these rows must solve the others.
    x = np.zeros(A.shape[1])
    if rank:
        x = np.linalg.lstsq(A[rows], b[rows], rcond=None)[0]
    error = np.abs(A @ x - b)
    if (error > _CONSISTENCY_TOLERANCE * max(np.abs(b).max(initial=0.0), 1e-300)).any():
        raise ValueError(
            "Ax = b must have a solution x >= 0: its equations contradict each other. "
            f"Received: error of the best solution={error.max():.3g}"
        )
    return rows


def _check_bounded(A, b):
    """Raises where the polytope is empty or unbounded."""
    d = A.shape[1]
    if not len(A):
        raise ValueError(
            "{Ax = b, x >= 0} must be bounded. Received: no equation but 0 = 0"
        )
    scale = np.abs(b).max()
    result = _solve(-np.ones(d), A, b / scale if scale > 0 else b)
    if result.status == 2:
        raise ValueError(
            "Ax = b must have a solution x >= 0. Received: an infeasible A, b"
        )
    # The polytope is bounded if and only if it has no direction of recession.
    recession = _solve(-np.ones(d), A, np.zeros_like(b), upper=1.0)
    if result.status == 3 or -recession.fun > 1e-6:
        raise ValueError(
            "{Ax = b, x >= 0} must be bounded. Received: an unbounded direction "
            f"{np.array2string(recession.x, precision=3, threshold=6)}"
        )


def _relative_interior(A, b):
    """The coordinates that can be positive, and a point where all of them are.

    By Freund, Roundy and Todd (1985): the largest `sum min(y_i, 1)` over the cone of the
    polytope's multiples has `y_i >= 1` wherever that is possible. The coordinates that
    it leaves are looked at again, since one that is at most tiny needs a large multiple.
    """
    m, d = A.shape
    scale = np.abs(b).max()
    if scale == 0:
        return np.zeros(d, bool), np.zeros(d)
    # Variables: the parts up to 1, the rest, and the multiple t >= 1.
    cone = np.concatenate([A, A, -b[:, None] / scale], 1)
    costs = np.concatenate([-np.ones(d), np.zeros(d + 1)])
    lower = np.concatenate([np.zeros(2 * d), [1.0]])
    upper = np.concatenate([np.ones(d), np.full(d + 1, np.inf)])
    result = linprog(costs, None, None, cone, np.zeros(m), np.stack([lower, upper], 1))
    point = np.zeros(d)
    if result.status == 0:
        point = np.maximum(result.x[:d] + result.x[d : 2 * d], 0) / result.x[-1]
        point[result.x[:d] < 0.5] = 0
    points = [point] if point.any() else []
    support = point > 0
    while not support.all():
        result = _solve(-1.0 * ~support, A, b / scale)
        new = ~support & (result.x > _POSITIVE) if result.status == 0 else []
        if not np.any(new):
            break
        support |= new
        points.append(np.maximum(result.x, 0))
    return support, scale * np.mean(points, 0)


def _solve(c, A, b, upper=None):
    options = {"primal_feasibility_tolerance": 1e-10}
    return linprog(c, A_eq=A, b_eq=b, bounds=(0, upper), options=options)
