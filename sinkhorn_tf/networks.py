"""The former name of `sinkhorn_tf.models`."""

from sinkhorn_tf.models import assembly_network, jigsaw_network, sorting_network

__all__ = ["assembly_network", "jigsaw_network", "sorting_network"]
