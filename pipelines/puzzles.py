"""Jigsaw puzzles of images: cutting, scrambling, and batches of both.

A puzzle is a dict of tensors: `pieces` `[B, N, h, w, C]`, the scrambled pieces,
float32 in [0, 1]; `perm` int32 `[B, N]`, piece i belongs at position `perm[i]`
(positions count row by row); `target` `[B, N, h, w, C]`, the pieces in their places.
"""

import numpy as np
import tensorflow as tf

import sinkhorn_tf as st
from pipelines import batches, seeds


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


def scramble(images, perm, grid):
    """Makes puzzles of images, see the head of this module.

    Args:
        images: uint8 `[B, H, W, C]`.
        perm: int32 `[B, grid * grid]`.
        grid: Pieces along a side.

    Returns:
        Dict of `pieces`, `perm` and `target`.
    """
    target = cut(tf.cast(images, tf.float32) / 255, grid)
    pieces = tf.gather(target, perm, batch_dims=1)
    return {"pieces": pieces, "perm": perm, "target": target}


def training_puzzles(
    images, *, grid, size, batch_size, first_step, last_step, seed, photographs
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
        photographs: Whether to mirror at random.

    Returns:
        Function of a `tf.distribute.InputContext` to a `tf.data.Dataset` of the
        puzzles of one replica, with the entries `step` and `position` of `batches`.
    """
    room = images.shape[1] - size

    def puzzle(step, position, batch):
        # Drawn for the global batch, then picked: the same for any replicas.
        pick = lambda draws: tf.gather(draws, position)
        draw = lambda purpose: seeds.stream(seed, purpose, step)
        uniform = tf.random.stateless_uniform
        if room:
            corner = uniform([batch_size, 2], draw("crop"), 0, room + 1, tf.int32)
            batch = crop(batch, pick(corner), size)
        if photographs:
            batch = mirror(batch, pick(uniform([batch_size], draw("mirror")) < 0.5))
        perm = st.permutations.sample([batch_size], grid**2, draw("scramble"))
        puzzle = scramble(batch, pick(perm), grid)
        return {**puzzle, "step": step, "position": position}

    def dataset(context):
        parts = batches.replica_batches(
            images,
            context,
            batch_size=batch_size,
            first_step=first_step,
            last_step=last_step,
            seed=seed,
        )
        return parts.map(puzzle, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)

    return dataset


def evaluation_puzzles(images, file_order, *, grid, batch_size):
    """Puzzles to measure on: the same whatever the flags, batch size or workers.

    Args:
        images: uint8 array `[M, size, size, C]`.
        file_order: int array `[M]`; a puzzle is scrambled by a constant seed and the
            example's index in file order.
        grid: Pieces along a side.
        batch_size: Puzzles of a batch; the last one may be smaller.

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
        return scramble(part, perm, grid)

    starts = tf.data.Dataset.range(0, len(images), batch_size)
    perms = order.map(permutation, tf.data.AUTOTUNE).batch(batch_size)
    both = tf.data.Dataset.zip(starts, perms)
    return both.map(puzzle, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
