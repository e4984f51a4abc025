"""Random problems of every kind, against scipy and exact rational arithmetic."""

import fractions

import numpy as np
import pytest
import tensorflow as tf
from scipy.optimize import linear_sum_assignment

import sinkhorn_tf as st

DTYPES = ("float16", "float32", "int32")
KINDS = ("normal", "ties", "equal rows", "blockers", "forbidden", "sparse", "special")
SIZES = (1, 2, 3, 4, 6, 9, 17, 36)


@pytest.fixture(scope="module")
def solve():
    """Both operators on any size; a trace for each dtype would be slow."""

    def both(x):
        return st.matching(x), st.certified_matching(x)

    spec = tf.TensorSpec([None, None, None], tf.float64)
    return tf.function(both, [spec])


def problems(rng, kind, n, batch=6):
    x = rng.normal(size=(batch, n, n))
    if kind == "ties":
        x = np.round(2 * x)
    elif kind == "equal rows":
        x = x[:, rng.integers(0, max(n // 3, 1), n)]
    elif kind == "blockers":
        x[rng.random(x.shape) < 0.6] = -1e6
    elif kind == "forbidden":
        x[rng.random(x.shape) < 0.4] = -np.inf
    elif kind == "sparse":
        x[rng.random(x.shape) < 0.8] = 0
    elif kind == "special":
        special = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0])
        where = rng.random(x.shape) < 1 / n**2
        x[where] = rng.choice(special, where.sum())
    return x


def exact(x, perm):
    return sum(fractions.Fraction(float(x[i, j])) for i, j in enumerate(perm))


def check(x, perm, certified):
    """One example, in exact arithmetic."""
    value, bound, gap = (float(part) for part in certified)
    optimum = None
    if not (np.isnan(x).any() or (x == np.inf).any()):
        try:
            optimum = linear_sum_assignment(x, maximize=True)[1]
        except ValueError:
            pass
    if optimum is None:
        assert (perm == -1).all() and np.isnan([value, bound, gap]).all()
        return
    assert sorted(perm) == list(range(len(x)))
    size = fractions.Fraction(float(np.abs(x[x > -np.inf]).max()))
    ours, theirs = exact(x, perm), exact(x, optimum)
    assert abs(ours - theirs) <= fractions.Fraction(1e-13) * len(x) * size
    assert abs(fractions.Fraction(value) - ours) <= 1e-15 * len(x) ** 2 * float(size)
    if gap == 0:
        assert ours >= theirs and bound == value
    else:
        assert fractions.Fraction(bound) >= max(ours, theirs)
        # At least what numbers flushed to 0 can hide.
        assert 0 < gap <= 1e-10 * len(x) * float(size) + 1e-300


@pytest.mark.parametrize("kind", KINDS)
def test_any_problem(rng, solve, kind):
    for n in SIZES:
        for scale in 10.0 ** rng.integers(-30, 31, 2):
            x = problems(rng, kind, n) * scale
            perm, certified = solve(x)
            np.testing.assert_array_equal(certified.perm, perm)
            for each, p, *rest in zip(x, perm.numpy(), *certified[1:], strict=True):
                check(each, p, rest)


@pytest.mark.parametrize("dtype", DTYPES)
def test_any_dtype(rng, dtype):
    function = tf.function(
        lambda x: (st.matching(x), st.certified_matching(x)),
        [tf.TensorSpec([None, None, None], dtype)],
    )
    for n in (1, 2, 5, 12):
        kinds = KINDS[:3] if dtype == "int32" else KINDS
        for kind in kinds:
            x = problems(rng, kind, n)
            x = tf.cast(100 * x if dtype == "int32" else x, dtype)
            perm, certified = function(x)
            wide = tf.cast(x, tf.float64).numpy()
            for each, p, *rest in zip(wide, perm.numpy(), *certified[1:], strict=True):
                check(each, p, rest)


@pytest.mark.parametrize("n", [5, 20])
def test_any_problem_compiled(rng, n):
    function = tf.function(
        lambda x: (st.matching(x), st.certified_matching(x)), jit_compile=True
    )
    x = np.concatenate([problems(rng, kind, n) for kind in KINDS])
    perm, certified = function(x)
    for each, p, *rest in zip(x, perm.numpy(), *certified[1:], strict=True):
        check(each, p, rest)
