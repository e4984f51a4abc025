"""Random changes of training images, on whole batches; the puzzles stay as hard.

Every random choice is an argument that the caller draws.
"""

import keras
import tensorflow as tf


def crop(images, corner, size):
    """Cuts a square window out of each image.

    Args:
        images: `[B, S, S, C]`.
        corner: int32 `[B, 2]`, the windows' top and left.
        size: Side of the windows.

    Returns:
        `[B, size, size, C]`.
    """
    window = corner[:, :, None] + tf.range(size)
    rows = tf.gather(images, window[:, 0], axis=1, batch_dims=1)
    return tf.gather(rows, window[:, 1], axis=2, batch_dims=1)


def mirror(images, flip):
    """Mirrors the images left to right where bool `flip` `[B]` says so."""
    return tf.where(flip[:, None, None, None], images[:, :, ::-1], images)


def rotate(images, angle):
    """Turns images about their centres, mirrored at the borders.

    Args:
        images: `[B, S, S, C]` of any real dtype.
        angle: float32 `[B]`, radians.

    Returns:
        float32 `[B, S, S, C]`, in the units of `images`.
    """
    size = images.shape[1]
    cos, sin = tf.cos(angle), tf.sin(angle)
    middle = (size - 1) / 2
    zero = tf.zeros_like(angle)
    # A row leads from a pixel (x, y) of the result to one of the image, about the centre.
    transforms = tf.stack(
        [
            cos,
            -sin,
            middle * (1 - cos + sin),
            sin,
            cos,
            middle * (1 - sin - cos),
            zero,
            zero,
        ],
        axis=1,
    )
    return keras.ops.image.affine_transform(
        tf.cast(images, tf.float32),
        transforms,
        interpolation="bilinear",
        fill_mode="reflect",
        data_format="channels_last",
    )


def recolor(images, factors):
    """Changes brightness, contrast and saturation, in this order.

    Args:
        images: float32 `[B, S, S, C]` in [0, 1].
        factors: float32 `[B, 3]`, 1 for no change.

    Returns:
        float32 `[B, S, S, C]` in [0, 1].
    """
    brightness, contrast, saturation = (
        factors[:, k, None, None, None] for k in range(3)
    )
    images *= brightness
    mean = tf.reduce_mean(images, axis=[1, 2, 3], keepdims=True)
    images = mean + contrast * (images - mean)
    gray = tf.reduce_mean(images, axis=3, keepdims=True)
    return tf.clip_by_value(gray + saturation * (images - gray), 0.0, 1.0)
