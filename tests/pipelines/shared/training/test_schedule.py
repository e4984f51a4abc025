import math

import pytest

from pipelines.shared.training import schedule
from pipelines.shared.training.config import TrainingConfig


@pytest.mark.parametrize(
    "steps, expected",
    [
        (1, {1}),
        (2, {1, 2}),
        (3, {1, 3}),
        (10, {1, 3, 10}),
        (300, {1, 3, 10, 30, 100, 300}),
        (2500, {1, 3, 10, 30, 100, 300, 1000, 2500}),
    ],
)
def test_milestones_are_1_3_10_30_and_the_last(steps, expected):
    assert schedule.milestones(steps) == expected


def test_milestones_are_the_steps_whose_digits_say_so():
    for steps in range(1, 1200):
        expected = {k for k in range(1, steps) if f"{k}".rstrip("0") in ("1", "3")}
        assert schedule.milestones(steps) == expected | {steps}


def rates(**settings):
    config = TrainingConfig(learning_rate=0.5, **settings)
    rates_of_run = schedule.learning_rate(config)
    return [float(rates_of_run(step)) for step in range(config.steps + 1)]


def test_the_rate_rises_linearly_then_falls_as_a_cosine():
    rates_of_run = rates(steps=200, warmup_steps=20)
    for step, rate in enumerate(rates_of_run):
        expected = 0.5 * step / 20
        if step > 20:
            expected = 0.25 * (1 + math.cos(math.pi * (step - 20) / 180))
        assert rate == pytest.approx(expected, abs=1e-6)


def test_a_constant_rate_stays():
    rates_of_run = rates(steps=50, warmup_steps=5, schedule="constant")
    assert rates_of_run[5:] == pytest.approx([0.5] * 46)


def test_the_rate_rises_over_a_tenth_of_a_short_training():
    assert rates(steps=30, warmup_steps=100)[3] == pytest.approx(0.5)
    assert rates(steps=9, warmup_steps=100)[0] == pytest.approx(0.5)
