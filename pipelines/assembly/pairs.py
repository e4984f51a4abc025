"""Pairs to learn assembly from: the pieces of an image, and a target to make of them.

A batch of pairs is a dict of tensors: `pieces` `[B, N, h, w, C]`, scrambled, float32 in
[0, 1]; `digit` int32 `[B]`, the wanted label; `target` `[B, N, h, w, C]`, the pieces of
an image or a template of that label, in their places.
"""

import math

import numpy as np
import tensorflow as tf

import sinkhorn_tf as st
from pipelines.shared.errors import UserError
from pipelines.shared.input_pipeline import batches, seeds
from pipelines.shared.puzzles import cutting


class Pairs:
    """The pairs that labelled images make.

    Args:
        images: uint8 array `[M, S, S, C]`.
        labels: int array `[M]`, from 0 on.
        grid: Pieces along a side.
        candidates: With 0, and without templates, the target of every image is the image
            itself, the recipe of Mena et al. (2018), section 4.3. Else an image is also assembled as other
            labels. The target is then one of so many random images with that label: the
            one whose pieces are most like those of the image.
        bold: The number of copies of each image that may also be candidates, each with
            strokes bolder by a pixel: a 1 has less ink than most digits.
        templates: `templates.Templates` from which all targets are drawn, with as much
            ink as the image has, or None.

    Raises:
        UserError: If there are candidates, and a label has no image.
    """

    def __init__(self, images, labels, *, grid, candidates=0, bold=0, templates=None):
        self._n_examples = len(images)
        self._grid = grid
        self._candidates = candidates
        self._templates = templates
        # Batches are made on the CPU, where targets do not depend on the device.
        with tf.device("CPU"):
            if candidates:
                copies = [bolder(images, pixels) for pixels in range(1, bold + 1)]
                images = np.concatenate([images, *copies])
                labels = np.tile(labels, bold + 1)
            self._counts = np.bincount(labels)
            if candidates and not self._counts.all():
                raise UserError(
                    "--recipe=nearest needs training images of every label. Received: "
                    f"none of label {np.argmin(self._counts)}"
                )
            self._labels = tf.constant(labels, tf.int32)
            self._contents = contents(images, grid) if candidates else None
            self._by_label = tf.constant(np.argsort(labels, kind="stable"))
            self._pixels = tf.constant(images)

    def training(self, plan, context):
        """Pairs, one global batch for each step, keyed by the seed and the step.

        Args:
            plan: `batches.BatchPlan`.
            context: The `tf.distribute.InputContext` of the input pipeline.

        Returns:
            A `tf.data.Dataset` of the pairs of one replica, with the entries `step` and
            `position` of `batches`.
        """

        def make_pairs(step, position, index):
            pairs = self._pairs(
                tf.gather(self._pixels, index),
                tf.gather(self._labels, index),
                self._contents_of(index) if self._candidates else None,
                position,
                plan.batch_size,
                lambda purpose: seeds.stream(plan.seed, purpose, step),
            )
            return {**pairs, "step": step, "position": position}

        index = np.arange(self._n_examples)
        return batches.batches_from(index, make_pairs, plan, context)

    def evaluation(self, images, labels):
        """Pairs of other images, with the targets of this object.

        No seed changes them.
        """
        count = len(images)
        with tf.device("CPU"):
            return self._pairs(
                tf.constant(images),
                tf.constant(labels, tf.int32),
                contents(images, self._grid) if self._candidates else None,
                tf.range(count),
                count,
                lambda purpose: seeds.stream(seeds.EVALUATION, purpose, 0),
            )

    def _pairs(self, images, labels, content, position, batch_size, draw):
        """Pairs of some images of a batch, picked from draws for the whole batch."""
        perm = st.permutations.sample([batch_size], self._grid**2, draw("scramble"))
        own = cutting.scramble(images, tf.gather(perm, position), self._grid)
        pieces = own["pieces"]
        if not self._candidates and not self._templates:
            return {"pieces": pieces, "digit": labels, "target": own["target"]}
        n_labels = len(self._counts)
        wanted = tf.random.stateless_uniform(
            [batch_size], draw("digit"), 0, n_labels, tf.int32
        )
        wanted = tf.gather(wanted, position)
        if self._templates:
            ink = tf.reduce_sum(tf.reduce_mean(pieces, axis=-1), axis=[1, 2, 3])
            target = cutting.cut(self._templates.images(ink, wanted), self._grid)
            target = tf.broadcast_to(target, tf.shape(pieces))
            return {"pieces": pieces, "digit": wanted, "target": target}
        # The whole batch has the same candidates, of each label as many.
        places = tf.random.stateless_uniform(
            [n_labels, self._candidates], draw("candidates"), dtype=tf.float64
        )
        first = np.cumsum(self._counts) - self._counts
        places = first[:, None] + tf.cast(places * self._counts[:, None], tf.int64)
        candidates = tf.gather(self._by_label, places)
        chosen = tf.gather(
            tf.reshape(candidates, [-1]),
            nearest(content, self._contents_of(candidates), wanted),
        )
        target = tf.image.convert_image_dtype(
            tf.gather(self._pixels, chosen), tf.float32
        )
        target = cutting.cut(target, self._grid)
        same = (wanted == labels)[:, None, None, None, None]
        return {
            "pieces": pieces,
            "digit": wanted,
            "target": tf.where(same, own["target"], target),
        }

    def _contents_of(self, index):
        return tf.gather(self._contents, index)


def bolder(images, pixels):
    """Images with bolder strokes, bright on dark: uint8 `[M, S, S, C]`."""
    parts = [
        tf.nn.max_pool2d(
            tf.cast(images[start : start + 1000], tf.float32), pixels + 1, 1, "SAME"
        )
        for start in range(0, len(images), 1000)
    ]
    return tf.cast(tf.concat(parts, axis=0), tf.uint8).numpy()


def contents(images, grid):
    """Describes the pieces of images in a way that does not depend on their order.

    A content holds the means and the lowest frequencies of the pieces (the first cosines
    along and across, and their product), each sorted over the pieces. The squared
    distance of two contents is a sliced Wasserstein distance: at most the squared error
    that is left when the pieces of one image are put in the best places of the other.

    Args:
        images: uint8 array `[M, S, S, C]`.
        grid: Pieces along a side.

    Returns:
        float32 tensor `[M, 4 * grid * grid]`.
    """
    side = images.shape[1] // grid
    wave = np.cos(np.pi * (np.arange(side) + 0.5) / side)
    if side > 1:
        wave *= math.sqrt(2 / side)
    lines = np.stack([np.full(side, math.sqrt(1 / side)), wave * (side > 1)])
    basis = np.einsum("ah,bw->abhw", lines, lines).reshape(4, side * side)
    basis = tf.constant(basis.T, tf.float32)
    parts = []
    for start in range(0, len(images), 1000):
        part = tf.image.convert_image_dtype(images[start : start + 1000], tf.float32)
        # A colour counts as the mean of its channels.
        pieces = tf.reduce_mean(cutting.cut(part, grid), axis=-1)
        features = tf.reshape(pieces, [-1, grid**2, side * side]) @ basis
        features = tf.sort(features, axis=1)
        parts.append(tf.reshape(features, [-1, 4 * grid**2]))
    return tf.concat(parts, axis=0)


def nearest(content, candidates, label):
    """The candidate of a label that is nearest in content.

    Args:
        content: `[b, F]`.
        candidates: `[K, C, F]`, C candidates of each label.
        label: int32 `[b]`.

    Returns:
        int32 `[b]`, indices into the K * C candidates.
    """
    _, count, size = candidates.shape
    flat = tf.reshape(candidates, [-1, size])
    distance = tf.reduce_sum(flat**2, axis=1) - 2 * tf.matmul(
        content, flat, transpose_b=True
    )
    distance = tf.reshape(distance, [-1, candidates.shape[0], count])
    distance = tf.gather(distance, label, batch_dims=1)
    return label * count + tf.argmin(distance, axis=1, output_type=tf.int32)
