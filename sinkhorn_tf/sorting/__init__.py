"""Differentiable sorting and ranking of numbers, without a network."""

from sinkhorn_tf.sorting.optimal_transport import soft_rank, soft_sort

__all__ = ["soft_rank", "soft_sort"]
