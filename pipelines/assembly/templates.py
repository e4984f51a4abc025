"""Templates: one drawing of each digit, with strokes as bold as the ink of the pieces.

A piece alone does not know which strokes it will be part of, so that a layer that learns
from many different images of its digit learns their mean, a blur. A template is one image
of a digit. Its strokes grow or shrink until it has as much ink as the pieces that are to
make it: the places that fill up first are the same for all of them, and the digit stays
sharp with little ink as with much.
"""

import numpy as np
import tensorflow as tf
from scipy import ndimage
from scipy.optimize import linear_sum_assignment

from pipelines.assembly.judge import logits
from pipelines.shared import files
from pipelines.shared.puzzles import cutting

# Strokes grow from an edge that is as sharp as this, in pixels.
_EDGE = 0.4
# Levels at which the ink of a template is known; between them it is interpolated.
_LEVELS = 256

# What `choose` has to choose from: images of each digit, and how each may be changed.
_EXAMPLES = 20
_STRETCHES = ((1.0, 1.0), (1.15, 1.15), (1.25, 1.0))
_SHEARS = (-0.2, 0.0, 0.2)
# Images whose pieces try out the candidates of a digit, and images of each digit among
# which the examples are looked for.
_SOURCES = 80
_POOL = 1500
# Divides the logits of judges: a judge that is sure of every candidate would not choose.
_DOUBT = 4.0


class Templates:
    """The templates of K labels.

    Args:
        drawings: float array `[K, S, S]` in [0, 1], an image of each label.
    """

    def __init__(self, drawings):
        self.drawings = np.asarray(drawings, np.float32)
        fields = np.stack([_distance_to_strokes(x) for x in self.drawings])
        # From no ink at all to ink everywhere.
        reach = 8 * _EDGE
        levels = np.linspace(fields.min() - reach, fields.max() + reach, _LEVELS)
        ink = [[_grown(f, level).sum() for level in levels] for f in fields]
        self._fields = tf.constant(fields, tf.float32)
        self._levels = tf.constant(levels, tf.float32)
        self._ink = tf.constant(ink, tf.float32)

    def images(self, ink, label):
        """Draws templates with given amounts of ink.

        Args:
            ink: float `[b]`, sums of pixels.
            label: int32 `[b]`.

        Returns:
            float32 `[b, S, S, 1]` in [0, 1].
        """
        known = tf.gather(self._ink, label)
        above = tf.searchsorted(known, ink[:, None])[:, 0]
        above = tf.clip_by_value(above, 1, _LEVELS - 1)
        low, high = (tf.gather(known, k, batch_dims=1) for k in (above - 1, above))
        share = tf.clip_by_value(tf.math.divide_no_nan(ink - low, high - low), 0.0, 1.0)
        below = tf.gather(self._levels, above - 1)
        level = below + share * (self._levels[1] - self._levels[0])
        field = tf.gather(self._fields, label)
        return tf.sigmoid((level[:, None, None] - field) / _EDGE)[..., None]


def load_or_choose(path, make):
    """The templates in a file; makes them first if it is absent.

    Args:
        path: Name of the file, which ends in `.npy`.
        make: Function without arguments to drawings, such as a call of `choose`.
    """
    files.make_once(
        path, lambda: files.write_whole(path, lambda name: np.save(name, make()))
    )
    return Templates(np.load(path))


def choose(images, labels, n_labels, grid, judges, seed=0):
    """Chooses the drawing of each label: the one whose assemblies convince judges most.

    Candidates are typical images of the label, also stretched and sheared. Pieces of other
    digits, all from training images, are matched with each; the judges' mean
    log-probability of the label decides, from their logits divided by 4.

    Args:
        images: uint8 array `[M, S, S, C]`, the training images.
        labels: int array `[M]`.
        n_labels: K, the number of labels.
        grid: Pieces along a side.
        judges: List of `judge.Judge`.
        seed: Seed of the images that are tried.

    Returns:
        float32 array `[K, S, S]`.
    """
    rng = np.random.default_rng(seed)
    return np.stack(
        [_best_drawing(images, labels, k, grid, judges, rng) for k in range(n_labels)]
    )


def _best_drawing(images, labels, label, grid, judges, rng):
    own, other = np.flatnonzero(labels == label), np.flatnonzero(labels != label)
    own = rng.choice(own, min(_POOL, len(own)), replace=False)
    candidates = [
        _changed(example, stretch, shear)
        for example in _typical(_grey(images[own]), _EXAMPLES)
        for stretch in _STRETCHES
        for shear in _SHEARS
    ]
    sources = rng.choice(other, min(_SOURCES, len(other)), replace=False)
    pieces = cutting.cut(images[sources] / np.float32(255), grid).numpy()
    ink = pieces.mean(axis=-1).sum(axis=(1, 2, 3))
    scores = []
    for candidate in candidates:
        wanted = Templates(candidate[None]).images(ink, tf.zeros(len(ink), tf.int32))
        assembled = cutting.join(_matched(pieces, cutting.cut(wanted, grid)), grid)
        sure = [
            tf.nn.log_softmax(logits(judge.network, assembled) / _DOUBT)[:, label]
            for judge in judges
        ]
        scores.append(np.mean(sure))
    return candidates[int(np.argmax(scores))]


def _matched(pieces, wanted):
    """Puts pieces `[b, N, h, w, C]` where they are most like those of wanted images."""
    placed = np.empty_like(pieces)
    for k, target in enumerate(np.asarray(wanted)):
        likeness = np.einsum("nhwc,mhwd->nm", pieces[k], target)
        # One problem at a time SciPy is ten times as fast as a batch in TensorFlow.
        item, place = linear_sum_assignment(likeness, maximize=True)
        placed[k, place] = pieces[k, item]
    return placed


def _typical(images, count):
    """Images `[m, S, S]` near which all others are: greedy medoids."""
    flat = images.reshape(len(images), -1)
    square = (flat**2).sum(axis=1)
    distance = square[:, None] + square - 2 * flat @ flat.T
    nearest, chosen = np.full(len(flat), distance.max()), []
    for _ in range(min(count, len(flat))):
        gain = np.maximum(nearest - distance, 0).sum(axis=1)
        chosen.append(int(gain.argmax()))
        nearest = np.minimum(nearest, distance[chosen[-1]])
    return images[chosen]


def _changed(image, stretch, shear):
    """An image stretched down and across around its middle, then sheared."""
    down, across = stretch
    back = np.array([[1 / down, 0], [shear / across, 1 / across]])
    middle = (np.array(image.shape) - 1) / 2
    return ndimage.affine_transform(image, back, middle - back @ middle, order=1)


def _grey(images):
    return images.mean(axis=-1, dtype=np.float32) / 255


def _distance_to_strokes(image):
    """The distances of pixels to the edge of the ink, negative inside it."""
    inside = image > image.max() / 2
    outer = ndimage.distance_transform_edt(~inside)
    return np.where(inside, 0.5 - ndimage.distance_transform_edt(inside), outer - 0.5)


def _grown(field, level):
    return 1 / (1 + np.exp((field - level) / _EDGE))
