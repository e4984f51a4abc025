"""Jigsaw puzzles of images: cutting, scrambling, and batches of both.

A puzzle is a dict of tensors: `pieces` `[B, N, h, w, C]`, the scrambled pieces,
float32 in [0, 1]; `perm` int32 `[B, N]`, piece i belongs at position `perm[i]`
(positions count row by row); `target` `[B, N, h, w, C]`, the pieces in their places.
"""

import dataclasses
import math

import numpy as np
import tensorflow as tf

import sinkhorn_tf as st
from pipelines import augmentation, batches, seeds


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
        corners: int32 `[B, N, 2]` from 0 to `2 * margin`, the top and left of what is
            kept; None for the middle.

    Returns:
        `[B, N, h - 2 * margin, w - 2 * margin, C]`.
    """
    if not margin:
        return pieces
    if corners is None:
        return pieces[:, :, margin:-margin, margin:-margin]
    _, n, side, _, channels = pieces.shape
    flat = tf.reshape(pieces, [-1, side, side, channels])
    kept = side - 2 * margin
    flat = augmentation.crop(flat, tf.reshape(corners, [-1, 2]), kept)
    return tf.reshape(flat, [-1, n, kept, kept, channels])


def scramble(images, perm, grid, margin=0, corners=None):
    """Makes puzzles of images, see the head of this module.

    Args:
        images: uint8 `[B, H, W, C]`, or float32 in [0, 1].
        perm: int32 `[B, grid * grid]`.
        grid: Pieces along a side.
        margin, corners: As in `erode`.

    Returns:
        Dict of `pieces`, `perm` and `target`.
    """
    images = tf.image.convert_image_dtype(images, tf.float32)
    target = erode(cut(images, grid), margin, corners)
    pieces = tf.gather(target, perm, batch_dims=1)
    return {"pieces": pieces, "perm": perm, "target": target}


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """How training images are changed at random, besides being cropped.

    Attributes:
        mirror: Whether half of them are mirrored left to right.
        rotation: The largest angle, in degrees.
        color: Brightness, contrast and saturation change by factors from 1 - color to
            1 + color.
        offset: Whether each piece is cut out of its place at random within the margin.
    """

    mirror: bool = False
    rotation: float = 0.0
    color: float = 0.0
    offset: bool = False


def training_puzzles(
    images,
    *,
    grid,
    size,
    batch_size,
    first_step,
    last_step,
    seed,
    margin=0,
    augment=Augmentation(),
    served_by=None,
):
    """Augmented puzzles, one global batch for each step.

    Each epoch visits every image once, in an order of its own. All that is random is
    keyed by the seed and the step, so a pipeline that starts at a later step yields
    what an earlier one would have.

    Args:
        images: uint8 array `[M, S, S, C]`, S >= `size`; larger images are cropped at
            random.
        grid, size: Pieces and pixels along a side.
        batch_size: Puzzles of a step, over all replicas.
        first_step, last_step: The range of steps.
        seed: Python int >= 0.
        margin: Pixels taken off each side of a piece.
        augment: `Augmentation`.
        served_by: As of `batches.made_of`.

    Returns:
        Function of a `tf.distribute.InputContext` to a `tf.data.Dataset` of the
        puzzles of one replica, with the entries `step` and `position` of `batches`.
    """
    room = images.shape[1] - size

    def puzzle(step, position, batch):
        # Drawn for the global batch, then picked: the same for any replicas.
        pick = lambda draws: tf.gather(draws, position)
        draw = lambda purpose: seeds.stream(seed, purpose, step)
        uniform = lambda purpose, shape, *bounds: pick(
            tf.random.stateless_uniform([batch_size, *shape], draw(purpose), *bounds)
        )
        if augment.rotation:
            most = math.radians(augment.rotation)
            batch = augmentation.rotate(batch, uniform("rotate", [], -most, most)) / 255
        if room:
            corner = uniform("crop", [2], 0, room + 1, tf.int32)
            batch = augmentation.crop(batch, corner, size)
        if augment.mirror:
            batch = augmentation.mirror(batch, uniform("mirror", []) < 0.5)
        if augment.color:
            batch = tf.image.convert_image_dtype(batch, tf.float32)
            least, most = 1 - augment.color, 1 + augment.color
            batch = augmentation.recolor(batch, uniform("color", [3], least, most))
        corners = None
        if augment.offset:
            corners = uniform("offset", [grid**2, 2], 0, 2 * margin + 1, tf.int32)
        perm = st.permutations.sample([batch_size], grid**2, draw("scramble"))
        puzzle = scramble(batch, pick(perm), grid, margin, corners)
        return {**puzzle, "step": step, "position": position}

    return batches.made_of(
        images,
        puzzle,
        batch_size=batch_size,
        first_step=first_step,
        last_step=last_step,
        seed=seed,
        served_by=served_by,
    )


def evaluation_puzzles(images, file_order, *, grid, batch_size, margin=0):
    """Puzzles to measure on: the same whatever the flags, batch size or workers.

    Args:
        images: uint8 array `[M, size, size, C]`.
        file_order: int array `[M]`; a puzzle is scrambled by a constant seed and the
            example's index in file order.
        grid: Pieces along a side.
        batch_size: Puzzles of a batch; the last one may be smaller.
        margin: Pixels taken off each side of a piece.

    Returns:
        A `tf.data.Dataset` of puzzles.
    """
    order = tf.data.Dataset.from_tensor_slices(file_order.astype(np.int32))

    def permutation(index):
        seed = seeds.stream(seeds.EVALUATION, "scramble", index)
        return st.permutations.sample([], grid**2, seed)

    def puzzle(start, perm):
        part = tf.numpy_function(
            lambda i: images[i : i + batch_size], [start], tf.uint8, stateful=False
        )
        part.set_shape([None, *images.shape[1:]])
        return scramble(part, perm, grid, margin)

    starts = tf.data.Dataset.range(0, len(images), batch_size)
    perms = order.map(permutation, tf.data.AUTOTUNE).batch(batch_size)
    both = tf.data.Dataset.zip(starts, perms)
    return both.map(puzzle, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
