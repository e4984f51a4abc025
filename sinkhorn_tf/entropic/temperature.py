"""The bounds in the units of the layers: logits, temperature, `P*.X - S(X / t).X`."""

from __future__ import annotations

import math
import typing

import numpy as np
from numpy.typing import ArrayLike

from sinkhorn_tf._core.arguments import fit, shown, to_bool, to_count
from sinkhorn_tf._sinkhorn.solve import sinkhorn_solve
from sinkhorn_tf.entropic import _numpy_arguments, bounds
from sinkhorn_tf.entropic._assignment_gap import assignment_gap, optimal_duals

# Temperatures are lowered by this share, so that the bound holds in floating point too.
_ROUNDING = 1e-12


class LayerBounds(typing.NamedTuple):
    r"""Upper bounds of the suboptimality; +inf where one says nothing.

    The suboptimality is :math:`\langle P^*, X \rangle - \langle S(X / t), X \rangle`
    with the best permutation :math:`P^*`. All are about the limit :math:`S(X / t)`,
    never about a number of iterations. The numbers of theorems are those of Weed
    (2018).

    Attributes:
        slow_rate: Proposition 1.
        fast_rate: Theorem 1; needs `gap`.
        integral_rate: Corollary 3; needs `integer`.
        relaxed_rate: Corollary 2; needs `gap_tau` and `tau`.
        distance_bound: Corollary 1, a bound of the l1 distance from the mixtures of
            best permutations.

    Example:

    >>> bounds = st.entropic.layer_bounds(0.01, 4, integer=True)
    >>> round(float(bounds.slow_rate), 4), round(float(bounds.integral_rate), 4)
    (0.0555, 0.0)
    """

    slow_rate: float | np.ndarray
    fast_rate: float | np.ndarray
    integral_rate: float | np.ndarray
    relaxed_rate: float | np.ndarray
    distance_bound: float | np.ndarray


def layer_bounds(
    temperature: ArrayLike,
    n: int,
    *,
    gap: ArrayLike | None = None,
    gap_tau: ArrayLike | None = None,
    tau: ArrayLike | None = None,
    integer: bool = False,
) -> LayerBounds:
    """The bounds of Weed (2018) at `eta = 1 / temperature` for `n` x `n` logits.

    Args:
        temperature: Array of numbers > 0.
        n: Python int >= 1.
        gap: None, or a gap > 0 of the logits, as `assignment_gap(-logits)` gives it.
        gap_tau, tau: None, or the constants of Corollary 2 (`relaxed_rate`).
        integer: Whether the logits are integers; then the gap is at least 1.

    Returns:
        `LayerBounds` of float64 arrays.

    Raises:
        TypeError, ValueError: If a number is out of range.

    Example:

    >>> bounds = st.entropic.layer_bounds([0.1, 0.01], 4, gap=1.0)
    >>> bounds.slow_rate.round(4)
    array([0.5545, 0.0555])
    >>> bounds.fast_rate.round(4)
    array([0.8925, 0.    ])
    """
    eta = 1 / _numpy_arguments.to_positive_array(temperature, "temperature")
    integer = to_bool(integer, "integer")
    if (gap_tau is None) != (tau is None):
        raise ValueError(
            f"gap_tau and tau go together. "
            f"Received: gap_tau={shown(gap_tau)}, tau={shown(tau)}"
        )
    R1, RH = bounds.birkhoff_radii(n)
    fast = integral = relaxed = distance = np.full(np.shape(eta), math.inf)[()]
    if integer:
        integral = bounds.integral_rate(eta, R1, RH)
        gap = 1.0 if gap is None else gap
    if gap is not None:
        fast = bounds.fast_rate(eta, gap, R1, RH)
        distance = bounds.distance_bound(eta, gap, R1, RH)
    if gap_tau is not None and tau is not None:
        relaxed = bounds.relaxed_rate(eta, gap_tau, tau, R1, RH)
    return LayerBounds(
        slow_rate=bounds.slow_rate(eta, RH),
        fast_rate=fast,
        integral_rate=integral,
        relaxed_rate=relaxed,
        distance_bound=distance,
    )


def assignment_suboptimality(
    logits: ArrayLike, temperature: ArrayLike
) -> float | np.ndarray:
    r"""Measures the suboptimality, the quantity that the bounds are for.

    It is :math:`\langle P^*, X \rangle - \langle S(X / t), X \rangle` with the
    best permutation :math:`P^*`.

    It is summed from the reduced costs, which are not negative, so that exponentially
    small values keep their digits, down to the rounding of the logits.

    Args:
        logits: float array `[..., N, N]`; -inf forbids a pair.
        temperature: Array of numbers > 0 that broadcasts against the batch.

    Returns:
        float64 `[...]`.

    Raises:
        ValueError: If a shape or number is out of range, the forbidden pairs leave no
            permutation, or the solver does not converge.

    Example:

    >>> logits = [[1.0, 0.0], [0.0, 1.0]]
    >>> st.entropic.assignment_suboptimality(logits, [1.0, 0.5]).round(4)
    array([0.5379, 0.2384])
    """
    cost = _numpy_arguments.to_costs(logits, "logits", sign=-1)
    temperature = _numpy_arguments.to_positive_array(temperature, "temperature")
    if not fit(temperature.shape, cost.shape[:-2]):
        raise ValueError(
            f"temperature must broadcast against the batch dimensions {cost.shape[:-2]}. "
            f"Received: temperature.shape={temperature.shape}"
        )
    n = cost.shape[-1]
    reduced = np.stack([optimal_duals(each)[1] for each in cost.reshape(-1, n, n)])
    reduced = reduced.reshape(cost.shape)
    # Reduced logits have the same plan, and lose less of it to rounding.
    solution = sinkhorn_solve(-reduced, temperature, tolerance=1e-12, max_iters=300)
    residual = np.asarray(solution.residual)
    if not (residual <= 1e-9).all():
        raise ValueError(
            "sinkhorn_solve does not converge at this temperature. Received: "
            f"residual={residual.max()}, least temperature={temperature.min()}"
        )
    plan = np.asarray(solution.plan)
    loss = np.where(plan > 0, np.where(np.isinf(reduced), 0, reduced), 0) * plan
    return loss.sum((-2, -1))[()]


def temperature_for_accuracy(
    cost: ArrayLike | None = None,
    epsilon: float | None = None,
    *,
    n: int | None = None,
    gap: float | None = None,
    integer: bool = False,
) -> tuple[float, str]:
    r"""The largest temperature that Weed (2018) proves sufficient for an accuracy.

    At this temperature :math:`\langle P^*, X \rangle - \langle S(X / t), X \rangle` is
    at most `epsilon` for the logits `X = -cost`, in the limit of the iterations. The
    theory is for the worst case: on most logits a far larger temperature suffices. It
    is about permutations. For plans with masses, `epsilon / RH` with the `RH` of
    `transport_radii` is such a temperature by the slow rate; the gap and `integer` hold
    for integral masses only.

    Args:
        cost: `[N, N]`, minus the logits; +inf forbids a pair. Its gap is computed
            unless `gap` is given.
        epsilon: Number > 0, the accuracy in the units of the cost.
        n: Python int, in place of the cost.
        gap: Number > 0 (or +inf), a lower bound of the suboptimality gap.
        integer: Whether the costs are integers; then the gap is at least 1
            (Proposition 5).

    Returns:
        `(temperature, name)`: a float, and the function of `st.entropic` whose bound
        proves it, "slow_rate", "fast_rate" or "integral_rate" (the fast rate with a
        gap of 1). The temperature is +inf where every one suffices: for N = 1, or if
        all permutations cost the same.

    Raises:
        TypeError, ValueError: If a number is out of range, neither or both of `cost`
            and `n` are given, or `integer` is set and the costs are not integers.

    Example:

    >>> cost = [[0, 3], [3, 0]]
    >>> temperature, bound = st.entropic.temperature_for_accuracy(cost, 0.01)
    >>> round(temperature, 3), bound
    (0.371, 'fast_rate')
    """
    if (cost is None) == (n is None):
        raise ValueError(
            "Pass either cost or n. Received: "
            f"cost={'None' if cost is None else 'an array'}, n={shown(n)}"
        )
    if epsilon is None:
        raise ValueError("epsilon must be a number > 0. Received: epsilon=None")
    integer = to_bool(integer, "integer")
    epsilon = _numpy_arguments.to_number(epsilon, "epsilon")
    if cost is not None:
        cost = _numpy_arguments.to_costs(cost)
        if cost.ndim > 2:
            raise ValueError(
                f"cost must have shape [N, N]. Received: cost.shape={cost.shape}"
            )
        finite = cost[np.isfinite(cost)]
        if integer and (finite != np.rint(finite)).any():
            raise ValueError(
                "integer=True needs a cost of integers. Received: "
                f"{finite[finite != np.rint(finite)][0]} in cost"
            )
        n = cost.shape[-1]
        gap = float(assignment_gap(cost)) if gap is None else gap
    n = to_count(n, "n", 1)
    name = "fast_rate"
    if gap is not None:
        gap = _numpy_arguments.to_number(gap, "gap", infinite=True)
    if integer and (gap is None or gap < 1):
        gap, name = 1.0, "integral_rate"
    R1, RH = bounds.birkhoff_radii(n)
    with np.errstate(divide="ignore"):
        slow = float(np.divide(epsilon, RH))
        eta = math.inf if gap is None else bounds.sufficient_eta(epsilon, gap, R1, RH)
        fast = float(np.divide(1.0, eta))
    temperature, name = (slow, "slow_rate") if slow >= fast else (fast, name)
    return temperature * (1 - _ROUNDING), name
