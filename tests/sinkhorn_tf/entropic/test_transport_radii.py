"""The radii of plans with masses of rows and columns."""

import itertools
import math

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

import sinkhorn_tf as st

entropic = st.entropic


@pytest.mark.parametrize("n", [1, 2, 4, 7, 50])
def test_the_radii_of_ones_are_those_of_birkhoff(n):
    assert entropic.transport_radii(np.ones(n), [1] * n) == entropic.birkhoff_radii(n)


def entropy(x):
    return -math.fsum(v * math.log(v) for v in np.ravel(x) if v > 0)


def transport_vertices(a, b):
    """Vertices by the north-west corner rule, from every order of rows and columns."""
    for rows, cols in itertools.product(
        itertools.permutations(range(len(a))), itertools.permutations(range(len(b)))
    ):
        plan, r, c = np.zeros((len(a), len(b))), list(a), list(b)
        i = j = 0
        while i < len(a) and j < len(b):
            row, col = rows[i], cols[j]
            mass = min(r[row], c[col])
            plan[row, col] = mass
            r[row], c[col] = r[row] - mass, c[col] - mass
            i, j = (i + 1, j) if r[row] <= c[col] else (i, j + 1)
        yield plan


@pytest.mark.parametrize("total", [1.0, 0.01, 30.0])
def test_the_radius_bounds_differences_of_entropies(rng, total):
    for n, m in ((1, 3), (2, 2), (3, 3), (3, 4)):
        a, b = rng.dirichlet(np.ones(n)) * total, rng.dirichlet(np.ones(m)) * total
        R1, RH = entropic.transport_radii(a, b)
        assert R1 == pytest.approx(total)
        # The entropy is concave: it is least at a vertex, and the product has the most.
        least = min(entropy(plan) for plan in transport_vertices(a, b))
        most = entropy(np.outer(a, b) / total)
        assert most - least <= RH + 1e-12 * max(1, RH)
        expected = min(entropy(a), entropy(b)) + total * math.log(total)
        assert RH == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_the_slow_rate_holds_for_plans_with_masses(rng):
    for n, m in ((3, 4), (6, 6)):
        a = rng.integers(1, 4, n).astype(float)
        b = rng.multinomial(int(a.sum()) - m, np.ones(m) / m) + 1.0
        logits = rng.normal(size=(n, m))
        copies = logits.repeat(a.astype(int), 0).repeat(b.astype(int), 1)
        best = copies[linear_sum_assignment(copies, maximize=True)].sum()
        _, RH = entropic.transport_radii(a, b)
        for t in (1.0, 0.1, 0.01):
            plan = st.sinkhorn_solve(logits, t, row_marginals=a, col_marginals=b).plan
            loss = best - (plan.numpy() * logits).sum()
            assert loss <= entropic.slow_rate(1 / t, RH) + 1e-4


def test_masses_of_zero_and_almost_equal_totals():
    assert entropic.transport_radii([2, 0, 1], [3, 0]) == (3.0, 0.0)
    R1, RH = entropic.transport_radii([1.0, 1.0], [2.001, 0.0])
    assert R1 == 2.001 and RH == 0
    R1, RH = entropic.transport_radii([1e300, 1e-300], [1e300])
    assert R1 == 1e300 and RH >= 0
    for bad in ([1.0, 1.01], [3.0]):
        with pytest.raises(ValueError, match=r"same total. Received: sum\(row_marg"):
            entropic.transport_radii([1.0, 1.0], bad)
