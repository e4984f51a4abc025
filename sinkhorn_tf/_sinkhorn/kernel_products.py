"""The matrix-vector products of a Sinkhorn iteration, for a batch of kernels.

Weights and sums of rows are columns `[B, N, 1]`, those of columns are rows
`[B, 1, M]`, so that they broadcast against a kernel `[B, N, M]` as they are.
"""

import tensorflow as tf

# Up to this N a product and a sum are faster than a batch of small matrix products
# without XLA (a quarter of the time at N = 9, half at N = 36 on a CPU), and as fast with
# XLA at N = 9; beyond it they are slower.
_MAX_SMALL_N = 24


def row_sums(kernel, v):
    """`K v`: `[B, N, M]` and `[B, 1, M]` -> `[B, N, 1]`."""
    if is_small(kernel) or _has_gpu():
        return tf.reduce_sum(kernel * v, axis=2, keepdims=True)
    # The vector is a row: plain TensorFlow takes twice the time for a column.
    return tf.linalg.matrix_transpose(tf.matmul(v, kernel, transpose_b=True))


def col_sums(kernel, u):
    """`K^T u`: `[B, N, M]` and `[B, N, 1]` -> `[B, 1, M]`."""
    if is_small(kernel) or _has_gpu():
        return tf.reduce_sum(kernel * u, axis=1, keepdims=True)
    return tf.matmul(tf.linalg.matrix_transpose(u), kernel)


def sum_of_outer_products(columns, rows):
    """The sum of `column * row`: lists of `[B, N, 1]` and `[B, 1, M]` -> `[B, N, M]`."""
    if _has_gpu():
        return tf.add_n([u * v for u, v in zip(columns, rows, strict=True)])
    return tf.matmul(tf.concat(columns, axis=2), tf.concat(rows, axis=1))


def is_small(matrices):
    """Whether N and M are known and at most `_MAX_SMALL_N`."""
    return all(n is not None and n <= _MAX_SMALL_N for n in matrices.shape[1:])


def _has_gpu():
    # A GPU would round the factors of a float32 product to TensorFloat-32, of 10 bits.
    return bool(tf.config.list_physical_devices("GPU"))
