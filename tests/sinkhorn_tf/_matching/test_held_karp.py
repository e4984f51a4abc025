"""Few items: every size, against SciPy and every permutation."""

import itertools
import math

import numpy as np
import pytest
import tensorflow as tf
from scipy.optimize import linear_sum_assignment

import sinkhorn_tf as st
from sinkhorn_tf._matching import held_karp
from sinkhorn_tf._matching.held_karp import MAX_N


@pytest.mark.parametrize("n", range(2, MAX_N + 1))
def test_the_best_permutation_and_its_proof(rng, n):
    x = rng.normal(size=(40, n, n))
    x[::4] = np.round(x[::4])
    x[1::4] = np.where(rng.random(x[1::4].shape) < 0.3, -np.inf, x[1::4])
    x[2::4] *= 10.0 ** rng.integers(-300, 300, size=(10, 1, 1))
    x[3], x[7, 1, 1], x[11, :, 0] = 0, np.nan, -np.inf
    function = tf.function(
        st.certified_matching, [tf.TensorSpec([None, n, n], "double")]
    )
    perm, value, bound, gap = (v.numpy() for v in function(x))
    for each, matched, v, b, g in zip(x, perm, value, bound, gap, strict=True):
        try:
            rows, columns = linear_sum_assignment(each, maximize=True)
        except ValueError:
            assert (matched == -1).all() and np.isnan([v, b, g]).all()
            continue
        best = each[rows, columns].sum()
        size = n * np.abs(each[np.isfinite(each)]).max()
        assert sorted(matched) == list(range(n))
        assert each[rows, matched].sum() == pytest.approx(best, abs=1e-12 * size)
        assert 0 <= g <= 1e-11 * size + 1e-300 and b >= v
    # Unique with certainty, hence proven.
    assert (gap[2::4] == 0).all()


def test_all_permutations_of_a_small_range_of_numbers(rng):
    x = rng.integers(0, 3, size=(200, 5, 5)).astype(float)
    perms = np.array(list(itertools.permutations(range(5))))
    assert len(perms) == math.factorial(5)
    best = x[:, np.arange(5), perms].sum(-1).max(1)
    perm = st.matching(x, jit_compile=False).numpy()
    sums = np.take_along_axis(x, perm[..., None], 2).sum((1, 2))
    np.testing.assert_array_equal(sums, best)


@pytest.mark.parametrize("jit_compile", [True, None])
def test_where_xla_compiles_fewer_items_are_few(jit_compile):
    few = {}

    def traced(x, inside):
        few[inside] = [n for n in range(1, 12) if held_karp.is_few(tf.zeros([n, n]))]
        return x

    def both(x):
        x = traced(x, "function")
        return tf.while_loop(
            lambda k, _: k < 1, lambda k, x: (k + 1, traced(x, "loop")), (0, x)
        )[1]

    tf.function(both, jit_compile=jit_compile, autograph=False)(tf.ones(2))
    most = held_karp.MAX_N_COMPILED if jit_compile else MAX_N
    assert few["function"] == few["loop"] == list(range(2, most + 1))
