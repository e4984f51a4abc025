"""Gumbel noise: the same bits for a seed in eager calls, graphs and XLA."""

import numpy as np
import tensorflow as tf

from sinkhorn_tf._core import arguments as _arguments


def gumbel_noise(shape, seed, dtype=tf.float32):
    """Standard Gumbel noise, the same for a seed in eager, graph and XLA.

    Args:
        shape: Shape of the noise, a tuple or an int tensor.
        seed: An int, a `[2]` int tensor, or None for fresh noise (eager only).
        dtype: float32 or float64.

    Returns:
        A tensor of finite noise.
    """
    # Only the integer bits of the stateless generators agree between graph and XLA.
    # The lowest are dropped, half a step is added: strictly inside (0, 1), exactly.
    bits_dtype, used = (tf.uint64, 52) if dtype == tf.float64 else (tf.uint32, 23)
    bits = tf.random.stateless_uniform(
        shape, _arguments.to_seed(seed), None, None, bits_dtype, alg="philox"
    )
    bits = tf.bitwise.right_shift(bits, bits_dtype.size * 8 - used)
    uniform = (tf.cast(bits, dtype) + 0.5) * np.asarray(
        2.0**-used, dtype.as_numpy_dtype
    )
    return -tf.math.log(-tf.math.log(uniform))
