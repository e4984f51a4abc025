"""The upper bounds of Weed (2018) on `c'x - min c'x` at the penalised optimum `x`.

`R1` is the largest l1 norm in the polytope and `RH` the largest difference of two
entropies (definitions 2 and 3). Upper bounds of `R1` and `RH`, and lower bounds of the
gaps, give valid bounds too. A gap of +inf says that no vertex is worse: then the
bounds are 0. All arguments broadcast; the results are float64.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from sinkhorn_tf._core.arguments import to_count
from sinkhorn_tf.entropic import _numpy_arguments

# The largest relative difference of the totals of rows and columns.
_LARGEST_MISMATCH = 1e-3


def birkhoff_radii(n: int) -> tuple[float, float]:
    r"""The radii of the `n` x `n` doubly stochastic matrices (Lemma 4).

    Args:
        n: Python int >= 1.

    Returns:
        :math:`(R_1, R_H) = (n, n \log n)`.

    Raises:
        TypeError, ValueError: If `n` is out of range.

    Example:

    >>> R1, RH = st.entropic.birkhoff_radii(4)
    >>> R1, round(RH, 3)
    (4.0, 5.545)
    """
    n = to_count(n, "n", 1)
    return float(n), n * math.log(n)


def transport_radii(
    row_marginals: ArrayLike, col_marginals: ArrayLike
) -> tuple[float, float]:
    r"""The radii of the plans with given masses of rows and columns.

    `R1` is the total mass T, and `RH` an upper bound of the entropic radius,

    :math:`\min(H(a), H(b)) + T \log T` for masses a and b,
    :math:`H(a) = -\sum_i a_i \log a_i`.

    With upper bounds of the radii every bound of this module stays true. The entropy of
    a plan is that of its row masses and of what they leave open,
    :math:`H(P) = H(a) + \sum_i a_i H(P_i / a_i)`, so it is at least :math:`H(a)` and,
    by the columns, :math:`H(b)`; and it is at most that of the product
    :math:`a b^T / T`, which is :math:`H(a) + H(b) + T \log T`. The exact least entropy
    is hard to find.

    The plan of a rectangle or with dustbins is a plan of the extended matrix: pass the
    masses with those of the slack or of the dustbins. A gap of `assignment_gap`, and
    `integer=True`, presume that each vertex is integral, which integral masses ensure;
    with other masses a gap of vertices is the weight of a cycle times the mass that can
    move along it. Without it `slow_rate` alone holds.

    Args:
        row_marginals: `[N]`, the masses of the rows, >= 0. They are scaled to the total
            of the columns, as `sinkhorn` does.
        col_marginals: `[M]`, the masses of the columns, >= 0, of the same total > 0 up
            to a relative difference of 1e-3.

    Returns:
        `(R1, RH)`, two floats; those of `birkhoff_radii(n)` for masses of 1.

    Raises:
        TypeError, ValueError: If a number is out of range, or the totals differ.

    Example:

    >>> R1, RH = st.entropic.transport_radii([1, 1, 1, 1], [2, 2])
    >>> R1, round(RH, 3)
    (4.0, 2.773)
    >>> bool(RH < st.entropic.birkhoff_radii(4)[1])
    True
    """
    rows = _numpy_arguments.to_masses(row_marginals, "row_marginals")
    cols = _numpy_arguments.to_masses(col_marginals, "col_marginals")
    total, row_total = math.fsum(cols), math.fsum(rows)
    if not abs(row_total - total) <= _LARGEST_MISMATCH * max(row_total, total):
        raise ValueError(
            "row_marginals and col_marginals must have the same total. Received: "
            f"sum(row_marginals)={row_total}, sum(col_marginals)={total}"
        )
    rows *= total / row_total
    return total, min(_entropic_radius(rows, total), _entropic_radius(cols, total))


def _entropic_radius(masses, total):
    """`H(a) + T log T`, summed from terms that are not negative."""
    terms = (a * (math.log(total) - math.log(a)) for a in masses if a > 0)
    return max(math.fsum(terms), 0.0)


def simplex_radii(beta: float, d: int) -> tuple[float, float]:
    r"""The radii of the simplex :math:`\{x \in R^d: \sum_i x_i = \beta, x \ge 0\}`.

    Args:
        beta: Number > 0, the total.
        d: Python int >= 1, the dimension.

    Returns:
        :math:`(R_1, R_H) = (\beta, \beta \log d)`.

    Raises:
        TypeError, ValueError: If a number is out of range.

    Example:

    >>> R1, RH = st.entropic.simplex_radii(2.0, 3)
    >>> R1, round(RH, 3)
    (2.0, 2.197)
    """
    beta = _numpy_arguments.to_number(beta, "beta")
    return beta, beta * math.log(to_count(d, "d", 1))


def slow_rate(eta: ArrayLike, RH: ArrayLike) -> float | np.ndarray:
    r"""The bound that holds for every `eta > 0`: :math:`R_H / \eta` (Proposition 1).

    Args:
        eta: Array; where it is not positive the bound is +inf.
        RH: Entropic radius, >= 0.

    Returns:
        float64 of the broadcast shape.

    Raises:
        TypeError, ValueError: If a number is out of range, or shapes do not broadcast.

    Example:

    >>> st.entropic.slow_rate([1.0, 10.0], RH=4.0)
    array([4. , 0.4])
    """
    eta = _numpy_arguments.to_array(eta, "eta")
    RH = _numpy_arguments.to_non_negative_array(RH, "RH")
    eta, RH = _numpy_arguments.broadcast(eta=eta, RH=RH)
    bound = np.full(eta.shape, math.inf)
    with np.errstate(over="ignore"):
        np.divide(RH, eta, out=bound, where=eta > 0)
    return bound[()]


def fast_rate(
    eta: ArrayLike, gap: ArrayLike, R1: ArrayLike, RH: ArrayLike
) -> float | np.ndarray:
    r"""The exponential bound (Theorem 1).

    :math:`\Delta \exp(-\eta \Delta / R_1 + (R_1 + R_H) / R_1)` with the gap
    :math:`\Delta`.

    Args:
        eta: Array; below `(R1 + RH) / gap` the bound is +inf.
        gap: Suboptimality gap (Definition 1), > 0, may be +inf.
        R1: Largest l1 norm, > 0.
        RH: Entropic radius, >= 0.

    Returns:
        float64 of the broadcast shape.

    Raises:
        TypeError, ValueError: If a number is out of range, or shapes do not broadcast.

    Example:

    >>> R1, RH = st.entropic.birkhoff_radii(4)
    >>> st.entropic.fast_rate([1.0, 10.0, 100.0], 1.0, R1, RH).round(6)
    array([     inf, 0.892521, 0.      ])
    """
    decay, gap, valid = _decay(eta, gap, R1, RH)
    return _or_inf(valid, np.where(decay > 0, gap, 0) * decay)


def distance_bound(
    eta: ArrayLike, gap: ArrayLike, R1: ArrayLike, RH: ArrayLike
) -> float | np.ndarray:
    r"""A bound of the l1 distance from the optimal face (Corollary 1).

    :math:`2 R_1 \exp(-\eta \Delta / R_1 + (R_1 + R_H) / R_1)` with the gap
    :math:`\Delta`.

    Args:
        eta, gap, R1, RH: As in `fast_rate`.

    Returns:
        float64 of the broadcast shape.

    Raises:
        TypeError, ValueError: As `fast_rate`.

    Example:

    >>> R1, RH = st.entropic.birkhoff_radii(4)
    >>> round(float(st.entropic.distance_bound(20.0, 1.0, R1, RH)), 4)
    0.5861
    """
    decay, _, valid = _decay(eta, gap, R1, RH)
    return _or_inf(valid, 2 * np.asarray(R1, np.float64) * decay)


def relaxed_rate(
    eta: ArrayLike, gap_tau: ArrayLike, tau: ArrayLike, R1: ArrayLike, RH: ArrayLike
) -> float | np.ndarray:
    r"""The exponential bound where nearly optimal vertices count as optimal.

    :math:`\Delta \exp(-\eta \Delta / R_1 + (R_1 + R_H) / R_1) + \tau` (Corollary 2),
    with `gap_tau` for :math:`\Delta`.

    Args:
        eta: Array; below `(R1 + RH) / gap_tau` the bound is +inf.
        gap_tau: The least cost above `min + tau` among the vertices, less the largest
            one up to there; > 0, may be +inf. It is `suboptimality_gap(..., tau=tau)`.
        tau: Vertices this close to the minimum count as optimal; >= 0.
        R1, RH: As in `fast_rate`.

    Returns:
        float64 of the broadcast shape.

    Raises:
        TypeError, ValueError: As `fast_rate`.

    Example:

    >>> R1, RH = st.entropic.birkhoff_radii(4)
    >>> round(float(st.entropic.relaxed_rate(100.0, 1.0, 0.125, R1, RH)), 6)
    0.125
    """
    tau = _numpy_arguments.to_non_negative_array(tau, "tau")
    gap_tau = _numpy_arguments.to_positive_array(gap_tau, "gap_tau", infinite=True)
    rate = fast_rate(eta, gap_tau, R1, RH)
    rate, tau = _numpy_arguments.broadcast(rate=np.asarray(rate), tau=tau)
    return (rate + tau)[()]


def integral_rate(eta: ArrayLike, R1: ArrayLike, RH: ArrayLike) -> float | np.ndarray:
    r"""The exponential bound for integer costs and vertices (Corollary 3).

    :math:`\exp(-\eta / R_1 + (R_1 + R_H) / R_1)`, since the gap is at least 1 then.

    Args:
        eta: Array; below `R1 + RH` the bound is +inf.
        R1, RH: As in `fast_rate`.

    Returns:
        float64 of the broadcast shape.

    Raises:
        TypeError, ValueError: As `fast_rate`.

    Example:

    >>> R1, RH = st.entropic.birkhoff_radii(4)
    >>> round(float(st.entropic.integral_rate(20.0, R1, RH)), 4)
    0.0733
    """
    return fast_rate(eta, 1.0, R1, RH)


def sufficient_eta(
    epsilon: ArrayLike, gap: ArrayLike, R1: ArrayLike, RH: ArrayLike
) -> float | np.ndarray:
    r"""The `eta` from which the fast rate is at most `epsilon` (after Theorem 1).

    :math:`\max(0, R_1 / \Delta \log(\Delta / \epsilon)) + (R_1 + R_H) / \Delta` with the
    gap :math:`\Delta`; with a gap of 1 and the radii of `birkhoff_radii` it is that of
    Proposition 5.

    Args:
        epsilon: Accuracy, > 0.
        gap, R1, RH: As in `fast_rate`.

    Returns:
        float64 of the broadcast shape.

    Raises:
        TypeError, ValueError: As `fast_rate`.

    Example:

    >>> R1, RH = st.entropic.birkhoff_radii(4)
    >>> eta = st.entropic.sufficient_eta(0.01, 1.0, R1, RH)
    >>> round(float(eta), 3), round(float(st.entropic.fast_rate(eta, 1.0, R1, RH)), 3)
    (27.966, 0.01)
    """
    epsilon = _numpy_arguments.to_positive_array(epsilon, "epsilon")
    gap, R1, RH = _constants(gap, R1, RH)
    epsilon, gap, R1, RH = _numpy_arguments.broadcast(
        epsilon=epsilon, gap=gap, R1=R1, RH=RH
    )
    # log(gap) / gap is 0 in the limit.
    finite = np.where(np.isinf(gap), 1.0, gap)
    logs = np.maximum(np.log(finite) - np.log(epsilon), 0)
    return np.where(np.isinf(gap), 0.0, (R1 * logs + (R1 + RH)) / finite)[()]


def _decay(eta, gap, R1, RH):
    """The exponential, the gap, and where the bounds with this gap hold."""
    eta = _numpy_arguments.to_array(eta, "eta")
    gap, R1, RH = _constants(gap, R1, RH)
    eta, gap, R1, RH = _numpy_arguments.broadcast(eta=eta, gap=gap, R1=R1, RH=RH)
    with np.errstate(over="ignore"):
        valid = (eta > 0) & (eta >= (R1 + RH) / gap)
        exponent = np.where(valid, eta, math.inf) * gap / R1 - (R1 + RH) / R1
    # Where the condition holds the exponent is >= 0, except for its rounding.
    return np.exp(-np.maximum(exponent, 0)), gap, valid


def _constants(gap, R1, RH):
    return (
        _numpy_arguments.to_positive_array(gap, "gap", infinite=True),
        _numpy_arguments.to_positive_array(R1, "R1"),
        _numpy_arguments.to_non_negative_array(RH, "RH"),
    )


def _or_inf(valid, bound):
    return np.where(valid, bound, math.inf)[()]
