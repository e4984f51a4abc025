"""The instances of Weed (2018) on which the bounds are tight.

The lower bounds say nothing where their condition fails: there they are 0.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from sinkhorn_tf._core.arguments import to_count
from sinkhorn_tf.entropic import _numpy_arguments


def simplex_solution(c: ArrayLike, beta: float, eta: float) -> np.ndarray:
    r"""The penalised optimum on a simplex in closed form (Proposition 2).

    On :math:`\{\sum_i x_i = \beta, x \ge 0\}` it is
    :math:`x_i = \beta \exp(-\eta c_i) / \sum_j \exp(-\eta c_j)`.

    Args:
        c: Costs `[d]`, finite.
        beta: Total, > 0.
        eta: Number > 0.

    Returns:
        float64 `[d]`.

    Raises:
        TypeError, ValueError: If a shape or number is out of range.

    Example:

    >>> st.entropic.simplex_solution([0.0, 0.0, 9.0], beta=2.0, eta=5.0).round(6)
    array([1., 1., 0.])
    """
    c = _numpy_arguments.to_finite_array(c, "c", 1)
    beta = _numpy_arguments.to_number(beta, "beta")
    eta = _numpy_arguments.to_number(eta, "eta")
    if not c.size:
        raise ValueError(f"c must have an entry. Received: c.shape={c.shape}")
    with np.errstate(over="ignore"):
        weights = np.exp(-eta * (c - c.min()))
    return beta * (weights / weights.sum())


def simplex_slow_lower_bound(
    eta: ArrayLike, alpha: float, beta: float, d: int
) -> float | np.ndarray:
    r"""A lower bound of the cost on the simplex before the fast rate begins.

    It is for the costs :math:`c = (0, \alpha, \dots, \alpha)`: :math:`c^T x` is at
    least :math:`(1 - \epsilon) \alpha \beta` with the least :math:`\epsilon` for which
    :math:`\eta \le \log(\epsilon d) / \alpha` (Proposition 3).

    Args:
        eta: Array of numbers >= 0.
        alpha, beta: Numbers > 0: the cost of the worse vertices, and the total.
        d: Python int >= 2, the dimension.

    Returns:
        float64 of the shape of `eta`.

    Raises:
        TypeError, ValueError: If a number is out of range.

    Example:

    >>> st.entropic.simplex_slow_lower_bound([0.0, 9.0], alpha=1.0, beta=1.0, d=4)
    array([0.75, 0.  ])
    """
    eta, alpha, beta, d = _simplex(eta, alpha, beta, d)
    epsilon = np.exp(np.minimum(eta * alpha - math.log(d), 0))
    return ((1 - epsilon) * alpha * beta)[()]


def simplex_fast_lower_bound(
    eta: ArrayLike, alpha: float, beta: float, d: int
) -> float | np.ndarray:
    r"""A lower bound of the cost on the simplex after the fast rate has begun.

    It bounds :math:`c^T x` from :math:`\eta \ge (1 + \log d) / \alpha` on (Proposition
    4). It is a ninth of the fast rate. The proof takes `exp(-1) <= 1/3`, which fails;
    `exp(-1)` in its place gives the same bound.

    Args:
        eta, alpha, beta, d: As in `simplex_slow_lower_bound`.

    Returns:
        float64 of the shape of `eta`.

    Raises:
        TypeError, ValueError: If a number is out of range.

    Example:

    >>> bound = st.entropic.simplex_fast_lower_bound([1.0, 3.0], 1.0, 1.0, d=4)
    >>> bound.round(4)
    array([0.    , 0.0601])
    """
    eta, alpha, beta, d = _simplex(eta, alpha, beta, d)
    threshold = (1 + math.log(d)) / alpha
    decay = np.exp(np.minimum(1 + math.log(d) - eta * alpha, 0))
    return np.where(eta >= threshold, alpha * beta / 9 * decay, 0.0)[()]


def tight_instance(n: int) -> np.ndarray:
    """The costs of Theorem 2: 0 at `j = i` and `j = i + 1`, 1 elsewhere.

    The identity is the only optimum, and the gap is 1.

    Args:
        n: Python int >= 2.

    Returns:
        float64 `[n, n]`.

    Raises:
        TypeError, ValueError: If `n` is out of range.

    Example:

    >>> st.entropic.tight_instance(3)
    array([[0., 0., 1.],
           [1., 0., 0.],
           [1., 1., 0.]])
    """
    n = to_count(n, "n", 2)
    return 1 - np.eye(n) - np.eye(n, k=1)


def lower_bound_eta(n: int, epsilon: ArrayLike) -> float | np.ndarray:
    r"""The `eta` up to which `tight_instance(n)` is not solved to `epsilon` (Theorem 2).

    :math:`\max(0, n \log((1 - \epsilon) / \epsilon))`: up to there the suboptimality is
    at least `epsilon`.

    Args:
        n: Python int >= 2.
        epsilon: Array of numbers > 0. From 1/2 on the theorem says nothing, and the
            result is 0.

    Returns:
        float64 of the shape of `epsilon`.

    Raises:
        TypeError, ValueError: If a number is out of range.

    Example:

    >>> st.entropic.lower_bound_eta(10, [0.01, 0.5]).round(3)
    array([45.951,  0.   ])
    """
    n = to_count(n, "n", 2)
    epsilon = _numpy_arguments.to_positive_array(epsilon, "epsilon")
    epsilon = np.minimum(epsilon, 0.5)
    return (n * (np.log1p(-epsilon) - np.log(epsilon)))[()]


def tight_lower_bound(eta: ArrayLike, n: int) -> float | np.ndarray:
    r"""A lower bound of the suboptimality on `tight_instance(n)` (Theorem 2).

    :math:`1 / (1 + \exp(\eta / n))`

    Args:
        eta: Array of numbers >= 0.
        n: Python int >= 2.

    Returns:
        float64 of the shape of `eta`.

    Raises:
        TypeError, ValueError: If a number is out of range.

    Example:

    >>> st.entropic.tight_lower_bound([0.0, 50.0], n=10).round(4)
    array([0.5   , 0.0067])
    """
    n = to_count(n, "n", 2)
    eta = _numpy_arguments.to_non_negative_array(eta, "eta")
    # exp(eta / n) could overflow.
    return (np.exp(-eta / n) / (1 + np.exp(-eta / n)))[()]


def _simplex(eta, alpha, beta, d):
    return (
        _numpy_arguments.to_non_negative_array(eta, "eta"),
        _numpy_arguments.to_number(alpha, "alpha"),
        _numpy_arguments.to_number(beta, "beta"),
        to_count(d, "d", 2),
    )
