"""Eager calls run compiled by XLA; calls inside a trace inline plain ops."""

import functools
from collections.abc import Callable

import tensorflow as tf

from sinkhorn_tf._core import tensorflow_private
from sinkhorn_tf._core.arguments import to_jit_compile

_SECOND_DERIVATIVE = (
    "XLA did not compile this call by itself; under two gradient tapes it cannot. Call "
    "it inside a tf.function, or with jit_compile=None or False. Received: "
    "jit_compile=True outside of a tf.function"
)

_REFUSALS = (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError)


def is_for_xla():
    """Whether XLA will compile the graph that is being traced."""
    return tensorflow_private.is_compiled_by_xla(tf.compat.v1.get_default_graph())


def compiled_when_eager(
    function: Callable,
    pad: Callable | None = None,
    runs_plain: Callable | None = None,
    unknown_axes: int = 0,
) -> Callable:
    """Wraps an operator on tensors with the keyword `jit_compile`.

    `jit_compile=None` compiles eager calls, except those that are faster as a plain graph,
    and leaves a trace alone, so that the operator takes part in the caller's compilation
    and an exported model carries no function that must be compiled. True compiles always,
    False never. Keyword arguments are Python values and part of the cache key, and so is
    which tensors are None.

    Under two gradient tapes XLA refuses loops of an eager call: with None it runs as a
    plain graph then, with True it raises NotImplementedError.

    Args:
        function: The operator.
        pad: Function of its tensors to `(tensors, crop)`: those of a shape that many eager
            calls share, and the function from their result to that of the given tensors,
            or None if they are the same. None if every shape is compiled by itself.
        runs_plain: Function of the first tensor to whether an eager call with
            `jit_compile=None` runs as a plain graph. None if none does.
        unknown_axes: How many of the last sizes of the first tensor that is present a plain
            graph of an eager call leaves open, so that calls of all sizes share one.
    """

    @functools.cache
    def traced(jit_compile, absent, **static):
        # Each None among the arguments of a call would cost it 0.05 ms.
        def on_present(*tensors):
            tensors = list(tensors)
            for index in absent:
                tensors.insert(index, None)
            return function(*tensors, **static)

        return tf.function(on_present, jit_compile=jit_compile, autograph=False)

    @functools.cache
    def concrete(jit_compile, absent, *specs, **static):
        # Unlike a call, this does not warn of every new shape.
        return traced(jit_compile, absent, **static).get_concrete_function(*specs)

    @functools.wraps(function)
    def call(*tensors, jit_compile=None, **static):
        jit_compile = to_jit_compile(jit_compile)
        if not jit_compile and not tf.executing_eagerly():
            return function(*tensors, **static)
        if jit_compile is None and runs_plain is not None and runs_plain(tensors[0]):
            jit_compile = False
        if pad is None or jit_compile is False or not tf.executing_eagerly():
            return run(*tensors, jit_compile=jit_compile, **static)
        tensors, crop = pad(*tensors)
        result = run(*tensors, jit_compile=jit_compile, **static)
        return result if crop is None else crop(result)

    def run(*tensors, jit_compile, **static):
        absent = tuple(i for i, x in enumerate(tensors) if x is None)
        present = [x for x in tensors if x is not None]
        specs = [tf.TensorSpec(x.shape, x.dtype) for x in present]
        if jit_compile is False:
            known = present[0].shape[: present[0].shape.rank - unknown_axes]
            specs[0] = tf.TensorSpec([*known, *[None] * unknown_axes], specs[0].dtype)
            return concrete(False, absent, *specs, **static)(*present)
        refusal = None
        if not _ends_the_process(present):
            try:
                return concrete(True, absent, *specs, **static)(*present)
            except _REFUSALS as error:
                # XLA refuses the forward pass of a second derivative.
                refusal = error
        if jit_compile:
            raise NotImplementedError(_SECOND_DERIVATIVE) from refusal
        return concrete(False, absent, *specs, **static)(*present)

    return call


def _ends_the_process(tensors):
    """Whether XLA would end the process, since it refuses a loop on a GPU."""
    return tensorflow_private.may_have_second_derivatives(tensors) and bool(
        tf.config.list_physical_devices("GPU")
    )
