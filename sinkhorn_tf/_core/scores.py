"""Conversion of the score of staying unmatched."""

import numpy as np
import tensorflow as tf

from sinkhorn_tf._core.arguments import check_broadcasts
from sinkhorn_tf._core.conversion import known_array, to_numbers
from sinkhorn_tf._core.refusals import shown


def to_unmatched_score(value, dtype, batch):
    """Converts a finite score; one that is not and only a graph knows becomes NaN.

    Args:
        value: Number, or tensor that broadcasts against the batch dimensions.
        dtype: Dtype of the result.
        batch: The batch dimensions.
    """
    score = to_numbers(value, "unmatched_score", dtype)
    known = known_array(value, score)
    if known is not None and not np.isfinite(known).all():
        raise ValueError(
            f"unmatched_score must be finite. Received: unmatched_score={shown(value)}"
        )
    check_broadcasts(score.shape, "unmatched_score", batch)
    return tf.where(tf.math.is_finite(score), score, tf.constant(np.nan, dtype))
