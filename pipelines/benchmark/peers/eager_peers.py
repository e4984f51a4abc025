"""TensorFlow, called eagerly with one size after the other."""

import functools
import logging
import types

import numpy as np
import tensorflow as tf

import sinkhorn_tf as st
from pipelines.benchmark.peers.tensorflow_peers import LogLoop


class _Warnings(logging.Handler):
    """Counts the warnings of TensorFlow."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.count = 0
        tf.get_logger().setLevel(logging.WARNING)
        tf.get_logger().addHandler(self)

    def emit(self, record):
        self.count += 1


class _Eager:
    """Calls of a function, each with the examples of one size, as their masks tell it."""

    def __init__(self):
        self._warnings = _Warnings()

    def forward_sizes(self, inputs):
        return self._calls(self._operator(inputs), inputs)

    def backward_sizes(self, inputs):
        operator = self._operator(inputs)

        def gradient(x, weights):
            with tf.GradientTape() as tape:
                tape.watch(x)
                loss = tf.reduce_sum(operator(x) * weights)
            return tape.gradient(loss, x)

        return self._calls(gradient, inputs, inputs.weights)

    def arrays(self, result):
        n = len(result[-1][0])
        padded = [
            np.pad(
                part,
                [(0, 0), *((0, n - size) for size in part.shape[1:])],
                # -1 is a matching's word for no position.
                constant_values=0 if part.ndim == 3 else -1,
            )
            for part in result
        ]
        return {
            "result": np.concatenate(padded),
            "warnings": np.array(self._warnings.count),
        }

    def _calls(self, function, inputs, *others):
        """Calls a function for each size, the smallest first."""
        sizes = inputs.row_mask.sum(axis=1)
        calls = [
            [tf.constant(x[sizes == n][:, :n, :n]) for x in (inputs.logits, *others)]
            for n in np.unique(sizes)
        ]

        def run():
            return [function(*arguments).numpy() for arguments in calls]

        run.calls = len(calls)
        return run


class Ours(_Eager):
    """The functions of this library, with an argument `jit_compile`."""

    def __init__(self, jit_compile=None):
        super().__init__()
        self._options = {"jit_compile": jit_compile}

    def _operator(self, inputs):
        settings = (inputs.temperature, inputs.iterations)
        return lambda x: st.sinkhorn(x, *settings, **self._options)

    def match_sizes(self, inputs):
        return self._calls(lambda x: st.matching(x, **self._options), inputs)

    def certify_sizes(self, inputs):
        return self._calls(
            lambda x: st.certified_matching(x, **self._options).perm, inputs
        )

    def rank_sizes(self, inputs):
        return self._calls(lambda x: st.soft_rank(x[:, 0], **self._options), inputs)


class Loop(_Eager):
    """The textbook's loop, which XLA compiles for every size."""

    def _operator(self, inputs):
        settings = types.SimpleNamespace(
            temperature=inputs.temperature, iterations=inputs.iterations
        )
        plan = functools.partial(LogLoop(True).plan, inputs=settings)
        return tf.function(plan, jit_compile=True, autograph=False)


PEERS = {
    "ours_eager": Ours,
    "ours_eager_graph": lambda: Ours(jit_compile=False),
    "log_eager": Loop,
}
