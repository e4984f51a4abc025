"""Keras layers: operators with their settings, and parts of the networks."""

from sinkhorn_tf.layers.dense_by_target import DenseByTarget
from sinkhorn_tf.layers.edge_features import EdgeFeatures
from sinkhorn_tf.layers.gumbel_sinkhorn import GumbelSinkhorn
from sinkhorn_tf.layers.matching import Matching
from sinkhorn_tf.layers.pair_attention import PairAttention
from sinkhorn_tf.layers.partial_sinkhorn import PartialSinkhorn
from sinkhorn_tf.layers.restore import Restore
from sinkhorn_tf.layers.sinkhorn import SinkhornLayer
from sinkhorn_tf.layers.soft_top_k import SoftTopK

# An alias named like its siblings. The class keeps its name, under which Keras stores
# weights.
Sinkhorn = SinkhornLayer

__all__ = [
    "DenseByTarget",
    "EdgeFeatures",
    "GumbelSinkhorn",
    "Matching",
    "PairAttention",
    "PartialSinkhorn",
    "Restore",
    "Sinkhorn",
    "SinkhornLayer",
    "SoftTopK",
]
