"""Random problems, most of them nasty: no NaN that was not put in, no wrong plan."""

import numpy as np
import pytest
import tensorflow as tf

import sinkhorn_tf as st
from tests.sinkhorn_tf.sinkhorn_reference import gradients, reference

SHAPES = [(1, 1), (3, 2), (4, 5), (2, 11), (2, 27)]
DTYPES = ["float16", "bfloat16", "float32", "float64"]


def problem(rng, batch, n, dtype):
    """Logits `[batch, n, n]` and temperatures `[batch]`."""
    scale = 10.0 ** rng.uniform(-3, 4)
    x = scale * rng.normal(size=(batch, n, n))
    kind = rng.integers(7)
    if kind == 1:
        x = np.round(x / scale)  # ties
    elif kind == 2:
        x[:, rng.integers(n)] = 0  # a constant row
    elif kind == 3:
        x[rng.random(x.shape) < 0.3] = -np.inf
    elif kind == 4:
        x[rng.random(x.shape) < 0.3] = -1e4 if dtype == "float16" else -1e6
    elif kind == 5:
        x += 1e3 * rng.normal(size=(batch, n, 1))  # offsets of rows
    elif kind == 6:
        x[:, :, 0] += 100 * scale  # all want the same column
    temperature = 10.0 ** rng.uniform(-3, 1, size=batch)
    limit = float(tf.as_dtype(dtype).max) / 2
    x = np.where(np.isfinite(x), np.clip(x, -limit, limit), x)
    return tf.cast(x, dtype), temperature.astype(np.float32)


@pytest.mark.parametrize("seed", range(20))
def test_plans_and_gradients_are_finite_and_right(seed):
    rng = np.random.default_rng(seed)
    batch, n = SHAPES[seed % len(SHAPES)]
    dtype = DTYPES[seed // len(SHAPES)]
    x, t = problem(rng, batch, n, dtype)
    n_iters = int(rng.integers(1, 40))
    tolerance = [None, 1e-3][rng.integers(2)]
    gradient = ["unrolled", "implicit"][rng.integers(2)]
    function = lambda x, t: st.sinkhorn(
        x, t, n_iters, tolerance=tolerance, gradient=gradient, jit_compile=False
    )
    plan = function(x, t)
    assert plan.dtype == x.dtype
    plan = tf.cast(plan, tf.float64).numpy()
    assert np.isfinite(plan).all() and (plan >= 0).all()
    logits = tf.cast(x, tf.float64).numpy()
    assert (plan[logits == -np.inf] == 0).all()
    alive = (logits > -np.inf).any(1)
    fine = 1e-4 if dtype in ("float32", "float64") else 0.02
    np.testing.assert_allclose(plan.sum(1), alive, atol=fine * np.sqrt(n))
    if tolerance is None and gradient == "unrolled":
        # Rounding of the logits, in units of the temperature, is all that may differ.
        expected = reference(logits, t, n_iters)
        digits = np.finfo(np.float64 if dtype == "float64" else np.float32).eps
        spread = np.abs(np.where(logits > -np.inf, logits, 0)).max((1, 2)) / t
        allowed = fine + 20 * n_iters * digits * spread
        assert (np.abs(plan - expected).max((1, 2)) <= allowed).all()
    for g in gradients(function, x, t, rng.normal(size=x.shape)):
        assert np.isfinite(np.asarray(g, np.float64)).all()


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("invalid", [np.nan, np.inf])
def test_an_invalid_value_anywhere_stays_in_its_example(seed, invalid):
    rng = np.random.default_rng(seed)
    n = [2, 6, 27][seed % 3]
    x, t = problem(rng, 3, n, "float32")
    clean = x.numpy()
    changed = clean.copy()
    changed[1, rng.integers(n), rng.integers(n)] = invalid
    options = {"tolerance": 1e-3} if seed % 2 else {}
    function = lambda x, t: st.sinkhorn(x, t, 30, jit_compile=False, **options)
    weights = rng.normal(size=clean.shape)
    result = [function(changed, t), *gradients(function, changed, t, weights)]
    expected = [function(clean, t), *gradients(function, clean, t, weights)]
    for f, e in zip(result, expected, strict=True):
        np.testing.assert_array_equal(np.asarray(f)[[0, 2]], np.asarray(e)[[0, 2]])
    assert np.isnan(result[0][1]).all()
    assert (result[1][1] == 0).all() and result[2][1] == 0
