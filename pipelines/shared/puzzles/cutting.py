"""Jigsaw puzzles of images: cutting and scrambling.

A puzzle is a dict of tensors: `pieces` `[B, N, h, w, C]`, the scrambled pieces,
float32 in [0, 1]; `perm` int32 `[B, N]`, piece i belongs at position `perm[i]`
(positions count row by row); `target` `[B, N, h, w, C]`, the pieces in their places.
"""

import tensorflow as tf

from pipelines.shared.puzzles import augmentation


def cut(images, grid):
    """Cuts images into `grid * grid` pieces, row by row.

    Args:
        images: `[B, H, W, C]`, H and W multiples of `grid`.
        grid: Pieces along a side.

    Returns:
        `[B, grid * grid, H / grid, W / grid, C]`.
    """
    _, height, width, channels = images.shape
    h, w = height // grid, width // grid
    rows = tf.reshape(images, [-1, grid, h, grid, w, channels])
    return tf.reshape(
        tf.transpose(rows, [0, 1, 3, 2, 4, 5]), [-1, grid * grid, h, w, channels]
    )


def join(pieces, grid):
    """The inverse of `cut`.

    Args:
        pieces: `[B, grid * grid, h, w, C]`.
        grid: Pieces along a side.

    Returns:
        `[B, grid * h, grid * w, C]`.
    """
    _, _, h, w, channels = pieces.shape
    rows = tf.reshape(pieces, [-1, grid, grid, h, w, channels])
    return tf.reshape(
        tf.transpose(rows, [0, 1, 3, 2, 4, 5]), [-1, grid * h, grid * w, channels]
    )


def erode(pieces, margin, corners=None):
    """Takes the borders off pieces, so that they do not meet any more.

    Args:
        pieces: `[B, N, h, w, C]`.
        margin: Pixels to take off each side.
        corners: int32 `[B, N, 2]` from 0 to `2 * margin`, the top and left of the part
            that stays; None for the middle.

    Returns:
        `[B, N, h - 2 * margin, w - 2 * margin, C]`.
    """
    if not margin:
        return pieces
    if corners is None:
        return pieces[:, :, margin:-margin, margin:-margin]
    _, n, side, _, channels = pieces.shape
    flat = tf.reshape(pieces, [-1, side, side, channels])
    eroded_side = side - 2 * margin
    flat = augmentation.crop(flat, tf.reshape(corners, [-1, 2]), eroded_side)
    return tf.reshape(flat, [-1, n, eroded_side, eroded_side, channels])


def scramble(images, perm, grid, margin=0, corners=None):
    """Makes puzzles of images; the docstring of this module says what a puzzle is.

    Args:
        images: uint8 `[B, H, W, C]`, or float32 in [0, 1].
        perm: int32 `[B, grid * grid]`.
        grid: Pieces along a side.
        margin: Pixels to take off each side of a piece, see `erode`.
        corners: The top and left of the part of each piece that stays, see `erode`.

    Returns:
        Dict of `pieces`, `perm` and `target`.
    """
    images = tf.image.convert_image_dtype(images, tf.float32)
    target = erode(cut(images, grid), margin, corners)
    pieces = tf.gather(target, perm, batch_dims=1)
    return {"pieces": pieces, "perm": perm, "target": target}
