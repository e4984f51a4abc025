"""Keras layers: each only holds the settings of one operator."""

from sinkhorn_tf.layers.gumbel_sinkhorn import GumbelSinkhorn
from sinkhorn_tf.layers.matching import Matching
from sinkhorn_tf.layers.restore import Restore
from sinkhorn_tf.layers.sinkhorn_layer import SinkhornLayer

__all__ = ["GumbelSinkhorn", "Matching", "Restore", "SinkhornLayer"]
