"""The suboptimality gap over a list of vertices."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from sinkhorn_tf.entropic import _numpy_arguments


def suboptimality_gap(
    c: ArrayLike,
    vertices: ArrayLike,
    *,
    tau: float = 0.0,
    tolerance: float | None = None,
) -> float:
    """The distance from the best cost of a vertex to the next (Definition 1).

    Args:
        c: Costs `[d]`, finite.
        vertices: `[k, d]`, finite, k >= 1.
        tau: Number >= 0. If positive, the gap of Corollary 2: from the largest cost
            of a vertex within `tau` of the best to the least one beyond.
        tolerance: Costs that differ by no more are tied. None stands for the largest
            error of the sums by rounding, 0 for integers.

    Returns:
        Float > 0, +inf if no vertex is worse.

    Raises:
        ValueError: If a shape or number is out of range.

    Example:

    >>> st.entropic.suboptimality_gap([1, 2], [[1, 0], [0, 1], [3, 0]])
    1.0

    Reference:
        Weed (2018), An explicit analysis of the entropic penalty in linear
        programming.
    """
    c = _numpy_arguments.to_finite_array(c, "c", 1)
    vertices = _numpy_arguments.to_finite_array(vertices, "vertices", 2)
    if vertices.shape[1] != len(c) or not len(vertices):
        raise ValueError(
            "vertices must have shape [k, d] with k >= 1, and c shape [d]. Received: "
            f"vertices.shape={vertices.shape}, c.shape={c.shape}"
        )
    tau = float(_numpy_arguments.to_non_negative_array(tau, "tau"))
    costs = np.sort(vertices @ c)
    size = (np.abs(vertices) @ np.abs(c)).max()
    exact = _numpy_arguments.sums_are_exact(
        vertices, 1
    ) and _numpy_arguments.sums_are_exact(c, 1)
    rounding = 0.0 if exact and size <= 2.0**53 else (len(c) + 2) * 2.0**-52 * size
    tolerance = _numpy_arguments.to_tie_tolerance(tolerance, rounding)
    near = costs - costs[0] <= tau + tolerance
    if near.all():
        return math.inf
    return float(costs[~near][0] - costs[near][-1])
