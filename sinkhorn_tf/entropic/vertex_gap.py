"""The suboptimality gap over vertices that are given."""

import math

import numpy as np

from sinkhorn_tf.entropic import _checks


def suboptimality_gap(c, vertices, *, tau=0.0, tolerance=None):
    """The distance from the best cost to the next (EP, Definition 1).

    Args:
        c: Costs `[d]`, finite.
        vertices: `[k, d]`, finite, k >= 1.
        tau: Number >= 0. If positive, the gap of Corollary 2: from the largest cost
            of a vertex within `tau` of the best to the least one beyond.
        tolerance: Costs that differ by no more are tied. None: what the sums can be
            off by rounding, 0 for integers.

    Returns:
        Float > 0, +inf if no vertex is worse.

    Raises:
        ValueError: If a shape or number is out of range.
    """
    c = _checks.to_finite(c, "c", 1)
    vertices = _checks.to_finite(vertices, "vertices", 2)
    if vertices.shape[1] != len(c) or not len(vertices):
        raise ValueError(
            "vertices must have shape [k, d] with k >= 1, and c shape [d]. Received: "
            f"vertices.shape={vertices.shape}, c.shape={c.shape}"
        )
    tau = float(_checks.to_non_negative(tau, "tau"))
    costs = np.sort(vertices @ c)
    size = (np.abs(vertices) @ np.abs(c)).max()
    exact = _checks.are_exact(vertices, 1) and _checks.are_exact(c, 1)
    rounding = 0.0 if exact and size <= 2.0**53 else (len(c) + 2) * 2.0**-52 * size
    tolerance = _checks.to_tie_tolerance(tolerance, rounding)
    near = costs - costs[0] <= tau + tolerance
    if near.all():
        return math.inf
    return float(costs[~near][0] - costs[near][-1])
