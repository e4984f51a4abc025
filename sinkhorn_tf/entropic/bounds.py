"""The upper bounds of EP on `c'x - min c'x` at the penalised optimum `x`.

`R1` is the largest l1 norm in the polytope and `RH` the largest difference of two
entropies (definitions 2 and 3); upper bounds of the two, and lower bounds of the
gaps, give valid bounds too. A gap of +inf says that no vertex is worse: then the
bounds are 0. All arguments broadcast; the results are float64.
"""

import math

import numpy as np

from sinkhorn_tf._core.arguments import to_count
from sinkhorn_tf.entropic import _checks


def birkhoff_radii(n):
    """`(R1, RH) = (n, n log n)` of the `n` x `n` doubly stochastic matrices (Lemma 4)."""
    n = to_count(n, "n", 1)
    return float(n), n * math.log(n)


def simplex_radii(beta, d):
    """`(R1, RH) = (beta, beta log d)` of `{x in R^d: sum x = beta, x >= 0}`."""
    beta = _checks.to_number(beta, "beta")
    return beta, beta * math.log(to_count(d, "d", 1))


def slow_rate(eta, RH):
    """`RH / eta` (Prop. 1), for every `eta > 0`.

    Args:
        eta: Array; +inf is returned where it is not positive.
        RH: Entropic radius, >= 0.
    """
    eta = _checks.to_array(eta, "eta")
    RH = _checks.to_non_negative(RH, "RH")
    eta, RH = _checks.broadcast(eta=eta, RH=RH)
    bound = np.full(eta.shape, math.inf)
    with np.errstate(over="ignore"):
        np.divide(RH, eta, out=bound, where=eta > 0)
    return bound[()]


def fast_rate(eta, gap, R1, RH):
    """`gap exp(-eta gap / R1 + (R1 + RH) / R1)` (Theorem 1).

    Args:
        eta: Array; +inf is returned below `(R1 + RH) / gap`.
        gap: Suboptimality gap (Definition 1), > 0, may be +inf.
        R1: Largest l1 norm, > 0.
        RH: Entropic radius, >= 0.
    """
    decay, gap, valid = _decay(eta, gap, R1, RH)
    return _or_inf(valid, np.where(decay > 0, gap, 0) * decay)


def distance_bound(eta, gap, R1, RH):
    """`2 R1 exp(-eta gap / R1 + (R1 + RH) / R1)` (Corollary 1).

    It bounds the l1 distance of the penalised optimum from the optimal face.

    Args:
        eta, gap, R1, RH: As in `fast_rate`.
    """
    decay, _, valid = _decay(eta, gap, R1, RH)
    return _or_inf(valid, 2 * np.asarray(R1, np.float64) * decay)


def relaxed_rate(eta, gap_tau, tau, R1, RH):
    """`gap_tau exp(-eta gap_tau / R1 + (R1 + RH) / R1) + tau` (Corollary 2).

    Args:
        eta: Array; +inf is returned below `(R1 + RH) / gap_tau`.
        gap_tau: The least cost above `min + tau` among the vertices, less the largest
            one up to there; > 0, may be +inf. `suboptimality_gap(..., tau=tau)`.
        tau: Vertices this close to the minimum count as optimal; >= 0.
        R1, RH: As in `fast_rate`.
    """
    tau = _checks.to_non_negative(tau, "tau")
    gap_tau = _checks.to_positive(gap_tau, "gap_tau", infinite=True)
    rate = fast_rate(eta, gap_tau, R1, RH)
    rate, tau = _checks.broadcast(rate=np.asarray(rate), tau=tau)
    return (rate + tau)[()]


def integral_rate(eta, R1, RH):
    """`exp(-eta / R1 + (R1 + RH) / R1)` (Corollary 3).

    For integer costs and a polytope whose vertices are integers: its gap is >= 1.

    Args:
        eta: Array; +inf is returned below `R1 + RH`.
        R1, RH: As in `fast_rate`.
    """
    return fast_rate(eta, 1.0, R1, RH)


def sufficient_eta(epsilon, gap, R1, RH):
    """The `eta` from which the fast rate is at most `epsilon` (after Theorem 1).

    `max(0, R1 / gap log(gap / epsilon)) + (R1 + RH) / gap`; with a gap of 1 and the
    radii of `birkhoff_radii` it is that of Prop. 5.

    Args:
        epsilon: Accuracy, > 0.
        gap, R1, RH: As in `fast_rate`.
    """
    epsilon = _checks.to_positive(epsilon, "epsilon")
    gap, R1, RH = _constants(gap, R1, RH)
    epsilon, gap, R1, RH = _checks.broadcast(epsilon=epsilon, gap=gap, R1=R1, RH=RH)
    # log(gap) / gap is 0 in the limit.
    finite = np.where(np.isinf(gap), 1.0, gap)
    logs = np.maximum(np.log(finite) - np.log(epsilon), 0)
    return np.where(np.isinf(gap), 0.0, (R1 * logs + (R1 + RH)) / finite)[()]


def _decay(eta, gap, R1, RH):
    """The exponential, the gap, and where the bounds with this gap hold."""
    eta = _checks.to_array(eta, "eta")
    gap, R1, RH = _constants(gap, R1, RH)
    eta, gap, R1, RH = _checks.broadcast(eta=eta, gap=gap, R1=R1, RH=RH)
    with np.errstate(over="ignore"):
        valid = (eta > 0) & (eta >= (R1 + RH) / gap)
        exponent = np.where(valid, eta, math.inf) * gap / R1 - (R1 + RH) / R1
    # Where the condition holds the exponent is >= 0, but for its rounding.
    return np.exp(-np.maximum(exponent, 0)), gap, valid


def _constants(gap, R1, RH):
    return (
        _checks.to_positive(gap, "gap", infinite=True),
        _checks.to_positive(R1, "R1"),
        _checks.to_non_negative(RH, "RH"),
    )


def _or_inf(valid, bound):
    return np.where(valid, bound, math.inf)[()]
