"""From decoded pictures of any shape to one array of square images."""

import re

import numpy as np
import tensorflow as tf

BATCH = 128
IN_PARALLEL = {"num_parallel_calls": tf.data.AUTOTUNE, "deterministic": True}


def square(image, size):
    """Crops the central square and resizes it.

    The crop has the side of the shorter edge. The resize is bilinear and antialiased:
    when it shrinks, its kernel widens to cover every pixel. Graph ops throughout, so
    it takes unknown heights and widths in `tf.data`.

    Args:
        image: Numbers in 0..255, `[height, width, channels]`, or `[batch, height,
            width, channels]`.
        size: The side wanted, in pixels.

    Returns:
        uint8 of the same rank, `size` high and wide.
    """
    image = tf.convert_to_tensor(image)
    shape = tf.shape(image)
    height, width = shape[-3], shape[-2]
    side = tf.minimum(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    image = image[..., top : top + side, left : left + side, :]
    # It computes in float32 whatever the dtype; a cast would cost more than the rest.
    image = tf.image.resize(image, [size, size], antialias=True)
    image = tf.round(tf.cast(image, tf.float32))
    return tf.cast(tf.clip_by_value(image, 0, 255), tf.uint8)


def match_channels(image, channels):
    """Brings uint8 images of 1, 3 or 4 (alpha, dropped) channels to 1 or 3."""
    image = tf.convert_to_tensor(image)[..., :3]
    if image.shape[-1] == channels:
        return image
    if channels == 3:
        return tf.image.grayscale_to_rgb(image)
    return tf.image.rgb_to_grayscale(image)


def collect(batches, shape, label):
    """Gathers batches of images into one array.

    Args:
        batches: A `tf.data.Dataset` of uint8 `[batch, size, size, channels]`.
        shape: The shape of the result, `(count, size, size, channels)`.
        label: Names the progress bar, which shows on a terminal only.

    Returns:
        uint8 of that shape.
    """
    from tqdm import tqdm

    images = np.empty(shape, np.uint8)
    found = 0
    with tqdm(total=shape[0], desc=label, unit=" images", disable=None) as bar:
        for batch in batches.prefetch(tf.data.AUTOTUNE).as_numpy_iterator():
            images[found : found + len(batch)] = batch
            found += len(batch)
            bar.update(len(batch))
    return images


def what_failed(error):
    """Returns one line of a `tf.errors.OpError`, without TensorFlow's decoration."""
    line = error.message.splitlines()[0]
    return re.sub(r"\{\{.*?\}\} *| *\[Op:.*", "", line)
