"""Differentiable sorting, ranking and selection of numbers, without a network."""

from sinkhorn_tf.sorting._neural_sort import neural_sort, soft_sort_l1
from sinkhorn_tf.sorting.optimal_transport import soft_argsort, soft_rank, soft_sort
from sinkhorn_tf.sorting.quantiles import (
    soft_median,
    soft_quantile,
    soft_top_k_values,
)
from sinkhorn_tf.sorting.top_k import soft_top_k

__all__ = [
    "neural_sort",
    "soft_argsort",
    "soft_median",
    "soft_quantile",
    "soft_rank",
    "soft_sort",
    "soft_sort_l1",
    "soft_top_k",
    "soft_top_k_values",
]
