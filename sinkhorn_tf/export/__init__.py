"""SavedModels for TensorFlow Serving."""

from sinkhorn_tf.export.solver import export_solver

__all__ = ["export_solver"]
