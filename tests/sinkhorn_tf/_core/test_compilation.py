"""How eager calls run."""

import functools

import numpy as np
import pytest
import tensorflow as tf

import sinkhorn_tf as st
from sinkhorn_tf._core.compilation import compiled_when_eager, is_for_xla
from sinkhorn_tf._sinkhorn import operator
from sinkhorn_tf._sinkhorn.kernel_products import has_gpu


@pytest.fixture
def traces():
    """The traces of `double`: pairs of the shape and of whether XLA compiles it."""
    return []


def double(traces, **options):
    def function(x):
        traces.append((tuple(x.shape), is_for_xla()))
        return 2 * x

    return compiled_when_eager(function, **options)


def test_calls_that_run_plain_do_so_unless_asked_otherwise(traces):
    call = double(traces, runs_plain=lambda x: x.shape[0] > 3)
    small, large = tf.ones([2]), tf.ones([5])
    np.testing.assert_array_equal(call(large), [2] * 5)
    call(small)
    call(large, jit_compile=True)
    assert traces == [((5,), False), ((2,), True), ((5,), True)]


def test_sizes_that_are_left_open_share_a_plain_graph(traces):
    call = double(traces, unknown_axes=1)
    for n in (3, 4, 5):
        np.testing.assert_array_equal(
            call(tf.ones([2, n]), jit_compile=False), np.full([2, n], 2)
        )
    call(tf.ones([7, 3]), jit_compile=False)
    assert traces == [((2, None), False), ((7, None), False)]


def test_large_plans_run_on_all_cores(monkeypatch, rng):
    seen = []
    iterated = operator._iterated
    monkeypatch.setattr(
        operator,
        "_iterated",
        lambda *a, **k: seen.append(is_for_xla()) or iterated(*a, **k),
    )
    # Numbers of iterations that nothing else has, for graphs that are new.
    for n, is_compiled in ((40, True), (512, has_gpu())):
        seen.clear()
        x = tf.constant(rng.normal(size=(1, n, n)), tf.float32)
        plan = st.sinkhorn(x, 1.0, 23)
        assert seen == [is_compiled]
        in_graph = tf.function(functools.partial(st.sinkhorn, n_iters=23))(x)
        np.testing.assert_allclose(plan, in_graph, rtol=1e-4, atol=1e-7)


def test_on_a_gpu_xla_never_sees_second_derivatives(traces, monkeypatch):
    # There XLA would end the process.
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [kind])
    call, x = double(traces), tf.ones([2])
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            y = call(x)
            with pytest.raises(NotImplementedError, match="jit_compile=True outside"):
                call(x, jit_compile=True)
        np.testing.assert_array_equal(inner.gradient(y, x), [2, 2])
    assert traces == [((2,), False)]
    call(x)
    assert traces[-1] == ((2,), True)
