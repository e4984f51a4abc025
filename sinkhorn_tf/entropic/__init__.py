r"""The entropic penalty: bounds, exact gaps, and the temperature to choose.

The penalised program is :math:`\min c^T x - H(x) / \eta` over
:math:`\{A x = b, x \ge 0\}`, with :math:`H(x) = \sum_i x_i \log(1 / x_i)`. For
permutations `eta = 1 / temperature` and the cost is minus the logits: the solution is
the limit :math:`S(X / t)` for logits X and temperature t. Everything here is float64
NumPy and SciPy on the host. The numbers of theorems, propositions and definitions are
those of the paper.

Reference:
    Weed (2018), An explicit analysis of the entropic penalty in linear programming.
"""

from sinkhorn_tf.entropic._assignment_gap import assignment_gap, second_best_gap
from sinkhorn_tf.entropic.bounds import (
    birkhoff_radii,
    distance_bound,
    fast_rate,
    integral_rate,
    relaxed_rate,
    simplex_radii,
    slow_rate,
    sufficient_eta,
    transport_radii,
)
from sinkhorn_tf.entropic.instances import (
    lower_bound_eta,
    simplex_fast_lower_bound,
    simplex_slow_lower_bound,
    simplex_solution,
    tight_instance,
    tight_lower_bound,
)
from sinkhorn_tf.entropic.linear_program import solve_lp
from sinkhorn_tf.entropic.temperature import (
    LayerBounds,
    assignment_suboptimality,
    layer_bounds,
    temperature_for_accuracy,
)
from sinkhorn_tf.entropic.vertex_gap import suboptimality_gap

__all__ = [
    "LayerBounds",
    "assignment_gap",
    "assignment_suboptimality",
    "birkhoff_radii",
    "distance_bound",
    "fast_rate",
    "integral_rate",
    "layer_bounds",
    "lower_bound_eta",
    "relaxed_rate",
    "second_best_gap",
    "simplex_fast_lower_bound",
    "simplex_radii",
    "simplex_slow_lower_bound",
    "simplex_solution",
    "slow_rate",
    "solve_lp",
    "suboptimality_gap",
    "sufficient_eta",
    "temperature_for_accuracy",
    "tight_instance",
    "tight_lower_bound",
    "transport_radii",
]
