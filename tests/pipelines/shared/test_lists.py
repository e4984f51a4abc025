import functools

import numpy as np
import pytest
import tensorflow as tf

from pipelines.shared import lists
from pipelines.shared.errors import UserError
from pipelines.shared.input_pipeline.batches import BatchPlan


def first(dataset, replicas=1, pipelines=1, pipeline=0):
    context = tf.distribute.InputContext(pipelines, pipeline, replicas)
    return [{k: x.numpy() for k, x in element.items()} for element in dataset(context)]


def training_lists(first_step=0, last_step=3, seed=0, batch_size=4):
    plan = BatchPlan(batch_size, first_step, last_step, seed)
    return functools.partial(lists.training_lists, 5, plan)


def test_training_lists_are_fresh_and_keyed_by_seed_and_step():
    whole = first(training_lists())
    assert [x["step"] for x in whole] == [0, 1, 2]
    assert not (whole[0]["values"] == whole[1]["values"]).any()
    for x in whole:
        np.testing.assert_array_equal(np.sort(x["values"]), x["sorted"])
        assert (x["values"] >= 0).all() and (x["values"] < 1).all()
    (resumed,) = first(training_lists(first_step=2))
    np.testing.assert_array_equal(resumed["values"], whole[2]["values"])
    other = first(training_lists(seed=1))
    assert not (other[0]["values"] == whole[0]["values"]).any()


def test_replicas_share_the_global_batch():
    whole = first(training_lists())
    parts = first(training_lists(), replicas=2)
    for step in range(3):
        both = [parts[2 * step], parts[2 * step + 1]]
        np.testing.assert_array_equal(
            np.concatenate([x["values"] for x in both]), whole[step]["values"]
        )
    second = first(training_lists(), replicas=2, pipelines=2, pipeline=1)
    np.testing.assert_array_equal(second[0]["values"], parts[1]["values"])


def test_a_batch_that_does_not_divide_is_one_sentence():
    with pytest.raises(UserError, match="multiple of the number of replicas"):
        first(training_lists(batch_size=3), replicas=2)


@pytest.mark.parametrize("interval", lists.INTERVALS)
def test_evaluation_lists_lie_in_their_interval_and_never_change(interval):
    low, high = lists.INTERVALS[interval]
    held_out = lists.evaluation_lists(6, interval, "test", 50)
    values = held_out["values"].numpy()
    assert values.dtype == np.float32
    assert (values >= low).all() and (values <= high).all()
    again = lists.evaluation_lists(6, interval, "test", 50)
    np.testing.assert_array_equal(values, again["values"])
    other = lists.evaluation_lists(6, interval, "validation", 50)
    assert not (values == other["values"].numpy()).all()
