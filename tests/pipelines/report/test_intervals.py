"""Intervals over puzzles and seeds."""

import math

import numpy as np
import pytest

from pipelines.report.intervals import bounds, interval

WRONG, ANY_WRONG, TAU = "proportion_wrong", "proportion_any_wrong", "kendall_tau"


def scores(name, value, error=0.0, n=100):
    """One score of a run, with its standard error over `n` puzzles."""
    return {name: value, "standard_error": {name: error}, "n_examples": n}


def test_the_interval_of_one_run_is_over_the_puzzles():
    assert interval([scores(WRONG, 0.3, 0.05)], WRONG) == ".300 (.202 to .398)"
    assert interval([scores(WRONG, 0.01, 0.01)], WRONG) == ".010 (.000 to .030)"
    assert interval([scores(TAU, -0.95, 0.05)], TAU) == "-.950 (-1.000 to -.852)"
    # Wilson's, which knows the number of the puzzles alone.
    assert interval([scores(ANY_WRONG, 0.3)], ANY_WRONG) == ".300 (.219 to .396)"


@pytest.mark.parametrize("k", [1, 3])
def test_no_wrong_puzzle_among_many_is_not_certainty(k):
    for name in (WRONG, ANY_WRONG):
        assert interval(k * [scores(name, 0.0)], name) == ".000 (.000 to .037)"
    assert interval(k * [scores(TAU, 1.0)], TAU) == "1.000 (.963 to 1.000)"


def test_the_spread_over_the_seeds_widens_the_interval():
    # s^2 is .0004. The quantiles of Student's t are those of printed tables.
    values = (0.3, 0.32, 0.34)
    runs = [scores(WRONG, value) for value in values]
    half = 4.3027 * math.sqrt(0.0004 * 4 / 3)
    assert bounds(runs, WRONG) == pytest.approx((0.32 - half, 0.32 + half), abs=1e-5)
    # Puzzles that matter as much as the seeds double the variance: 2 * 2^2 degrees of
    # freedom. The squares of the standard errors have the mean .0016 / 3.
    errors = (0.0, math.sqrt(0.0004), math.sqrt(0.0012))
    runs = [scores(WRONG, *both) for both in zip(values, errors, strict=True)]
    half = 2.306 * math.sqrt(0.0032 / 3)
    assert bounds(runs, WRONG) == pytest.approx((0.32 - half, 0.32 + half), abs=1e-5)


def test_shares_of_puzzles_count_as_fewer_puzzles_where_seeds_differ():
    # Eight degrees of freedom as above, and a variance of .08 / 3: that of p = 1/2 in
    # 9.375 puzzles, for which Wilson's formula gives half a width of .3008.
    error = math.sqrt(0.04 / 3)
    runs = [scores(ANY_WRONG, value, error) for value in (0.4, 0.5, 0.6)]
    assert interval(runs, ANY_WRONG) == ".500 (.199 to .801)"
    # Runs that agree are as good as one.
    runs = 2 * [scores(ANY_WRONG, 0.3, math.sqrt(0.3 * 0.7 / 100))]
    assert interval(runs, ANY_WRONG) == interval(runs[:1], ANY_WRONG)


def test_a_correlation_around_zero_is_no_share_of_zero():
    runs = [scores(TAU, value, 0.01) for value in (-0.1, 0.1)]
    low, high = bounds(runs, TAU)
    assert low == pytest.approx(-high) and high > 0.5
    low, high = bounds([scores(TAU, 0.0, 0.05)], TAU)
    assert low == pytest.approx(-high) and high == pytest.approx(1.96 * 0.05, rel=1e-3)


@pytest.mark.parametrize("spread", [0.0, 1.0, 4.0])
@pytest.mark.parametrize("name", [WRONG, ANY_WRONG])
def test_a_further_training_falls_inside_in_about_95_percent_of_cases(name, spread):
    # Three seeds meet the same 400 puzzles, and each puzzle is equally hard for all of
    # them; `spread` is that of the seeds, in standard errors over the puzzles.
    rng, n, cases = np.random.default_rng(0), 400, 1500
    error = math.sqrt((0.4 * 0.6 if name == ANY_WRONG else 1 / 12) / n)
    inside = 0
    for _ in range(cases):
        *seeds, further = 0.4 + spread * error * rng.standard_normal(4)
        difficulty = rng.random(n)
        runs = []
        for seed in seeds:
            puzzles = difficulty + seed - 0.5
            if name == ANY_WRONG:
                puzzles = (difficulty < seed).astype(float)
            measured = puzzles.std() / math.sqrt(n)
            runs.append(scores(name, puzzles.mean(), measured, n))
        low, high = bounds(runs, name)
        inside += low <= further <= high
    assert 0.9 < inside / cases < 0.97
