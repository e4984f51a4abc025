"""Batches of puzzles: augmented ones to train on, and constant ones to measure on."""

import dataclasses
import math

import numpy as np
import tensorflow as tf

import sinkhorn_tf as st
from pipelines.shared.input_pipeline import batches, seeds
from pipelines.shared.puzzles import augmentation, cutting


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """The random changes of training images, besides crops.

    Attributes:
        mirror: Whether half of the images are mirrored left to right.
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
    images, plan, context, *, grid, size, margin=0, augment=Augmentation()
):
    """Augmented puzzles, one global batch for each step.

    Each epoch visits every image once, in an order of its own. All random numbers follow
    from the seed and the step, so a pipeline that starts at a later step yields the same
    batches as one that started earlier.

    Args:
        images: uint8 array `[M, S, S, C]`, S >= `size`; larger images are cropped at
            random.
        plan: `batches.BatchPlan`.
        context: The `tf.distribute.InputContext` of the input pipeline.
        grid: Pieces along a side.
        size: Pixels along a side.
        margin: Pixels taken off each side of a piece.
        augment: `Augmentation`.

    Returns:
        A `tf.data.Dataset` of the puzzles of one replica, with the entries `step` and
        `position` of `batches`.
    """
    room = images.shape[1] - size

    def make_puzzles(step, position, batch):
        def stream(purpose):
            return seeds.stream(plan.seed, purpose, step)

        def uniform(purpose, shape, *bounds):
            """Draws for the whole batch and takes a part: the same for any replicas."""
            draws = tf.random.stateless_uniform(
                [plan.batch_size, *shape], stream(purpose), *bounds
            )
            return tf.gather(draws, position)

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
        perm = st.permutations.sample([plan.batch_size], grid**2, stream("scramble"))
        perm = tf.gather(perm, position)
        puzzles = cutting.scramble(batch, perm, grid, margin, corners)
        return {**puzzles, "step": step, "position": position}

    return batches.batches_from(images, make_puzzles, plan, context)


def evaluation_puzzles(images, file_order, *, grid, batch_size, margin=0):
    """Puzzles to measure on; no flag, batch size or worker changes them.

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

    def draw_permutation(index):
        seed = seeds.stream(seeds.EVALUATION, "scramble", index)
        return st.permutations.sample([], grid**2, seed)

    def make_puzzles(start, perm):
        part = tf.numpy_function(
            lambda i: images[i : i + batch_size], [start], tf.uint8, stateful=False
        )
        part.set_shape([None, *images.shape[1:]])
        return cutting.scramble(part, perm, grid, margin)

    starts = tf.data.Dataset.range(0, len(images), batch_size)
    perms = order.map(draw_permutation, tf.data.AUTOTUNE).batch(batch_size)
    both = tf.data.Dataset.zip(starts, perms)
    return both.map(make_puzzles, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
