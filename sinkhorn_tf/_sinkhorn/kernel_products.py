"""The matrix-vector products of a Sinkhorn iteration, for a batch of kernels.

Weights and sums of rows are columns `[B, N, 1]`, those of columns are rows
`[B, 1, N]`, so that they broadcast against a kernel `[B, N, N]` as they are.
"""

import tensorflow as tf

# Up to this N a product and a sum take less time than a batch of small matrix
# products where XLA does not compile them (a quarter at N = 9, half at N = 36 on a
# CPU), and at N = 9 as much where it does; for larger ones they take more.
_SMALL = 24


def row_sums(kernel, v):
    """`K v`: `[B, N, N]` and `[B, 1, N]` -> `[B, N, 1]`."""
    if is_small(kernel) or _has_gpu():
        return tf.reduce_sum(kernel * v, axis=2, keepdims=True)
    # As a row vector: plain TensorFlow takes twice the time for a column.
    return tf.linalg.matrix_transpose(tf.matmul(v, kernel, transpose_b=True))


def col_sums(kernel, u):
    """`K^T u`: `[B, N, N]` and `[B, N, 1]` -> `[B, 1, N]`."""
    if is_small(kernel) or _has_gpu():
        return tf.reduce_sum(kernel * u, axis=1, keepdims=True)
    return tf.matmul(tf.linalg.matrix_transpose(u), kernel)


def sum_of_outer_products(columns, rows):
    """Lists of `[B, N, 1]` and `[B, 1, N]` -> `[B, N, N]`."""
    if _has_gpu():
        return tf.add_n([u * v for u, v in zip(columns, rows, strict=True)])
    return tf.matmul(tf.concat(columns, axis=2), tf.concat(rows, axis=1))


def is_small(matrices):
    n = matrices.shape[1]
    return n is not None and n <= _SMALL


def _has_gpu():
    # It would round the factors of a float32 product to TensorFloat-32, of 10 bits.
    return bool(tf.config.list_physical_devices("GPU"))
