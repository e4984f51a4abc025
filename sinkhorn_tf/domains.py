"""The two domains in which half steps are done: scalings, and their logarithms.

Shapes: the kernel `[B, N, N]`, scalings `[B, N]`; a `problem` has `dead_rows` and
`dead_cols`, 1 for rows and columns without any allowed pair, which keep the scaling 1
since their sum is 0 whatever it is.
"""

import tensorflow as tf

# Up to this N a product and a sum take less time than a batch of small matrix
# products where XLA does not compile them (a quarter at N = 9, half at N = 36 on a
# CPU), and at N = 9 as much where it does; for larger ones they take more.
_SMALL = 24


def row_sums(kernel, v):
    """`K v`: `[B, N]`."""
    if _sums_elementwise(kernel):
        return tf.reduce_sum(kernel * v[:, None, :], 2)
    # As a row vector: plain TensorFlow takes twice the time for a column.
    return tf.matmul(v[:, None, :], kernel, transpose_b=True)[:, 0]


def col_sums(kernel, u):
    """`K^T u`: `[B, N]`."""
    if _sums_elementwise(kernel):
        return tf.reduce_sum(kernel * u[:, :, None], 1)
    return tf.matmul(u[:, None, :], kernel)[:, 0]


def _sums_elementwise(kernel):
    n = kernel.shape[-1]
    # A GPU would round the factors of a float32 product to TensorFloat-32, of 10 bits.
    return (n is not None and n <= _SMALL) or bool(
        tf.config.list_physical_devices("GPU")
    )


class KernelDomain:
    """Half steps on scalings."""

    # The steps are few operations, of which a loop would make many.
    unrolls = True

    def __init__(self, problem, log_kernel):
        self.problem = problem
        self.kernel = tf.exp(log_kernel)

    def start(self, state):
        return state.u, tf.exp(state.log_v)

    def row_sums(self, v):
        return row_sums(self.kernel, v)

    def rows(self, sums):
        return 1 / (sums + self.problem.dead_rows)

    def cols(self, u):
        return 1 / (col_sums(self.kernel, u) + self.problem.dead_cols)

    def marginals(self, u, sums):
        return u * sums


class LogDomain:
    """The same half steps on logarithms of scalings; `row_sums` are logarithms."""

    # Seldom used, and large: in a loop they take less time to compile.
    unrolls = False

    def __init__(self, problem, log_kernel):
        self.problem = problem
        self.log_kernel = log_kernel

    def start(self, state):
        return tf.math.log(state.u), state.log_v

    def row_sums(self, v):
        return tf.reduce_logsumexp(self.log_kernel + v[:, None, :], axis=2)

    def rows(self, sums):
        return tf.where(self.problem.dead_rows > 0, tf.zeros_like(sums), -sums)

    def cols(self, u):
        sums = tf.reduce_logsumexp(self.log_kernel + u[:, :, None], axis=1)
        return tf.where(self.problem.dead_cols > 0, tf.zeros_like(sums), -sums)

    def marginals(self, u, sums):
        return tf.exp(u + sums)


def select(is_kernel, kernel_value, log_value, batch_axis=0):
    """`kernel_value()` where `is_kernel`, `log_value()` for the other examples.

    The second is computed only if an example needs it.
    """
    kernel_value = tf.nest.map_structure(tf.identity, kernel_value())

    def choose(kernel_part, log_part):
        rank = kernel_part.shape.rank
        shape = [1] * batch_axis + [-1] + [1] * (rank - batch_axis - 1)
        return tf.where(tf.reshape(is_kernel, shape), kernel_part, log_part)

    return tf.cond(
        tf.reduce_all(is_kernel),
        lambda: kernel_value,
        lambda: tf.nest.map_structure(choose, kernel_value, log_value()),
    )


def log_kernel_around(z, row_base, col_base):
    return z + row_base[:, :, None] + col_base[:, None, :]


def scaled(u, kernel, v):
    return u[:, :, None] * kernel * v[:, None, :]


def shifted(u, log_kernel, v):
    return log_kernel + u[:, :, None] + v[:, None, :]
