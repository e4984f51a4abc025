import functools

import numpy as np
import pytest
import tensorflow as tf

from pipelines.shared.errors import UserError
from pipelines.shared.input_pipeline.batches import BatchPlan
from pipelines.shared.puzzles import batches

IMAGES = np.random.default_rng(0).integers(0, 256, (23, 8, 8, 3), np.uint8)


def training(first_step, last_step, seed=3):
    """Function of an input context to the batches of some steps."""
    return functools.partial(
        batches.training_puzzles,
        IMAGES,
        BatchPlan(4, first_step, last_step, seed),
        grid=2,
        size=6,
        augment=batches.Augmentation(mirror=True),
    )


def elements(dataset, context=None):
    context = context or tf.distribute.InputContext()
    return list(dataset(context).as_numpy_iterator())


def test_a_pipeline_that_starts_later_yields_the_same_steps():
    whole, tail = elements(training(0, 20)), elements(training(13, 20))
    assert [element["step"] for element in tail] == list(range(13, 20))
    for expected, element in zip(whole[13:], tail, strict=True):
        for name, value in expected.items():
            np.testing.assert_array_equal(element[name], value)


def test_two_workers_of_two_replicas_share_what_one_yields():
    whole = elements(training(0, 5))
    shares = [
        elements(
            training(0, 5),
            tf.distribute.InputContext(
                num_input_pipelines=2, input_pipeline_id=worker, num_replicas_in_sync=4
            ),
        )
        for worker in range(2)
    ]
    for step, expected in enumerate(whole):
        parts = [part for share in shares for part in share if part["step"] == step]
        for name in ("pieces", "perm", "target", "position"):
            joined = np.concatenate([part[name] for part in parts])
            np.testing.assert_array_equal(joined, expected[name])


def test_steps_and_seeds_differ():
    first, second = elements(training(0, 2))
    (other,) = elements(training(0, 1, seed=4))
    assert (first["perm"] != second["perm"]).any()
    assert (first["perm"] != other["perm"]).any()


def test_a_batch_that_does_not_divide_among_replicas_is_refused():
    context = tf.distribute.InputContext(num_replicas_in_sync=3)
    with pytest.raises(UserError, match="Received: --batch_size=4, 3 replicas"):
        elements(training(0, 1), context)


def test_evaluation_scrambles_by_file_order_whatever_the_batch_size():
    def scrambled(images, order, batch_size):
        dataset = batches.evaluation_puzzles(
            images, order, grid=2, batch_size=batch_size
        )
        batches_of_run = list(dataset.as_numpy_iterator())
        return {
            k: np.concatenate([batch[k] for batch in batches_of_run])
            for k in batches_of_run[0]
        }

    order = np.arange(100, 123)
    whole, small = scrambled(IMAGES, order, 23), scrambled(IMAGES, order, 4)
    part = scrambled(IMAGES[7:15], order[7:15], 5)
    for name, value in whole.items():
        np.testing.assert_array_equal(small[name], value)
        np.testing.assert_array_equal(part[name], value[7:15])
    assert len({tuple(perm) for perm in whole["perm"]}) > 10


@pytest.mark.parametrize(
    "change",
    [{"rotation": 20.0}, {"color": 0.5}, {"offset": True}, {"mirror": True}],
)
def test_training_puzzles_are_changed_alike_in_every_run(change):
    def first(augment, seed=1):
        dataset = batches.training_puzzles(
            IMAGES[:6],
            BatchPlan(batch_size=6, first_step=3, last_step=4, seed=seed),
            tf.distribute.InputContext(),
            grid=2,
            size=8,
            margin=1,
            augment=augment,
        )
        return next(iter(dataset))

    plain = first(batches.Augmentation())
    changed = first(batches.Augmentation(**change))
    again = first(batches.Augmentation(**change))
    assert changed["pieces"].shape == (6, 4, 2, 2, 3)
    np.testing.assert_array_equal(changed["pieces"], again["pieces"])
    np.testing.assert_array_equal(changed["perm"], plain["perm"])
    assert np.abs(changed["pieces"] - plain["pieces"]).max() > 0.01
    assert (
        tf.reduce_min(changed["pieces"]) >= 0 and tf.reduce_max(changed["pieces"]) <= 1
    )
