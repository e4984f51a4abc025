import numpy as np
import tensorflow as tf

from pipelines.shared.puzzles import augmentation

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), np.uint8)
MANY = np.random.default_rng(0).integers(0, 256, (23, 8, 8, 3), np.uint8)
FLOATS = IMAGES.astype(np.float32) / 255


def test_quarter_turns_are_exact():
    for turns in range(4):
        angle = tf.fill([6], np.float32(turns * np.pi / 2))
        images = augmentation.rotate(tf.constant(IMAGES), angle)
        directions = (np.rot90(IMAGES, sign * turns, axes=(1, 2)) for sign in (1, -1))
        errors = [np.abs(images - expected).max() for expected in directions]
        assert min(errors) < 0.1


def test_each_image_turns_by_its_own_angle():
    angle = tf.constant([0, 0.3, 0, -0.3, 0, 0.3], tf.float32)
    images = augmentation.rotate(tf.constant(FLOATS), angle).numpy()
    still = np.abs(images - FLOATS).max(axis=(1, 2, 3)) < 1e-5
    np.testing.assert_array_equal(still, angle == 0)
    assert images.min() >= 0 and images.max() <= 1


def test_recolor_against_numpy(rng):
    factors = rng.uniform(0.5, 1.5, (6, 3)).astype(np.float32)
    images = augmentation.recolor(tf.constant(FLOATS), tf.constant(factors))
    for image, (brightness, contrast, saturation), result in zip(
        FLOATS, factors, images, strict=True
    ):
        x = image * brightness
        x = x.mean() + contrast * (x - x.mean())
        gray = x.mean(axis=2, keepdims=True)
        x = np.clip(gray + saturation * (x - gray), 0, 1)
        np.testing.assert_allclose(result, x, atol=1e-5)
    same = augmentation.recolor(tf.constant(FLOATS), tf.ones([6, 3]))
    np.testing.assert_allclose(same, FLOATS, atol=1e-6)


def test_crop_and_mirror_against_slices():
    corner = np.random.default_rng(1).integers(0, 3, (23, 2)).astype(np.int32)
    cropped = augmentation.crop(tf.constant(MANY), corner, 6)
    flip = corner[:, 0] == 1
    mirrored = augmentation.mirror(cropped, tf.constant(flip))
    for k, (y, x) in enumerate(corner):
        window = MANY[k, y : y + 6, x : x + 6]
        np.testing.assert_array_equal(cropped[k], window)
        np.testing.assert_array_equal(
            mirrored[k], window[:, ::-1] if flip[k] else window
        )
