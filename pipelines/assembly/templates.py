"""Templates: one drawing of each digit, with strokes as bold as the ink of the pieces.

A layer that learns from many different images of its digit learns their mean, a blur. A
template is one drawing of a digit, whose strokes grow or shrink until it has as much ink as
the pieces that are to make it. For pieces with little ink, some and much there is a drawing
each: what is a clear digit with little ink may be a blob with much.
"""

import hashlib
import sys

import numpy as np
import tensorflow as tf
from scipy import ndimage
from scipy.optimize import linear_sum_assignment

from pipelines.assembly.judge import logits
from pipelines.shared import files
from pipelines.shared.errors import UserError
from pipelines.shared.puzzles import cutting
from pipelines.shared.puzzles import images as puzzle_images
from pipelines.shared.training import progress

# Strokes grow from an edge that is as sharp as this, in pixels.
_EDGE = 0.4
# Levels at which the ink of a template is known; between them it is interpolated.
_LEVELS = 256

# What `choose` has to choose from: images of each digit, and how each may be changed.
_EXAMPLES = 20
_STRETCHES = ((1.0, 1.0), (1.15, 1.15), (1.25, 1.0), (1.0, 0.8))
_SHEARS = (-0.4, -0.2, 0.0, 0.2, 0.4)
# The shares of images with less ink than the bounds between classes of ink.
_CLASSES = (0.1, 0.5)
# Images whose pieces try out the candidates of a digit: a few for all of them, then more
# for the best. All for all would take three times as long.
_FIRST_SOURCES, _SOURCES = 12, 80
_FINALISTS = 24
# The images of a digit among which the examples are looked for.
_POOL = 1500
_BATCH = 500
# Divides the logits of judges: a judge that is sure of every candidate would not choose.
_DOUBT = 4.0


class Templates:
    """The templates of K labels, for Q classes of ink.

    Args:
        drawings: float array `[K, Q, S, S]` in [0, 1], images of each label.
        bounds: float array `[Q - 1]`, ascending: the ink between two classes, a sum of
            pixels.
    """

    def __init__(self, drawings, bounds):
        self.drawings = np.asarray(drawings, np.float32)
        self.bounds = np.asarray(bounds, np.float32)
        flat = self.drawings.reshape(-1, *self.drawings.shape[2:])
        fields = np.stack([_distance_to_strokes(x) for x in flat])
        # From no ink at all to ink everywhere.
        reach = 8 * _EDGE
        levels = np.linspace(fields.min() - reach, fields.max() + reach, _LEVELS)
        ink = [_grown(f, levels[:, None, None]).sum(axis=(1, 2)) for f in fields]
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
        classes = tf.searchsorted(self.bounds, ink, side="right")
        drawing = label * self.drawings.shape[1] + classes
        known = tf.gather(self._ink, drawing)
        above = tf.searchsorted(known, ink[:, None])[:, 0]
        above = tf.clip_by_value(above, 1, _LEVELS - 1)
        low, high = (tf.gather(known, k, batch_dims=1) for k in (above - 1, above))
        share = tf.clip_by_value(tf.math.divide_no_nan(ink - low, high - low), 0.0, 1.0)
        below = tf.gather(self._levels, above - 1)
        level = below + share * (self._levels[1] - self._levels[0])
        field = tf.gather(self._fields, drawing)
        return tf.sigmoid((level[:, None, None] - field) / _EDGE)[..., None]


def load_or_choose(path, make):
    """The templates in a file; makes them first if it is absent.

    Args:
        path: Name of the file, which ends in `.npz`.
        make: Function without arguments to `Templates`, such as a call of `choose`.
    """

    def write():
        made = make()
        files.write_whole(
            path,
            lambda name: np.savez(name, drawings=made.drawings, bounds=made.bounds),
        )

    files.make_once(path, write)
    with np.load(path) as known:
        return Templates(known["drawings"], known["bounds"])


def fingerprint(images):
    """A hash of all that decides what `choose` returns, but for judges and seed.

    Args:
        images: uint8 array `[M, S, S, C]`, the training images.
    """
    settings = (
        (_EXAMPLES, _POOL, _STRETCHES, _SHEARS, _CLASSES),
        (_FIRST_SOURCES, _SOURCES, _FINALISTS, _DOUBT, _EDGE),
    )
    text = f"{puzzle_images.fingerprint(images)} {settings}"
    return hashlib.sha256(text.encode()).hexdigest()


def choose(images, labels, n_labels, grid, judges, seed=0):
    """Chooses the drawings of each label: those whose assemblies convince judges most.

    Candidates are typical images of the label, also stretched and sheared. Pieces of other
    digits with the ink of a class, all from training images, are matched with each; the
    judges' mean log-probability of the label decides, from their logits divided by 4.

    Args:
        images: uint8 array `[M, S, S, C]`, the training images.
        labels: int array `[M]`.
        n_labels: K, the number of labels.
        grid: Pieces along a side.
        judges: List of `judge.Judge`.
        seed: Seed of the images that are tried.

    Returns:
        `Templates`.

    Raises:
        UserError: If a label has no image.
    """
    counts = np.bincount(labels, minlength=n_labels)
    if not counts.all():
        raise UserError(
            "--recipe=template needs training images of every label. Received: none of "
            f"label {np.argmin(counts)}"
        )
    rng, drawings = np.random.default_rng(seed), []
    bounds = bounds_of_ink(images)
    classes = np.searchsorted(bounds, _ink(images), side="right")
    n_classes = len(bounds) + 1
    print(f"choosing {n_labels * n_classes} templates", file=sys.stderr)
    with progress.Bar(0, n_labels * n_classes) as bar:
        for label in range(n_labels):
            own = np.flatnonzero(labels == label)
            own = rng.choice(own, min(_POOL, len(own)), replace=False)
            candidates = _candidates(_grey(images[own]))
            for k in range(n_classes):
                other = np.flatnonzero((labels != label) & (classes == k))
                # Among few images, the class may have none.
                other = other if len(other) else np.flatnonzero(labels != label)
                other = rng.choice(other, min(_SOURCES, len(other)), replace=False)
                pieces = cutting.cut(images[other] / np.float32(255), grid).numpy()
                drawing, sure = _best(candidates, pieces, label, grid, judges)
                drawings.append(drawing)
                bar.show(len(drawings), template=sure)
    return Templates(
        np.reshape(drawings, (n_labels, n_classes, *drawings[0].shape)), bounds
    )


def bounds_of_ink(images):
    """The bounds between classes of ink, sums of pixels, a list.

    Args:
        images: uint8 array `[M, S, S, C]`, the training images.
    """
    # Inks are multiples of a step. Between two of them, no rounding of a sum, whose order
    # is that of the pieces, takes an image to another class.
    step = 1 / (255 * images.shape[-1])
    bounds = np.quantile(_ink(images), _CLASSES)
    # Equal bounds, of equal images, are one bound.
    return np.unique((np.ceil(bounds / step - 1e-3) - 0.5) * step).tolist()


def _ink(images):
    return images.sum(axis=(1, 2, 3), dtype=np.int64) / (255 * images.shape[-1])


def _candidates(images):
    return [
        _changed(example, stretch, shear)
        for example in _typical(images, _EXAMPLES)
        for stretch in _STRETCHES
        for shear in _SHEARS
    ]


def _best(candidates, pieces, label, grid, judges):
    """The best of candidates for a label, and how sure the judges are of it."""
    first = _sureness(candidates, pieces[:_FIRST_SOURCES], label, grid, judges)
    order = np.argsort(-first, kind="stable")
    finalists = [candidates[k] for k in order[:_FINALISTS]]
    scores = _sureness(finalists, pieces, label, grid, judges)
    best = int(np.argmax(scores))
    return finalists[best], float(scores[best])


def _sureness(drawings, pieces, label, grid, judges):
    """How sure judges are of a label in what each drawing makes of pieces: `[drawings]`."""
    assembled = tf.concat([_assembled(x, pieces, grid) for x in drawings], axis=0)
    sure = 0.0
    for judge in judges:
        # Large batches: a nearest neighbour reads all that it knows for each of them.
        said = tf.concat(
            [
                logits(judge.network, assembled[start : start + _BATCH])
                for start in range(0, len(assembled), _BATCH)
            ],
            axis=0,
        )
        sure += tf.nn.log_softmax(said / _DOUBT)[:, label].numpy() / len(judges)
    return sure.reshape(len(drawings), len(pieces)).mean(axis=1)


def _assembled(drawing, pieces, grid):
    """Pieces `[b, N, h, w, C]` put together as a template of a drawing `[S, S]`."""
    ink = pieces.mean(axis=-1).sum(axis=(1, 2, 3))
    template = Templates(drawing[None, None], [])
    wanted = template.images(ink, tf.zeros(len(ink), tf.int32))
    return cutting.join(_matched(pieces, cutting.cut(wanted, grid)), grid)


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
