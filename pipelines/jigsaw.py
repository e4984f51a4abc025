"""Jigsaw puzzles of images (Mena et al. 2018, section 4.2, table 2).

    python -m pipelines.jigsaw                               # embedded digits, 2x2
    python -m pipelines.jigsaw --dataset=mnist --grid=3
    python -m pipelines.jigsaw --flagfile=configs/NAME.cfg
    python -m pipelines.jigsaw --evaluate=WORKDIR --split=test
    python -m pipelines.jigsaw --flagfile=configs/NAME.cfg --profile

Trains a network to put scrambled pieces back, measures it with hard matchings on
held-out images, and leaves in the run directory `metrics.json`, `puzzles.png`,
`network.keras` and the SavedModel `solver/1`.
"""

import hashlib
import math
import os
import sys
import tempfile
import time

import keras
import numpy as np
import tensorflow as tf
from absl import flags

import sinkhorn_tf as st
from pipelines import (
    datasets,
    distribution,
    evaluation,
    figures,
    images,
    losses,
    networks,
    profiling,
    puzzles,
    runs,
    training,
)
from pipelines.errors import UserError

FLAGS = flags.FLAGS

flags.DEFINE_integer("grid", 2, "Pieces along a side.", lower_bound=1, upper_bound=32)
flags.DEFINE_integer(
    "erode", 0, "Pixels taken off each side of a piece: pieces do not meet.", 0
)
flags.DEFINE_bool("offset", False, "In training erode more on some sides than others.")
flags.DEFINE_bool("crop", True, "Training photographs are random crops of larger ones.")
flags.DEFINE_bool("mirror", True, "Half of the training photographs are mirrored.")
flags.DEFINE_float("rotation", 0.0, "Largest random rotation, in degrees.", 0, 180)
flags.DEFINE_float(
    "color", 0.0, "Largest random change of brightness, contrast, saturation.", 0, 1
)
flags.DEFINE_enum(
    "network",
    "context",
    ["context", "paper"],
    "context: the pieces see each other (by default --loss=cross_entropy, "
    "--learning_rate=0.001, --noise_scale=0); paper: each piece alone (reconstruction, "
    "0.02, 1).",
)
flags.DEFINE_integer("filters", 64, "paper: filters of the convolution.", lower_bound=1)
flags.DEFINE_integer(
    "kernel_size", 7, "paper: side of the convolution's kernel.", lower_bound=1
)
flags.DEFINE_integer("width", 64, "context: size of a piece's vector.", lower_bound=1)
flags.DEFINE_integer("depth", 4, "context: blocks of attention.", lower_bound=0)
flags.DEFINE_integer("heads", 8, "context: heads of attention.", lower_bound=1)
flags.DEFINE_integer(
    "edge_scales",
    1,
    "context: compare edges of 1, 2, 4, ... pixels, so many; 0: no edges.",
    lower_bound=0,
    upper_bound=6,
)
flags.DEFINE_enum(
    "loss",
    None,
    ["reconstruction", "cross_entropy"],
    "Of the softly restored image (Mena et al. 2018, eq. 5), or of the soft permutation "
    "with the true one.",
)
flags.DEFINE_bool(
    "mirrored",
    False,
    "In evaluation average the logits with those of the mirror image.",
)
flags.DEFINE_bool("profile", False, "Only time the parts of a training step.")
runs.define_training_flags(
    steps=1000,
    batch_size=64,
    learning_rate=None,
    warmup_steps=100,
    averaging=0.99,
    weight_decay=0.0,
    validate_every=500,
    checkpoint_every=250,
    temperature=1.0,
    n_iters=20,
    noise_scale=None,
    n_samples=1,
    seed=0,
    # On a CPU a compiled convolution takes twice the time of a plain one.
    jit_compile="operator",
)
flags.adopt_module_key_flags(runs)
flags.adopt_module_key_flags(images)

# Puzzles in a picture.
_DRAWN = 10
# What a flag is if it is not given.
_OF_NETWORK = {
    "paper": {"loss": "reconstruction", "learning_rate": 0.02, "noise_scale": 1.0},
    "context": {"loss": "cross_entropy", "learning_rate": 0.001, "noise_scale": 0.0},
}


def main():
    if FLAGS.evaluate is not None:
        return evaluate_run(FLAGS.evaluate)
    complete_flags()
    check_flags()
    source, size, training_images = data = training_data()
    said = f"{len(training_images):,} training images, puzzles of {size} x {size} px"
    print(f"{source.name}: {said}", file=sys.stderr)
    if FLAGS.profile:
        with tempfile.TemporaryDirectory() as workdir:
            trainer = make_trainer(*data, workdir)
            seconds = profiling.profile(trainer.parts())
        return print(profiling.table(profiling.rates(seconds, FLAGS.batch_size)))
    values = run_flags(*data)
    name = f"{source.file_name}_{FLAGS.grid}x{FLAGS.grid}_{FLAGS.network}"
    workdir = runs.start(values, f"runs/jigsaw_{name}")
    trainer = make_trainer(*data, workdir)
    network, seconds = trainer.run(), trainer.seconds
    if not distribution.is_chief():
        return
    network = networks.keep(network, workdir)
    report(network, source, "test", workdir, "", values, seconds)
    if FLAGS.export:
        print(f"SavedModel: {export(network, workdir)}")


def complete_flags():
    """Gives the flags that were not given the values that suit `--network`."""
    for name, value in _OF_NETWORK[FLAGS.network].items():
        if FLAGS[name].value is None:
            FLAGS[name].value = value


def check_flags():
    """Raises UserError where flags do not fit one another."""
    images.check_split()
    if FLAGS.network == "context" and FLAGS.width % FLAGS.heads:
        raise UserError(
            f"--width must be a multiple of --heads={FLAGS.heads}. "
            f"Received: --width={FLAGS.width}"
        )
    if FLAGS.profile and FLAGS.distribute != "none":
        raise UserError(
            f"--profile is for one device. Received: --distribute={FLAGS.distribute}"
        )


def training_data():
    """What a training needs beside its flags.

    Returns:
        The `datasets.Source`, the side of the puzzles in pixels, and the images.
    """
    source = datasets.source(FLAGS.dataset)
    size = image_size(source, FLAGS.grid, FLAGS.image_size)
    found = images.load(source, "train", stored_size(source, size))
    return source, size, found.images


def run_flags(source, size, training_images):
    """The flags that describe a run on `training_data`, a dict."""
    values = runs.key_flags(sys.modules[__name__], images, runs)
    # So that a run is not resumed on other images.
    values["training_images"] = hashlib.sha256(training_images).hexdigest()
    return values


def image_size(source, grid, size):
    """`images.image_size`; raises UserError too where `--erode` leaves nothing."""
    size = images.image_size(source, grid, size)
    if size // grid <= 2 * FLAGS.erode:
        raise UserError(
            f"--erode leaves nothing of pieces of {size // grid} pixels. "
            f"Received: --erode={FLAGS.erode}"
        )
    return size


def stored_size(source, size):
    """The side of training images: photographs are larger, as room for random crops."""
    return round(size * 9 / 8) if source.photographs and FLAGS.crop else size


def make_trainer(source, size, training_images, workdir):
    """The `training.Training` of a network, or of what was begun in `workdir`."""
    held_out = as_puzzles(images.load(source, "validation", size), FLAGS.grid)
    side = size // FLAGS.grid - 2 * FLAGS.erode
    return training.Training(
        lambda: st.networks.jigsaw_network(
            FLAGS.grid**2,
            (side, side, source.channels),
            FLAGS.network,
            filters=FLAGS.filters,
            kernel_size=FLAGS.kernel_size,
            width=FLAGS.width,
            depth=FLAGS.depth,
            heads=FLAGS.heads,
            edge_scales=FLAGS.edge_scales,
        ),
        example_losses,
        lambda first, last: puzzles.training_puzzles(
            training_images,
            grid=FLAGS.grid,
            size=size,
            batch_size=FLAGS.batch_size,
            first_step=first,
            last_step=last,
            seed=FLAGS.seed,
            served_by=runs.data_service(),
            margin=FLAGS.erode,
            augment=puzzles.Augmentation(
                mirror=source.photographs and FLAGS.mirror,
                rotation=FLAGS.rotation,
                color=FLAGS.color,
                offset=FLAGS.offset,
            ),
        ),
        lambda network: evaluation.evaluate(network, held_out)["proportion_wrong"],
        workdir=workdir,
        **runs.training_options(),
    )


def example_losses(network, batch):
    """The loss of `--loss`: `[b]`."""
    logits = network(batch["pieces"], training=True)
    soft = losses.soft_permutations(logits, batch)
    if FLAGS.loss == "cross_entropy":
        return losses.cross_entropy(soft, batch["perm"])
    return losses.reconstruction(soft, batch["pieces"], batch["target"])


def as_puzzles(found, grid):
    """The puzzles of `datasets.Images` to measure on, a `tf.data.Dataset`."""
    return puzzles.evaluation_puzzles(
        found.images,
        found.file_order,
        grid=grid,
        batch_size=FLAGS.evaluation_batch_size,
        margin=FLAGS.erode,
    )


def evaluate_run(workdir):
    """Measures the network of a finished run on `--dataset` and `--split`."""
    network = networks.load(workdir)
    if len(network.inputs[0].shape) != 5:
        raise UserError(f"Not a run of pipelines.jigsaw. Received: {workdir}")
    values, source = images.evaluation_flags(workdir, network, "erode")
    values["mirrored"] = FLAGS.mirrored
    suffix = images.evaluation_suffix(source) + "_mirrored" * FLAGS.mirrored
    report(network, source, FLAGS.split, workdir, suffix, values)


def report(network, source, split, workdir, suffix, values, seconds=None):
    """Measures, prints and draws.

    Writes `metrics<suffix>.json`, and pictures of the first puzzles, of those solved
    best, and of those solved worst: `puzzles<suffix>.png`, `best...`, `worst...`.
    """
    if FLAGS.mirrored:
        network = with_mirrored(network)
    _, n, side, _, _ = network.inputs[0].shape
    grid = math.isqrt(n)
    size = grid * (side + 2 * FLAGS.erode)
    found = images.load(source, split, size)
    started = time.monotonic()
    examples = evaluation.examples(network, as_puzzles(found, grid))
    scores = evaluation.summary(examples, n)
    metrics = os.path.join(workdir, f"metrics{suffix}.json")
    runs.write_metrics(metrics, scores, values, time.monotonic() - started, seconds)
    order = evaluation.ranking(examples)
    shown = {"puzzles": np.arange(len(order)), "best": order, "worst": order[::-1]}
    pictures = []
    for name, chosen in shown.items():
        some = datasets.Images(*(x[chosen[:_DRAWN]] for x in found[:2]), 0)
        pictures.append(os.path.join(workdir, f"{name}{suffix}.png"))
        draw(network, next(iter(as_puzzles(some, grid))), pictures[-1])
    print(f"\nJigsaw {grid}x{grid}, {source.name} {split}")
    print(evaluation.table(scores))
    print(f"Metrics: {metrics}\nPictures: {', '.join(pictures)}")


def with_mirrored(network):
    """A network whose logits are averaged with those of the mirrored puzzle."""
    pieces = keras.Input(network.input_shape[1:], name="pieces")
    grid = math.isqrt(network.output_shape[-1])
    # Where a position goes when the image is mirrored left to right.
    columns = np.arange(grid**2).reshape(grid, grid)[:, ::-1].ravel()
    mirrored = network(keras.ops.flip(pieces, axis=3))
    logits = (network(pieces) + keras.ops.take(mirrored, columns, axis=2)) / 2
    return keras.Model(pieces, logits)


def draw(network, puzzle, path):
    """Draws scrambled, soft, hard and original images (SN figure 1a)."""
    pieces, target = puzzle["pieces"], puzzle["target"]
    logits = network(pieces, training=False)
    grid = math.isqrt(pieces.shape[1])
    image = lambda x: puzzles.join(x, grid).numpy()
    rows = {"scrambled": image(pieces)}
    for factor in (5, 1, 0.2):
        t = losses.final_temperature() * factor
        # At low temperatures --n_iters leave rows far from a sum of 1.
        soft = st.sinkhorn(logits, t, 1000, tolerance=1e-2)
        rows[f"soft, t = {t:g}"] = image(st.Restore()([soft, pieces]))
    hard = st.permutations.apply(st.matching(logits), pieces)
    rows["hard"] = image(hard)
    rows["original"] = image(target)
    wrong = tf.reduce_any(hard != target, axis=[2, 3, 4]).numpy()
    figures.image_rows(path, rows, frames={"hard": wrong}, grid=grid)


def export(network, workdir):
    """`networks.export` with the signature `solve_image`."""
    _, n, height, width, channels = network.inputs[0].shape
    grid, margin = math.isqrt(n), FLAGS.erode

    def solve_image(solve, image):
        pieces = puzzles.cut(image, grid)
        answer = solve(puzzles.erode(pieces, margin))
        restored = st.permutations.apply(answer["permutation"], pieces)
        return {**answer, "restored": puzzles.join(restored, grid)}

    height, width = (grid * (side + 2 * margin) for side in (height, width))
    spec = tf.TensorSpec([None, height, width, channels], tf.float32, name="image")
    signatures = {"solve_image": (solve_image, spec)}
    return networks.export(network, workdir, losses.final_temperature(), signatures)


if __name__ == "__main__":
    runs.main(main)
