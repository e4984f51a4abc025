"""Differentiable sorting, ranking and selection of numbers, without a network."""

from sinkhorn_tf.sorting.optimal_transport import soft_rank, soft_sort
from sinkhorn_tf.sorting.top_k import soft_top_k

__all__ = ["soft_rank", "soft_sort", "soft_top_k"]
