"""TensorFlow: ours, the naive log-domain loop, and the bound of both."""

import functools

import numpy as np
import tensorflow as tf

import sinkhorn_tf as st
from pipelines.benchmark.balance import (
    balance,
    has_dustbins,
    is_square,
    marginals,
    masks,
)
from pipelines.benchmark.peers import Unsupported

# The largest number of plain iterations on the way to a tolerance.
MAX_ITERATIONS = 2**17
# The number of matchings in one graph, which is even.
CALLS = 8


class _TensorFlow:
    """A function of the scaled problem, as a graph or compiled by XLA."""

    def __init__(self, jit_compile):
        self._compiled = functools.partial(
            tf.function, jit_compile=jit_compile, autograph=False
        )
        self._jit_compile = jit_compile

    def forward(self, inputs):
        def plan(x, sets):
            return self.plan(x, inputs, **sets)

        return self._ready(plan, inputs.logits, self._sets(inputs))

    def backward(self, inputs):
        def gradient(x, weights, sets):
            with tf.GradientTape() as tape:
                tape.watch(x)
                loss = tf.reduce_sum(self.plan(x, inputs, **sets) * weights)
            return tape.gradient(loss, x)

        return self._ready(gradient, inputs.logits, inputs.weights, self._sets(inputs))

    def _sets(self, inputs):
        """The arguments of a function other than the logits, a dict of arrays."""
        return masks(inputs) | marginals(inputs)

    def arrays(self, result):
        if isinstance(result, dict):
            return {name: x.numpy() for name, x in result.items()}
        return {"result": result.numpy()}

    def _ready(self, function, *arrays):
        """`function` on these arrays, to be called without arguments."""
        function = self._compiled(function)
        tensors = tf.nest.map_structure(tf.constant, list(arrays))

        def run():
            result = function(*tensors)
            # Returns once the result is computed; on a CPU it is a view.
            tf.nest.map_structure(lambda x: x.numpy(), result)
            return result

        return run

    def _repeated(self, function, inputs):
        """A matching that is computed many times in one graph, as a part of a model is.

        Every other time it takes the batch in reverse; else the compiler would compute
        once.
        """
        arrays = {"logits": inputs.logits, **self._sets(inputs)}
        one = tf.nest.map_structure(tf.zeros_like, function(**arrays))

        def calls(both):
            def call(index):
                return function(**{k: x[(index + 1) % 2] for k, x in both.items()})

            return tf.while_loop(
                lambda index, _: index < CALLS,
                lambda index, _: (index + 1, call(index)),
                (0, one),
                maximum_iterations=CALLS,
            )[1]

        both = {name: np.stack([x, x[::-1]]) for name, x in arrays.items()}
        run = self._ready(calls, both)
        run.calls = CALLS
        return run


class Ours(_TensorFlow):
    """The operators of this library."""

    def plan(self, x, inputs, **sets):
        settings = (inputs.temperature, inputs.iterations)
        if not has_dustbins(inputs):
            return st.sinkhorn(x, *settings, **sets)
        if not hasattr(st, "partial_sinkhorn"):
            raise Unsupported("this sinkhorn_tf has no partial_sinkhorn")
        return st.partial_sinkhorn(x, inputs.unmatched_score, *settings, **sets).plan

    def solve(self, inputs):
        if not hasattr(st, "sinkhorn_solve"):
            raise Unsupported("this sinkhorn_tf has no sinkhorn_solve")

        def solve(x):
            solution = st.sinkhorn_solve(
                x, inputs.temperature, tolerance=inputs.tolerance
            )
            return {"result": solution.plan, "iterations": solution.n_iters}

        return self._ready(solve, inputs.logits)

    def match(self, inputs):
        def match(logits, **sets):
            return {"result": st.matching(logits, **sets)}

        return self._repeated(match, inputs)


class OursEager(Ours):
    """The operators of this library, called eagerly: it chooses how they run."""

    def __init__(self):
        super().__init__(jit_compile=None)
        self._compiled = lambda function: function


class Iterations(_TensorFlow):
    """`st.sinkhorn`, iterating until it meets the tolerance."""

    def solve(self, inputs):
        def plan(x):
            return st.sinkhorn(
                x,
                inputs.temperature,
                MAX_ITERATIONS,
                tolerance=inputs.iteration_tolerance,
                # This derivative keeps no history of the iterations.
                gradient="implicit",
            )

        return self._ready(plan, inputs.logits)


class Certified(_TensorFlow):
    """`st.certified_matching`, whose gap proves the result."""

    def match(self, inputs):
        def match(logits, **sets):
            matching = st.certified_matching(logits, **sets)
            return {"result": matching.perm, "gap": matching.gap}

        return self._repeated(match, inputs)


class LogLoop(_TensorFlow):
    """The textbook's loop: a logsumexp per half step, differentiated by TensorFlow.

    For masses and dustbins it is the loop of SuperGlue (Sarlin et al. 2020).
    """

    def plan(self, x, inputs, log_rows=None, log_cols=None):
        x = x / inputs.temperature
        if log_rows is None:
            return tf.exp(self._loop(inputs.iterations, _normalized, x))
        _, n, m = x.shape
        problem = balance(inputs)
        slack_logit = problem.slack_logit / inputs.temperature
        x = tf.pad(x, problem.padding, constant_values=slack_logit)

        def step(b):
            a = log_rows - tf.reduce_logsumexp(x + b, axis=2, keepdims=True)
            return log_cols - tf.reduce_logsumexp(x + a, axis=1, keepdims=True)

        # Columns that do not exist count nowhere, from the first step on.
        b = tf.where(tf.math.is_finite(log_cols), 0.0, log_cols)
        b = self._loop(inputs.iterations - 1, step, b)
        a = log_rows - tf.reduce_logsumexp(x + b, axis=2, keepdims=True)
        b = log_cols - tf.reduce_logsumexp(x + a, axis=1, keepdims=True)
        return tf.exp(x + a + b)[:, :n, :m]

    def _sets(self, inputs):
        """The logarithms of the masses, -inf where nothing exists."""
        if is_square(inputs):
            return {}
        problem = balance(inputs)
        with np.errstate(divide="ignore"):
            return {
                "log_rows": np.log(problem.row_masses)[:, :, None],
                "log_cols": np.log(problem.col_masses)[:, None],
            }

    def _loop(self, iterations, step, x):
        """`step`, so many times."""
        if not self._jit_compile:
            for _ in range(iterations):
                x = step(x)
            return x
        # XLA takes minutes to compile an unrolled loop, and the result is slower.
        return tf.while_loop(
            lambda index, x: index < iterations,
            lambda index, x: (index + 1, step(x)),
            (0, x),
            maximum_iterations=iterations,
        )[1]

    def solve(self, inputs):
        """Blocks of 1, 2, 4, ... iterations until the residual is small enough."""
        z = tf.constant(inputs.logits) / inputs.temperature

        @self._compiled
        def block(z, b, length):
            def step(index, b, _):
                a = -tf.reduce_logsumexp(z + b, axis=2, keepdims=True)
                return index + 1, -tf.reduce_logsumexp(z + a, axis=1, keepdims=True), a

            a = tf.zeros_like(tf.linalg.matrix_transpose(b))
            _, b, a = tf.while_loop(lambda index, *_: index < length, step, (0, b, a))
            plan = tf.exp(z + a + b)
            return b, plan, tf.reduce_max(tf.abs(tf.reduce_sum(plan, 2) - 1))

        def run():
            b, length, total = tf.zeros_like(z[:, :1]), 1, 0
            while total < MAX_ITERATIONS:
                b, plan, residual = block(z, b, tf.constant(length))
                total += length
                length *= 2
                if residual.numpy() <= inputs.iteration_tolerance:
                    break
            return {"result": plan, "iterations": tf.constant([total])}

        return run


def _normalized(x):
    """One iteration, rows first."""
    x = x - tf.reduce_logsumexp(x, axis=2, keepdims=True)
    return x - tf.reduce_logsumexp(x, axis=1, keepdims=True)


class Bound(_TensorFlow):
    """L times `v = K^T (K v)`: a lower bound of the cost of the iterations.

    The kernel is the plan, whose powers neither grow nor vanish.
    """

    def bound(self, inputs):
        def products(kernel, v):
            def body(index, v):
                if not self._jit_compile:
                    # The fastest products of plain graphs.
                    u = tf.matmul(v, kernel, transpose_b=True)
                    return index + 1, tf.matmul(u, kernel)
                u = tf.einsum("bij,bj->bi", kernel, v)
                return index + 1, tf.einsum("bij,bi->bj", kernel, u)

            return tf.while_loop(
                lambda index, v: index < inputs.iterations,
                body,
                (0, v),
                maximum_iterations=inputs.iterations,
            )[1]

        ones = tf.ones_like(inputs.kernel[:, 0])
        if not self._jit_compile:
            ones = ones[:, None]
        return self._ready(products, inputs.kernel, ones)


PEERS = {
    "ours_xla": lambda: Ours(True),
    "ours_graph": lambda: Ours(False),
    "log_xla": lambda: LogLoop(True),
    "log_graph": lambda: LogLoop(False),
    "iterations_xla": lambda: Iterations(True),
    "certified_xla": lambda: Certified(True),
    "certified_graph": lambda: Certified(False),
    "bound": lambda: Bound(True),
    "bound_graph": lambda: Bound(False),
    "ours_call": OursEager,
}
