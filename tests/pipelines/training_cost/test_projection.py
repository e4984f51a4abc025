"""The time that a measured training would take on all of ImageNet."""

import pytest

from pipelines.training_cost import projection


def test_an_epoch_of_many_accelerators_is_computed():
    case = {
        "image_size": 10,
        "batch_size": 100,
        "parameters": 1000,
        "forward_flops": 2e6,
    }
    assumed = projection.Assumed(flops=6e8, link=4e4, decoded=50, examples=10)
    one, two = (projection.epoch(case, count, assumed) for count in (1, 2))
    # A second of computing a step; the gradients, 4,000 bytes, a tenth of one.
    assert one["examples per second, by these"] == pytest.approx(100)
    assert two["examples per second, by these"] == pytest.approx(200 / 1.1)
    assert two["all-reduced bytes, a step and accelerator"] == 4000
    assert two["steps"] == pytest.approx(1_281_167 / 200)
    assert one["cores that decode, to keep up"] == pytest.approx(2)
    assert one["cores that make batches, to keep up"] == pytest.approx(10)
    assert one["batch bytes per second, to keep up"] == pytest.approx(100 * 2400)
    assert one["operations"] == two["operations"] == 6e6 * 1_281_167
