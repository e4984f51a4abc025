"""The instances of EP on which its bounds are tight, and what is known of them.

The lower bounds say nothing where their condition fails: there they are 0.
"""

import math

import numpy as np

from sinkhorn_tf._core.arguments import to_count
from sinkhorn_tf.entropic import _checks


def simplex_solution(c, beta, eta):
    """The penalised optimum on `{sum x = beta, x >= 0}` in closed form (Prop. 2).

    Args:
        c: Costs `[d]`, finite.
        beta: Total, > 0.
        eta: Number > 0.

    Returns:
        float64 `[d]`, `beta exp(-eta c_i) / sum_j exp(-eta c_j)`.
    """
    c = _checks.to_finite(c, "c", 1)
    beta, eta = _checks.to_number(beta, "beta"), _checks.to_number(eta, "eta")
    if not c.size:
        raise ValueError(f"c must have an entry. Received: c.shape={c.shape}")
    with np.errstate(over="ignore"):
        weights = np.exp(-eta * (c - c.min()))
    return beta * (weights / weights.sum())


def simplex_slow_lower_bound(eta, alpha, beta, d):
    """Prop. 3: what `c'x` is at least on the simplex, before the fast rate begins.

    For the costs `c = (0, alpha, ..., alpha)`: `(1 - epsilon) alpha beta` with the
    least epsilon for which `eta <= log(epsilon d) / alpha`.

    Args:
        eta: Array of numbers >= 0.
        alpha, beta: Numbers > 0: the cost of the worse vertices, and the total.
        d: Python int >= 2, the dimension.
    """
    eta, alpha, beta, d = _simplex(eta, alpha, beta, d)
    epsilon = np.exp(np.minimum(eta * alpha - math.log(d), 0))
    return ((1 - epsilon) * alpha * beta)[()]


def simplex_fast_lower_bound(eta, alpha, beta, d):
    """Prop. 4: a ninth of the fast rate, from `eta >= (1 + log d) / alpha` on.

    The proof takes `exp(-1) <= 1/3`, which fails; `exp(-1)` in its place gives the
    same bound.

    Args:
        eta, alpha, beta, d: As in `simplex_slow_lower_bound`.
    """
    eta, alpha, beta, d = _simplex(eta, alpha, beta, d)
    threshold = (1 + math.log(d)) / alpha
    decay = np.exp(np.minimum(1 + math.log(d) - eta * alpha, 0))
    return np.where(eta >= threshold, alpha * beta / 9 * decay, 0.0)[()]


def tight_instance(n):
    """The costs of Theorem 2: 0 at `j = i` and `j = i + 1`, else 1; float64 `[n, n]`.

    The identity is the only optimum, and the gap is 1.

    Args:
        n: Python int >= 2.
    """
    n = to_count(n, "n", 2)
    return 1 - np.eye(n) - np.eye(n, k=1)


def lower_bound_eta(n, epsilon):
    """`max(0, n log((1 - epsilon) / epsilon))` (Theorem 2).

    Up to there the suboptimality on `tight_instance(n)` is at least `epsilon`.

    Args:
        n: Python int >= 2.
        epsilon: Array of numbers > 0. From 1/2 on the theorem says nothing: 0.
    """
    n = to_count(n, "n", 2)
    epsilon = np.minimum(_checks.to_positive(epsilon, "epsilon"), 0.5)
    return (n * (np.log1p(-epsilon) - np.log(epsilon)))[()]


def tight_lower_bound(eta, n):
    """What Theorem 2 says of `eta`: the suboptimality is at least 1 / (1 + exp(eta / n)).

    Args:
        eta: Array of numbers >= 0.
        n: Python int >= 2.
    """
    n = to_count(n, "n", 2)
    eta = _checks.to_non_negative(eta, "eta")
    # Without the overflow of exp(eta / n).
    return (np.exp(-eta / n) / (1 + np.exp(-eta / n)))[()]


def _simplex(eta, alpha, beta, d):
    return (
        _checks.to_non_negative(eta, "eta"),
        _checks.to_number(alpha, "alpha"),
        _checks.to_number(beta, "beta"),
        to_count(d, "d", 2),
    )
