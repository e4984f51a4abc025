import numpy as np
import pytest
import tensorflow as tf

from pipelines import augmentation, puzzles

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), np.uint8)
FLOATS = IMAGES.astype(np.float32) / 255


def test_quarter_turns_are_exact():
    for turns in range(4):
        angle = tf.fill([6], np.float32(turns * np.pi / 2))
        found = augmentation.rotate(tf.constant(IMAGES), angle)
        directions = (np.rot90(IMAGES, sign * turns, axes=(1, 2)) for sign in (1, -1))
        errors = [np.abs(found - expected).max() for expected in directions]
        assert min(errors) < 0.1


def test_each_image_turns_by_its_own_angle():
    angle = tf.constant([0, 0.3, 0, -0.3, 0, 0.3], tf.float32)
    found = augmentation.rotate(tf.constant(FLOATS), angle).numpy()
    still = np.abs(found - FLOATS).max(axis=(1, 2, 3)) < 1e-5
    np.testing.assert_array_equal(still, angle == 0)
    assert found.min() >= 0 and found.max() <= 1


def test_recolor_against_numpy(rng):
    factors = rng.uniform(0.5, 1.5, (6, 3)).astype(np.float32)
    found = augmentation.recolor(tf.constant(FLOATS), tf.constant(factors))
    for image, (brightness, contrast, saturation), result in zip(
        FLOATS, factors, found, strict=True
    ):
        x = image * brightness
        x = x.mean() + contrast * (x - x.mean())
        gray = x.mean(axis=2, keepdims=True)
        x = np.clip(gray + saturation * (x - gray), 0, 1)
        np.testing.assert_allclose(result, x, atol=1e-5)
    same = augmentation.recolor(tf.constant(FLOATS), tf.ones([6, 3]))
    np.testing.assert_allclose(same, FLOATS, atol=1e-6)


def test_eroded_pieces_against_slices(rng):
    pieces = puzzles.cut(tf.constant(IMAGES), 2)
    middle = puzzles.erode(pieces, 1)
    np.testing.assert_array_equal(middle, pieces[:, :, 1:3, 1:3])
    corners = rng.integers(0, 3, (6, 4, 2)).astype(np.int32)
    found = puzzles.erode(pieces, 1, corners)
    for b, i in np.ndindex(6, 4):
        y, x = corners[b, i]
        expected = pieces[b, i, y : y + 2, x : x + 2]
        np.testing.assert_array_equal(found[b, i], expected)
    np.testing.assert_array_equal(puzzles.erode(pieces, 0), pieces)


@pytest.mark.parametrize(
    "change",
    [{"rotation": 20.0}, {"color": 0.5}, {"offset": True}, {"mirror": True}],
)
def test_training_puzzles_are_changed_alike_in_every_run(change):
    def first(augment, seed=1):
        dataset = puzzles.training_puzzles(
            IMAGES,
            grid=2,
            size=8,
            batch_size=6,
            first_step=3,
            last_step=4,
            seed=seed,
            margin=1,
            augment=augment,
        )
        return next(iter(dataset(tf.distribute.InputContext())))

    plain = first(puzzles.Augmentation())
    changed = first(puzzles.Augmentation(**change))
    again = first(puzzles.Augmentation(**change))
    assert changed["pieces"].shape == (6, 4, 2, 2, 3)
    np.testing.assert_array_equal(changed["pieces"], again["pieces"])
    np.testing.assert_array_equal(changed["perm"], plain["perm"])
    assert np.abs(changed["pieces"] - plain["pieces"]).max() > 0.01
    assert (
        tf.reduce_min(changed["pieces"]) >= 0 and tf.reduce_max(changed["pieces"]) <= 1
    )
