"""Matchings of small rectangles against all placings of the smaller side."""

import itertools

import numpy as np
import pytest

import sinkhorn_tf as st


def best_value(x):
    """The largest sum of a placing of the smaller side, -inf where there is none."""
    x = x if x.shape[0] <= x.shape[1] else x.T
    n, m = x.shape
    return max(x[range(n), cols].sum() for cols in itertools.permutations(range(m), n))


@pytest.mark.parametrize("n, m", [(1, 4), (2, 5), (5, 2), (3, 4), (4, 3), (4, 5)])
def test_no_placing_is_better(rng, n, m):
    x = rng.integers(-3, 4, (40, n, m)).astype(float)
    x[rng.random(x.shape) < 0.3] = -np.inf
    row_mask, col_mask = rng.random((40, n)) < 0.8, rng.random((40, m)) < 0.8
    masks = {"row_mask": row_mask, "col_mask": col_mask}
    certified = st.certified_matching(x, jit_compile=False, **masks)
    perm, value, bound, gap = (each.numpy() for each in certified)
    for b in range(40):
        sub = x[b][row_mask[b]][:, col_mask[b]]
        best = best_value(sub) if sub.size else 0.0
        if best == -np.inf:
            assert (perm[b] == -1).all() and np.isnan([value[b], gap[b]]).all()
            continue
        items = np.flatnonzero(perm[b] >= 0)
        positions = perm[b][items]
        assert len(items) == min(sub.shape) == len(set(positions))
        assert row_mask[b][items].all() and col_mask[b][positions].all()
        assert value[b] == best == x[b][items, positions].sum()
        assert best <= bound[b] and 0 <= gap[b] < 1e-12
