"""The networks of the experiments: from items to the logits of their places."""

from sinkhorn_tf.models.assembly import assembly_network
from sinkhorn_tf.models.jigsaw import jigsaw_network
from sinkhorn_tf.models.sorting import sorting_network

__all__ = ["assembly_network", "jigsaw_network", "sorting_network"]
