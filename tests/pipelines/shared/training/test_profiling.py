import time

import pytest

from pipelines.shared.training import profiling


def test_profile_takes_the_median_of_bursts_in_turn():
    calls = {"slow": 0, "fast": 0}

    def call(name, seconds):
        calls[name] += 1
        time.sleep(seconds)

    parts = {
        "slow": lambda: call("slow", 0.02),
        "fast": lambda: call("fast", 0.001),
    }
    seconds = profiling.profile(parts, rounds=3, burst=0.05)
    assert set(seconds) == set(parts)
    # No test depends on how long they take, but a sleep has a least length.
    assert seconds["slow"] >= 0.02 and seconds["fast"] >= 0.001
    assert calls["slow"] >= 1 + 3 and calls["fast"] >= 1 + 3


def test_rates_of_known_times():
    seconds = {"input": 0.01, "network": 0.06, "step": 0.08, "training": 0.1}
    measured = profiling.rates(seconds, batch_size=8)
    assert measured["images_per_second"] == pytest.approx(
        {"input pipeline alone": 800, "training step alone": 100, "training": 80}
    )
    assert measured["share_of_step"] == pytest.approx(
        {
            "network, forward and backward": 0.75,
            "operator, loss and optimizer": 0.25,
            "waiting for input": 0.25,
        }
    )
    assert "800 images per second" in profiling.table(measured)
