"""From decoded pictures of any shape to one array of square images."""

import numpy as np
import tensorflow as tf

BATCH = 128
IN_PARALLEL = {"num_parallel_calls": tf.data.AUTOTUNE, "deterministic": True}


def central_square(image, side):
    """Crops the square in the middle of an image.

    Args:
        image: `[..., height, width, channels]`; in a graph, height and width may be
            unknown.
        side: The side of the square, in pixels.

    Returns:
        `[..., side, side, channels]`.
    """
    shape = tf.shape(image)
    top, left = (shape[-3] - side) // 2, (shape[-2] - side) // 2
    return image[..., top : top + side, left : left + side, :]


def square(image, size):
    """Crops the central square and resizes it.

    The crop has the side of the shorter edge. The resize is bilinear and antialiased:
    when it shrinks, its kernel widens to cover every pixel. All ops are graph ops, so
    that heights and widths may be unknown in `tf.data`.

    Args:
        image: Numbers in 0..255, `[height, width, channels]`, or `[batch, height,
            width, channels]`.
        size: The side of the result, in pixels.

    Returns:
        uint8 of the same rank, `size` high and wide.
    """
    image = tf.convert_to_tensor(image)
    shape = tf.shape(image)
    image = central_square(image, tf.minimum(shape[-3], shape[-2]))
    # The resize computes in float32 for any dtype; a cast before it would be slow.
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
        label: The name of the progress bar, which is shown on a terminal only.

    Returns:
        uint8 of that shape.
    """
    from tqdm import tqdm

    images = np.empty(shape, np.uint8)
    count = 0
    with tqdm(total=shape[0], desc=label, unit=" images", disable=None) as bar:
        for batch in batches.prefetch(tf.data.AUTOTUNE).as_numpy_iterator():
            images[count : count + len(batch)] = batch
            count += len(batch)
            bar.update(len(batch))
    return images
