"""Differentiable permutations for TensorFlow and Keras."""

try:
    import keras

    _backend = keras.backend.backend()
except ModuleNotFoundError as error:
    # Another backend was asked for, and is not even installed.
    if error.name not in ("jax", "torch", "openvino"):
        raise
    _backend = error.name

if _backend != "tensorflow":
    raise ImportError(
        "sinkhorn_tf needs Keras on the TensorFlow backend: set "
        "KERAS_BACKEND=tensorflow before Keras is imported. "
        f"Received: keras.backend.backend()={_backend!r}"
    )

from sinkhorn_tf import (
    callbacks,
    distributions,
    entropic,
    export,
    layers,
    losses,
    metrics,
    models,
    networks,
    permutations,
    sorting,
)
from sinkhorn_tf._matching.matching import (
    CertifiedMatching,
    certified_matching,
    matching,
)
from sinkhorn_tf._matching.partial import partial_matching
from sinkhorn_tf._sinkhorn.operator import sinkhorn
from sinkhorn_tf._sinkhorn.partial import PartialPlan, partial_sinkhorn
from sinkhorn_tf._sinkhorn.solve import SinkhornSolution, sinkhorn_solve
from sinkhorn_tf.callbacks import AnnealTemperature
from sinkhorn_tf.distributions import gumbel_sinkhorn
from sinkhorn_tf.export.solver import export_solver
from sinkhorn_tf.layers import GumbelSinkhorn, Matching, Restore, SinkhornLayer
from sinkhorn_tf.sorting import soft_rank, soft_sort, soft_top_k
from sinkhorn_tf.version import __version__

__all__ = [
    "AnnealTemperature",
    "CertifiedMatching",
    "GumbelSinkhorn",
    "Matching",
    "PartialPlan",
    "Restore",
    "SinkhornLayer",
    "SinkhornSolution",
    "__version__",
    "callbacks",
    "certified_matching",
    "distributions",
    "entropic",
    "export",
    "export_solver",
    "gumbel_sinkhorn",
    "layers",
    "losses",
    "matching",
    "metrics",
    "models",
    "networks",
    "partial_matching",
    "partial_sinkhorn",
    "permutations",
    "sinkhorn",
    "sinkhorn_solve",
    "soft_rank",
    "soft_sort",
    "soft_top_k",
    "sorting",
]


def __dir__() -> list[str]:
    """The public names alone."""
    return sorted(__all__)
