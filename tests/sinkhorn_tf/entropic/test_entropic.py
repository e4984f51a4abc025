"""The bounds, the exact gaps and the temperature of `st.entropic`."""

import itertools
import math

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

import sinkhorn_tf as st

entropic = st.entropic


def random_costs(rng, kind, n):
    if kind == "tied integers":
        return rng.integers(0, rng.integers(2, 5), (n, n)).astype(float)
    if kind == "integers":
        return rng.integers(-20, 20, (n, n)).astype(float)
    if kind == "normal":
        return rng.normal(size=(n, n))
    if kind == "planted":
        return rng.uniform(size=(n, n)) - 2 * np.eye(n)[rng.permutation(n)]
    values = rng.normal(size=n)
    return (values[:, None] - np.sort(rng.normal(size=n))) ** 2


KINDS = ["tied integers", "integers", "normal", "planted", "sorting"]


# Bounds.


def test_bounds_are_those_of_the_paper():
    gap, R1, RH, tau = 0.7, 3.0, 2.5, 0.2
    threshold = (R1 + RH) / gap
    eta = threshold * np.array([0.5, 1, 2, 10])
    decay = np.exp(-eta * gap / R1 + (R1 + RH) / R1)[1:]
    np.testing.assert_allclose(entropic.slow_rate(eta, RH), RH / eta)
    np.testing.assert_allclose(entropic.fast_rate(eta, gap, R1, RH)[1:], gap * decay)
    np.testing.assert_allclose(
        entropic.distance_bound(eta, gap, R1, RH)[1:], 2 * R1 * decay
    )
    np.testing.assert_allclose(
        entropic.relaxed_rate(eta, gap, tau, R1, RH)[1:], gap * decay + tau
    )
    for bound in (
        entropic.fast_rate(eta, gap, R1, RH),
        entropic.distance_bound(eta, gap, R1, RH),
        entropic.relaxed_rate(eta, gap, tau, R1, RH),
    ):
        assert bound[0] == math.inf
        assert bound.dtype == np.float64
    np.testing.assert_array_equal(
        entropic.integral_rate([1.0, 9.0], R1, RH),
        entropic.fast_rate([1.0, 9.0], 1.0, R1, RH),
    )
    # At the threshold itself the fast rate is the gap.
    assert entropic.fast_rate(threshold, gap, R1, RH) == gap


def test_bounds_at_the_ends():
    for eta in (0, -1, -math.inf):
        assert entropic.slow_rate(eta, 1) == math.inf
        assert entropic.fast_rate(eta, 1, 1, 1) == math.inf
        assert entropic.fast_rate(eta, math.inf, 1, 1) == math.inf
    assert entropic.slow_rate(math.inf, 1) == 0
    assert entropic.slow_rate(1.0, 0) == 0
    assert entropic.fast_rate(math.inf, 1, 1, 1) == 0
    # No vertex is worse.
    assert entropic.fast_rate(1e-9, math.inf, 1, 1) == 0
    assert entropic.distance_bound(1e-9, math.inf, 1, 1) == 0
    assert entropic.relaxed_rate(1e-9, math.inf, 0.5, 1, 1) == 0.5
    assert entropic.sufficient_eta(0.1, math.inf, 1, 1) == 0
    assert entropic.fast_rate(1e300, 1e300, 1e-5, 1) == 0
    assert entropic.slow_rate(np.ones((2, 3)), 1).shape == (2, 3)


@pytest.mark.parametrize("epsilon", [1e-9, 0.1, 1, 100.0])
def test_sufficient_eta_suffices_and_is_that_of_proposition_5(epsilon):
    R1, RH = entropic.birkhoff_radii(50)
    assert (R1, RH) == (50, 50 * math.log(50))
    eta = entropic.sufficient_eta(epsilon, 1.0, R1, RH)
    expected = 50 * max(0, math.log(1 / epsilon)) + 50 * (1 + math.log(50))
    assert eta == pytest.approx(expected, rel=1e-14)
    assert entropic.fast_rate(eta * (1 + 1e-12), 1.0, R1, RH) <= max(epsilon, 1)
    assert epsilon >= 1 or entropic.fast_rate(
        eta * (1 + 1e-12), 1.0, R1, RH
    ) == pytest.approx(epsilon)


@pytest.mark.parametrize(
    "call",
    [
        lambda: entropic.slow_rate("x", 1),
        lambda: entropic.slow_rate(math.nan, 1),
        lambda: entropic.slow_rate(1, -1),
        lambda: entropic.slow_rate(1j, 1),
        lambda: entropic.fast_rate(1, 0, 1, 1),
        lambda: entropic.fast_rate(1, math.nan, 1, 1),
        lambda: entropic.fast_rate(1, 1, 0, 1),
        lambda: entropic.relaxed_rate(1, 1, -1, 1, 1),
        lambda: entropic.sufficient_eta(0, 1, 1, 1),
        lambda: entropic.birkhoff_radii(0),
        lambda: entropic.simplex_radii(-1, 2),
        lambda: entropic.tight_instance(1),
        lambda: entropic.lower_bound_eta(5, 0),
        lambda: entropic.simplex_solution([], 1, 1),
        lambda: entropic.simplex_solution([1, math.inf], 1, 1),
        lambda: entropic.assignment_gap(np.zeros((2, 3))),
        lambda: entropic.assignment_gap(np.zeros((0, 0))),
        lambda: entropic.assignment_gap([[math.nan]]),
        lambda: entropic.assignment_gap([[-math.inf]]),
        lambda: entropic.assignment_gap([[math.inf]]),
        lambda: entropic.second_best_gap([[1, math.inf], [1, math.inf]]),
        lambda: entropic.assignment_gap([[1.0]], tolerance=-1),
        lambda: entropic.suboptimality_gap([1.0], np.zeros((0, 1))),
        lambda: entropic.suboptimality_gap([1.0], [[1.0, 2.0]]),
        lambda: entropic.temperature_for_accuracy(epsilon=1.0),
        lambda: entropic.temperature_for_accuracy([[1.0]], 1.0, n=1),
        lambda: entropic.temperature_for_accuracy([[1.0]]),
        lambda: entropic.temperature_for_accuracy([[1.0]], 0.0),
        lambda: entropic.temperature_for_accuracy([[0.5]], 1.0, integer=True),
        lambda: entropic.temperature_for_accuracy(n=3, epsilon=1.0, gap=0),
        lambda: entropic.temperature_for_accuracy([[[1.0]]], 1.0),
        lambda: entropic.layer_bounds(0.0, 3),
        lambda: entropic.layer_bounds(1.0, 3, tau=1.0),
        lambda: entropic.assignment_suboptimality([[1.0]], -1.0),
    ],
)
def test_bad_arguments_are_one_sentence(call):
    with pytest.raises(ValueError, match=r"Received: .+") as error:
        call()
    assert len(str(error.value).splitlines()) == 1


# Instances with a known answer.


@pytest.mark.parametrize("d", [2, 3, 10, 1000])
def test_simplex_lower_bounds(d):
    alpha, beta = 0.6, 2.5
    gap, (R1, RH) = alpha * beta, entropic.simplex_radii(beta, d)
    c = np.array([0] + [alpha] * (d - 1))
    assert entropic.suboptimality_gap(c, beta * np.eye(d)) == pytest.approx(gap)
    etas = np.geomspace(0.01, 30, 60) / alpha
    value = np.array([c @ entropic.simplex_solution(c, beta, eta) for eta in etas])
    rounding = 1 + 1e-12
    slow = entropic.simplex_slow_lower_bound(etas, alpha, beta, d)
    fast = entropic.simplex_fast_lower_bound(etas, alpha, beta, d)
    assert (value * rounding >= slow).all() and (value * rounding >= fast).all()
    assert (slow > 0).any() and (fast > 0).any()
    assert (value <= entropic.slow_rate(etas, RH) * rounding).all()
    upper = entropic.fast_rate(etas, gap, R1, RH)
    assert (value <= upper * rounding).all()
    np.testing.assert_array_equal(fast > 0, np.isfinite(upper))
    # Proposition 4: a ninth of the upper bound.
    np.testing.assert_allclose(fast[fast > 0], upper[fast > 0] / 9)


def test_simplex_solution_at_extreme_eta():
    x = entropic.simplex_solution([3.0, 1.0, 1.0], 2.0, 1e308)
    np.testing.assert_array_equal(x, [0, 1, 1])


@pytest.mark.parametrize("n", [2, 3, 8, 30, 100])
def test_theorem_2(n):
    cost = entropic.tight_instance(n)
    assert entropic.assignment_gap(cost) == 1
    etas = n * np.geomspace(0.05, 8, 12)
    value = entropic.assignment_suboptimality(-cost, 1 / etas)
    lower = entropic.tight_lower_bound(etas, n)
    assert (value >= lower * (1 - 1e-9)).all()
    np.testing.assert_allclose(entropic.lower_bound_eta(n, lower), etas)
    bounds = entropic.layer_bounds(1 / etas, n, gap=1.0, integer=True)
    for upper in (bounds.slow_rate, bounds.fast_rate, bounds.integral_rate):
        assert (value <= upper * (1 + 1e-9)).all()
    if n == 2:
        # There the theorem is an equality.
        np.testing.assert_allclose(value, lower, rtol=1e-9)


def test_theorem_2_brackets_the_measured_eta():
    n, epsilon = 100, 0.25
    lower = entropic.lower_bound_eta(n, epsilon)
    assert lower == pytest.approx(n * math.log(3))
    upper = entropic.sufficient_eta(epsilon, 1.0, *entropic.birkhoff_radii(n))
    logits = -entropic.tight_instance(n)
    low, high = lower, upper
    for _ in range(20):
        middle = (low + high) / 2
        if entropic.assignment_suboptimality(logits, 1 / middle) <= epsilon:
            high = middle
        else:
            low = middle
    assert lower * (1 - 1e-9) <= low < high < upper
    assert entropic.lower_bound_eta(5, [0.5, 0.9, 3.0]).tolist() == [0, 0, 0]


# Gaps.


# Bounds against measured values.


@pytest.mark.parametrize("n", [2, 3, 5, 6])
@pytest.mark.parametrize("kind", KINDS)
def test_no_bound_is_violated(rng, kind, n):
    # 20 tables of 60: 1,200 instances.
    k = 60
    costs = np.stack([random_costs(rng, kind, n) for _ in range(k)])
    gaps = entropic.assignment_gap(costs)
    R1, RH = entropic.birkhoff_radii(n)
    finite = np.where(np.isfinite(gaps), gaps, 1.0)
    # On both sides of the threshold of the fast rate.
    eta = (R1 + RH) / finite * np.exp(rng.uniform(-2, 2, k))
    value = entropic.assignment_suboptimality(-costs, 1 / eta)
    size = np.abs(costs).max((1, 2))
    allowed = 1e-12 * n * size
    integer = "integers" in kind
    tau = 0.3 * np.ptp(costs)
    perms = np.array(list(itertools.permutations(range(n))))
    vertices = np.eye(n)[perms].reshape(len(perms), -1)
    fast_counts = 0
    for i in range(k):
        gap_tau = entropic.suboptimality_gap(costs[i].ravel(), vertices, tau=tau)
        bounds = entropic.layer_bounds(
            1 / eta[i], n, gap=gaps[i], gap_tau=gap_tau, tau=tau, integer=integer
        )
        for upper in bounds[:4]:
            assert value[i] <= upper + allowed[i]
        fast_counts += np.isfinite(bounds.fast_rate)
        # Corollary 1, where the optimal face is one vertex.
        if entropic.second_best_gap(costs[i]) > 1e-9:
            solution = st.sinkhorn_solve(-costs[i], 1 / eta[i], tolerance=1e-12)
            best = np.eye(n)[linear_sum_assignment(costs[i])[1]]
            distance = np.abs(solution.plan - best).sum()
            assert distance <= bounds.distance_bound + 1e-11
        else:
            assert value[i] >= 0
    assert fast_counts > k / 4


def test_measured_suboptimality_is_the_difference(rng):
    logits = rng.normal(size=(7, 5, 5))
    temperature = np.geomspace(0.02, 2, 7)
    plan = np.asarray(st.sinkhorn_solve(logits, temperature, tolerance=1e-12).plan)
    perm = st.matching(logits).numpy()
    best = np.take_along_axis(logits, perm[:, :, None], 2).sum((1, 2))
    np.testing.assert_allclose(
        entropic.assignment_suboptimality(logits, temperature),
        best - (plan * logits).sum((1, 2)),
        atol=1e-10,
    )
    # Far below the rounding of that difference; 1e-14 is the loss of a swap.
    value = entropic.assignment_suboptimality([[10.0, 0], [0, 10.0]], 0.1)
    assert value == pytest.approx(20 * math.exp(-100), rel=1e-6)
    logits[:, 0, 1:] = -math.inf
    assert np.isfinite(entropic.assignment_suboptimality(logits, temperature)).all()


# The temperature.


@pytest.mark.parametrize("epsilon", [1e-3, 0.1, 10.0])
@pytest.mark.parametrize("kind", KINDS)
def test_temperature_for_accuracy_suffices(rng, kind, epsilon):
    cost = random_costs(rng, kind, 6)
    temperature, name = entropic.temperature_for_accuracy(cost, epsilon)
    if temperature == math.inf:
        return
    assert entropic.assignment_suboptimality(-cost, temperature) <= epsilon
    bounds = entropic.layer_bounds(temperature, 6, gap=entropic.assignment_gap(cost))
    assert getattr(bounds, name) <= epsilon
    # Not much larger: there neither of the two bounds proves it.
    higher = entropic.layer_bounds(
        temperature * 1.001, 6, gap=entropic.assignment_gap(cost)
    )
    assert min(higher.slow_rate, higher.fast_rate) > epsilon


def test_temperature_for_accuracy_without_the_cost():
    n, epsilon = 20, 0.01
    R1, RH = entropic.birkhoff_radii(n)
    slow, name = entropic.temperature_for_accuracy(epsilon=epsilon, n=n)
    assert (slow, name) == (pytest.approx(epsilon / RH), "slow_rate")
    integral, name = entropic.temperature_for_accuracy(
        epsilon=epsilon, n=n, integer=True
    )
    eta = entropic.sufficient_eta(epsilon, 1.0, R1, RH)
    assert (integral, name) == (pytest.approx(1 / eta), "integral_rate")
    assert integral > slow
    fast, name = entropic.temperature_for_accuracy(epsilon=epsilon, n=n, gap=3.0)
    assert name == "fast_rate" and fast > integral
    same = entropic.temperature_for_accuracy(np.zeros((4, 4)), epsilon)
    assert same == (math.inf, "fast_rate")
    assert entropic.temperature_for_accuracy(epsilon=1.0, n=1)[0] == math.inf
