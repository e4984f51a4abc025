"""Gaps between the best permutation, or vertex, and the next."""

import heapq
import itertools
import math

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from sinkhorn_tf import entropic
from tests.sinkhorn_tf.entropic.test_entropic import random_costs


def permutation_costs(cost):
    """The costs of all permutations, ascending."""
    n = len(cost)
    perms = np.array(list(itertools.permutations(range(n))))
    return np.sort(cost[np.arange(n), perms].sum(1))


def brute_force(cost):
    """`(assignment_gap, second_best_gap)` of integer costs."""
    values = permutation_costs(cost)
    values = values[np.isfinite(values)]
    worse = values[values > values[0]]
    gap = worse[0] - values[0] if len(worse) else math.inf
    return gap, values[1] - values[0] if len(values) > 1 else math.inf


def murty(cost):
    """The costs of all permutations, ascending, by Murty's exclusions."""

    def best(c):
        try:
            rows, perm = linear_sum_assignment(c)
        except ValueError:
            return None
        return cost[rows, perm].sum(), next(count), perm, c

    count = itertools.count()
    heap = [best(cost)]
    while heap:
        value, _, perm, c = heapq.heappop(heap)
        yield value
        for i, j in enumerate(perm):
            without = c.copy()
            without[i, j] = math.inf
            candidate = best(without)
            if candidate:
                heapq.heappush(heap, candidate)
            # From here on the pair (i, j) is kept.
            cost_ij = c[i, j]
            c[i], c[:, j] = math.inf, math.inf
            c[i, j] = cost_ij


@pytest.mark.parametrize("n", range(1, 7))
def test_gaps_against_brute_force(rng, n):
    for _ in range(150):
        cost = rng.integers(-1, rng.integers(1, 7), (n, n)).astype(float)
        expected = brute_force(cost)
        assert entropic.assignment_gap(cost) == expected[0]
        assert entropic.second_best_gap(cost) == expected[1]


def test_gaps_against_brute_force_for_seven(rng):
    for top in [1, 2, 3, 10, 1000] * 3:
        cost = rng.integers(0, top + 1, (7, 7)).astype(float)
        expected = brute_force(cost)
        assert entropic.assignment_gap(cost) == expected[0]
        assert entropic.second_best_gap(cost) == expected[1]


def test_gaps_with_forbidden_pairs(rng):
    feasible = 0
    for _ in range(300):
        cost = rng.integers(0, 3, (5, 5)).astype(float)
        cost[rng.random((5, 5)) < 0.5] = math.inf
        if not np.isfinite(permutation_costs(cost)[0]):
            with pytest.raises(ValueError, match="permutation"):
                entropic.assignment_gap(cost)
            continue
        feasible += 1
        expected = brute_force(cost)
        assert entropic.assignment_gap(cost) == expected[0]
        assert entropic.second_best_gap(cost) == expected[1]
    assert feasible > 50


@pytest.mark.parametrize("kind", ["integers", "normal", "planted", "sorting"])
def test_gaps_against_murtys_exclusions(rng, kind):
    for n in (10, 20):
        cost = random_costs(rng, kind, n)
        if kind == "integers":
            cost *= 10
        values = murty(cost.copy())
        first, second = next(values), next(values)
        assert entropic.second_best_gap(cost) == pytest.approx(second - first, abs=1e-9)
        values = itertools.chain([second], values)
        worse = next(v for v in itertools.islice(values, 300) if v > first + 1e-9)
        assert entropic.assignment_gap(cost) == pytest.approx(worse - first, rel=1e-9)


def test_gap_laws(rng):
    cost = rng.integers(0, 4, (30, 30)).astype(float)
    gap = entropic.assignment_gap(cost)
    rows, cols = rng.integers(-9, 9, (2, 30))
    shifted = cost + rows[:, None] + cols
    p, q = rng.permutation(30), rng.permutation(30)
    assert entropic.assignment_gap(shifted[p][:, q].T) == gap
    assert entropic.assignment_gap(cost * 2.0**900) == gap * 2.0**900
    assert entropic.assignment_gap(cost * 2.0**-900) == gap * 2.0**-900
    batch = np.stack([cost, shifted, 2 * cost])[:, None]
    np.testing.assert_array_equal(
        entropic.assignment_gap(batch), [[gap], [gap], [2 * gap]]
    )


def test_gaps_at_the_ends_of_float64():
    huge = np.array([[1e308, -1e308], [-1e308, 1e308]])
    assert entropic.assignment_gap(huge) == np.finfo(np.float64).max
    assert entropic.assignment_gap(np.full((3, 3), 1e308)) == math.inf
    assert entropic.second_best_gap(np.full((3, 3), 1e308)) == 0
    assert entropic.assignment_gap(5e-324 * np.eye(2)) == 1e-323


def test_ties_up_to_rounding(rng):
    # 0.1 + 0.4 and 0.2 + 0.3 are not the same number before they are rounded.
    cost = [[0.1, 0.2], [0.3, 0.4]]
    assert entropic.assignment_gap(cost) == math.inf
    for _ in range(100):
        cost = rng.integers(0, 3, (6, 6)).astype(float)
        offsets = rng.normal(size=(2, 6))
        rounded = cost / 10 + offsets[0][:, None] + offsets[1]
        expected = entropic.assignment_gap(cost) / 10
        assert entropic.assignment_gap(rounded) == pytest.approx(expected, rel=1e-9)


def test_gap_of_500_rows_takes_seconds(rng):
    cost = rng.normal(size=(500, 500))
    gap = entropic.assignment_gap(cost)
    # Excluding one pair of the best permutation cannot come closer.
    rows, perm = linear_sum_assignment(cost)
    best = cost[rows, perm].sum()
    for row in rng.integers(0, 500, 5):
        without = cost.copy()
        without[row, perm[row]] = math.inf
        _, other = linear_sum_assignment(without)
        assert cost[rows, other].sum() - best >= gap * (1 - 1e-9)


def test_suboptimality_gap(rng):
    perms = list(itertools.permutations(range(4)))
    vertices = np.array([np.eye(4)[list(p)].ravel() for p in perms])
    for _ in range(100):
        cost = rng.integers(0, 4, (4, 4)).astype(float)
        gap = entropic.suboptimality_gap(cost.ravel(), vertices)
        assert gap == entropic.assignment_gap(cost)
        values = permutation_costs(cost)
        near = values - values[0] <= 1
        expected = math.inf if near.all() else values[~near][0] - values[near][-1]
        actual = entropic.suboptimality_gap(cost.ravel(), vertices, tau=1)
        assert actual == expected
    assert entropic.suboptimality_gap([0.1, 0.2, 0.3], [[1, 1, 0], [0, 0, 1]]) == (
        math.inf
    )
