"""The two sources that come with scikit-learn: no download, no directory."""

import functools

import numpy as np
import tensorflow as tf

from pipelines.shared.datasets.decoding import BATCH, IN_PARALLEL, collect, square
from pipelines.shared.datasets.sources import (
    ROLES,
    SPLIT_SEED,
    Images,
    check_role,
    seeded_part,
)

# First column, end column and number of the crops from the photographs, by role.
_STRIPS = {
    "train": (0, 512, 1600),
    "validation": (512, 576, 200),
    "test": (576, 640, 200),
}
_SMALLEST_CROP, _LARGEST_CROP = 48, 64


class Digits:
    """scikit-learn's 1,797 scanned digits of 8 by 8 pixels."""

    def __init__(self, source, data_dir=None):
        self.source = source
        self.identity = "scikit-learn digits"

    def read(self, split, size):
        """The `Images` of a split, `size` pixels high and wide."""
        from sklearn.datasets import load_digits

        digits = load_digits()
        chosen = seeded_part(self.source.name, split, len(digits.images))
        # The scans have the values 0 to 16.
        pixels = np.round(digits.images[chosen, :, :, np.newaxis] * (255 / 16))
        batches = (
            tf.data.Dataset.from_tensor_slices(pixels)
            .batch(BATCH)
            .map(functools.partial(square, size=size), **IN_PARALLEL)
        )
        shape = (len(chosen), size, size, self.source.channels)
        images = collect(batches, shape, self.source.name)
        return Images(images, chosen, 0, digits.target[chosen].astype(np.int64))


class Photos:
    """Random square crops of scikit-learn's two sample photographs.

    Each photograph (427 by 640 pixels) is cut in three strips, and the crops of a
    split stay inside its strip, so that no pixel is in two splits.
    """

    def __init__(self, source, data_dir=None):
        self.source = source
        self.identity = "scikit-learn photographs"

    def read(self, split, size):
        """The `Images` of a split, `size` pixels high and wide."""
        from sklearn.datasets import load_sample_images

        check_role(self.source.name, split)
        photographs = np.stack(load_sample_images().images)
        roles = ROLES if split == "all" else (split,)
        crops = np.concatenate([_crops(role, photographs) for role in roles])

        def cut(crop):
            photograph, top, left, side = tf.unstack(crop)
            pixels = tf.constant(photographs)[photograph]
            return square(pixels[top : top + side, left : left + side], size)

        batches = (
            tf.data.Dataset.from_tensor_slices(crops)
            .map(cut, **IN_PARALLEL)
            .batch(BATCH)
        )
        shape = (len(crops), size, size, self.source.channels)
        images = collect(batches, shape, self.source.name)
        return Images(images, np.arange(len(images)), 0)


def _crops(role, photographs):
    """Draws int32 `[count, 4]`: photograph, top, left and side of every crop."""
    first, end, count = _STRIPS[role]
    random = np.random.RandomState(SPLIT_SEED + ROLES.index(role))
    side = random.randint(_SMALLEST_CROP, _LARGEST_CROP + 1, count)
    top = random.randint(0, photographs.shape[1] - side + 1)
    left = random.randint(first, end - side + 1)
    photograph = np.arange(count) % len(photographs)
    return np.stack([photograph, top, left, side], axis=1).astype(np.int32)
