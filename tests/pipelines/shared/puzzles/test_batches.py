import numpy as np
import pytest
import tensorflow as tf
from pipelines.errors import UserError

import sinkhorn_tf as st
from pipelines import augmentation, batches, puzzles

IMAGES = np.random.default_rng(0).integers(0, 256, (23, 8, 8, 3), np.uint8)


def training(first_step, last_step, **changes):
    options = {"grid": 2, "size": 6, "batch_size": 4, "seed": 3}
    options["augment"] = puzzles.Augmentation(mirror=True)
    dataset = puzzles.training_puzzles(
        IMAGES, first_step=first_step, last_step=last_step, **(options | changes)
    )
    return dataset


def elements(dataset, context=None):
    context = context or tf.distribute.InputContext()
    return list(dataset(context).as_numpy_iterator())


@pytest.mark.parametrize("grid", [1, 2, 4])
def test_cut_takes_pieces_row_by_row_and_join_is_its_inverse(grid):
    pieces = puzzles.cut(tf.constant(IMAGES), grid)
    side = 8 // grid
    for j in range(grid**2):
        y, x = divmod(j, grid)
        expected = IMAGES[:, y * side : (y + 1) * side, x * side : (x + 1) * side]
        np.testing.assert_array_equal(pieces[:, j], expected)
    np.testing.assert_array_equal(puzzles.join(pieces, grid), IMAGES)


def test_scrambled_pieces_go_back_by_their_permutation():
    perm = st.permutations.sample([23], 16, seed=0)
    puzzle = puzzles.scramble(tf.constant(IMAGES), perm, 4)
    restored = st.permutations.apply(puzzle["perm"], puzzle["pieces"])
    np.testing.assert_array_equal(restored, puzzle["target"])
    np.testing.assert_allclose(
        puzzles.join(restored, 4), IMAGES.astype(np.float32) / 255, rtol=1e-6
    )


def test_crop_and_mirror_against_slices():
    corner = np.random.default_rng(1).integers(0, 3, (23, 2)).astype(np.int32)
    cropped = augmentation.crop(tf.constant(IMAGES), corner, 6)
    flip = corner[:, 0] == 1
    mirrored = augmentation.mirror(cropped, tf.constant(flip))
    for k, (y, x) in enumerate(corner):
        window = IMAGES[k, y : y + 6, x : x + 6]
        np.testing.assert_array_equal(cropped[k], window)
        np.testing.assert_array_equal(
            mirrored[k], window[:, ::-1] if flip[k] else window
        )


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


def test_an_epoch_visits_every_example_once_also_across_batches():
    examples = np.arange(10)
    dataset = batches.replica_batches(
        examples,
        tf.distribute.InputContext(),
        batch_size=4,
        first_step=0,
        last_step=10,
        seed=0,
    )
    seen = np.concatenate([part for _, _, part in dataset.as_numpy_iterator()])
    epochs = seen.reshape(4, 10)
    for epoch in epochs:
        assert sorted(epoch) == list(range(10))
    assert (epochs[0] != epochs[1]).any()


def test_a_batch_larger_than_the_data_is_filled_from_several_epochs():
    dataset = batches.replica_batches(
        np.arange(3),
        tf.distribute.InputContext(),
        batch_size=7,
        first_step=0,
        last_step=3,
        seed=0,
    )
    seen = np.concatenate([part for _, _, part in dataset.as_numpy_iterator()])
    assert np.bincount(seen).tolist() == [7, 7, 7]


def test_a_batch_that_does_not_divide_among_replicas_is_refused():
    context = tf.distribute.InputContext(num_replicas_in_sync=3)
    with pytest.raises(UserError, match="Received: --batch_size=4, 3 replicas"):
        elements(training(0, 1), context)


def test_evaluation_scrambles_by_file_order_whatever_the_batch_size():
    def scrambled(images, order, batch_size):
        dataset = puzzles.evaluation_puzzles(
            images, order, grid=2, batch_size=batch_size
        )
        found = list(dataset.as_numpy_iterator())
        return {k: np.concatenate([batch[k] for batch in found]) for k in found[0]}

    order = np.arange(100, 123)
    whole, small = scrambled(IMAGES, order, 23), scrambled(IMAGES, order, 4)
    part = scrambled(IMAGES[7:15], order[7:15], 5)
    for name, value in whole.items():
        np.testing.assert_array_equal(small[name], value)
        np.testing.assert_array_equal(part[name], value[7:15])
    assert len({tuple(perm) for perm in whole["perm"]}) > 10
