"""Gumbel noise: the same bits for a seed in eager calls, graphs and XLA."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from sinkhorn_tf._core.arguments import TensorLike
from sinkhorn_tf._core.seeds import to_seed


def gumbel_noise(
    shape: TensorLike, seed: int | TensorLike | None, dtype: tf.DType = tf.float32
) -> tf.Tensor:
    """Draws standard Gumbel noise.

    The same seed gives the same bits in eager calls, graphs and XLA. If only the graph
    knows the seed, XLA rounds the logarithms otherwise: by up to 5e-7 in float32.

    Args:
        shape: Shape of the noise, a tuple or an int tensor.
        seed: An int, a `[2]` int tensor, or None for fresh noise (eager only).
        dtype: float32 or float64.

    Returns:
        A tensor of finite noise.

    Example:
        >>> noise = st.distributions.gumbel_noise((2, 3), seed=0)
        >>> noise.shape.as_list(), bool(tf.reduce_all(tf.math.is_finite(noise)))
        ([2, 3], True)
    """
    return -tf.math.log(-tf.math.log(uniform_noise(shape, seed, dtype)))


def uniform_noise(shape, seed, dtype):
    """Draws uniform numbers strictly inside (0, 1), as `gumbel_noise` does."""
    # Only the integer bits of the stateless generators agree between graph and XLA.
    # The lowest bits are dropped and half a step is added, so that the uniform numbers
    # are exact and strictly inside (0, 1).
    bits_dtype, used = (tf.uint64, 52) if dtype == tf.float64 else (tf.uint32, 23)
    bits = tf.random.stateless_uniform(
        shape, to_seed(seed), None, None, bits_dtype, alg="philox"
    )
    bits = tf.bitwise.right_shift(bits, bits_dtype.size * 8 - used)
    return (tf.cast(bits, dtype) + 0.5) * np.asarray(2.0**-used, dtype.as_numpy_dtype)
