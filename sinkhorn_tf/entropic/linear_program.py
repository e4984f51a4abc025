"""Entropic linear programs by Newton's method on the dual."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from sinkhorn_tf.entropic import _numpy_arguments
from sinkhorn_tf.entropic._polytope import analyse

# Errors of `Ax = b`, relative to the largest of `b`.
_ERROR_ON_THE_WAY, _INTENDED_ERROR, _MAX_ERROR = 1e-2, 1e-14, 1e-10
# No step multiplies a coordinate by more than the exponential of this number.
_LONGEST_STEP = 20.0
_MAX_STEPS, _MAX_HALVINGS = 500, 60
# Directions of the dual with a relative curvature below this are damped.
_DAMPING = 1e-15


def solve_lp(c: ArrayLike, A: ArrayLike, b: ArrayLike, eta: float) -> np.ndarray:
    r"""Solves :math:`\min c^T x - H(x) / \eta` subject to :math:`A x = b, x \ge 0`.

    With multipliers z, :math:`x_i = \exp((A^T z)_i - \eta c_i - 1)` and z maximises the
    concave :math:`b^T z - \sum_i x_i`, whose gradient is :math:`b - A x`. Damped Newton
    steps follow the solution from a small eta, which is doubled until it is the one
    asked for.

    Args:
        c: Costs `[d]`, finite.
        A: `[m, d]`, finite. Redundant rows are dropped.
        b: `[m]`, finite.
        eta: Number > 0.

    Returns:
        float64 `[d]`, with `|Ax - b| <= 1e-10 max|b|` for rows of A scaled to a
        largest entry of 1. Coordinates that the polytope forces to 0 are 0.

    Raises:
        ValueError: If a shape or number is out of range, no `x >= 0` solves `Ax = b`,
            the solutions are unbounded, or eta is too large for float64.

    Example:

    >>> c, A, b = [0.0, 1.0, 2.0], [[1.0, 1.0, 1.0]], [1.0]
    >>> st.entropic.solve_lp(c, A, b, eta=1.0).round(4)
    array([0.6652, 0.2447, 0.09  ])

    Reference:
        Weed (2018), An explicit analysis of the entropic penalty in linear
        programming, program (Pen).
    """
    c = _numpy_arguments.to_finite_array(c, "c", 1)
    A = _numpy_arguments.to_finite_array(A, "A", 2)
    b = _numpy_arguments.to_finite_array(b, "b", 1)
    eta = _numpy_arguments.to_number(eta, "eta")
    if A.shape != (len(b), len(c)) or not A.size:
        raise ValueError(
            "A must have shape [m, d] with m, d >= 1, b shape [m] and c shape [d]. "
            f"Received: A.shape={A.shape}, b.shape={b.shape}, c.shape={c.shape}"
        )
    polytope = analyse(A, b)
    x = np.zeros(len(c))
    if polytope.support.any():
        with np.errstate(over="ignore"):
            x[polytope.support] = _follow_path(c[polytope.support], polytope, eta)
    return x


def _follow_path(c, polytope, eta):
    A, b = polytope.A, polytope.b
    # Adding a combination of the rows to the costs does not move the optimum: these
    # costs are the smallest.
    c = c - A.T @ np.linalg.lstsq(A.T, c, rcond=None)[0]
    spread = np.ptp(c)
    now = min(eta, 1 / spread) if spread > 0 else eta
    # The exponent nearest to the interior point's, log x = A'z - eta c - 1.
    target = np.log(polytope.interior) + 1 + now * c
    z = np.linalg.lstsq(A.T, target, rcond=None)[0]
    # The steps go by exponents: where x is not tiny they are small, and exact.
    exponents = A.T @ z - now * c - 1
    while now < eta:
        exponents = _newton(exponents, A, b, _ERROR_ON_THE_WAY)[0]
        factor = min(2.0, eta / now)
        exponents = (exponents + 1) * factor - 1
        now = eta if factor < 2 else 2 * now
    exponents, error = _newton(exponents, A, b, _INTENDED_ERROR)
    if not error <= _MAX_ERROR:
        raise ValueError(
            "eta is too large to solve Ax = b in float64. "
            f"Received: eta={eta}, relative error of Ax = b {error:.1g}"
        )
    return np.exp(exponents)


def _newton(exponents, A, b, tolerance):
    """Damped Newton steps; returns the best exponents, and their error relative to b."""
    size = np.abs(b).max()
    best, least, since = exponents, math.inf, 0
    for _ in range(_MAX_STEPS):
        # exp(700) does not overflow.
        x = np.exp(np.minimum(exponents, 700))
        gradient = b - A @ x
        error = np.abs(gradient).max() / size
        since = since + 1 if error > 0.5 * least else 0
        if error < least:
            best, least = exponents, error
        # Stop too at the level of rounding: a small error that falls no longer.
        if error <= tolerance or (least <= _MAX_ERROR / 10 and since > 3):
            break
        direction = _direction(A, x, gradient)
        exponents, moved = _line_search(exponents, A, b, gradient, direction)
        if not moved:
            break
    return best, least


def _direction(A, x, gradient):
    """Newton's direction for scaled rows, damped where there is no curvature."""
    hessian = (A * x) @ A.T
    size = np.sqrt(np.maximum(np.diag(hessian), 1e-300))
    values, vectors = np.linalg.eigh(hessian / size[:, None] / size)
    damped = np.maximum(values, 0) + _DAMPING * max(values[-1], 1e-300)
    return vectors @ ((vectors.T @ (gradient / size)) / damped) / size


def _line_search(exponents, A, b, gradient, direction):
    """Halves the step until the slope at its end has not turned around."""
    step = A.T @ direction
    longest = np.abs(step).max()
    slope = gradient @ direction
    if not (0 < longest < math.inf and slope > 0):
        return exponents, False
    length = min(1.0, _LONGEST_STEP / longest)
    for _ in range(_MAX_HALVINGS):
        moved = exponents + length * step
        last = (b - A @ np.exp(np.minimum(moved, 700))) @ direction
        if last >= -slope / 2:
            return moved, True
        length /= 2
    return exponents, False
