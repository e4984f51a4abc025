"""Assembly of digits from the loose pieces of any digit.

Mena et al. (2018), section 4.3 and figure 1b.

    python -m pipelines.assembly                             # embedded digits, 4x4
    python -m pipelines.assembly --flagfile=configs/assembly_mnist.cfg
    python -m pipelines.assembly --dataset=mnist --judge_only
    python -m pipelines.assembly --evaluate=WORKDIR

Trains a network with an output layer for each digit, has every test digit's pieces
assembled as every digit, and a judge, a classifier that takes no part in the training,
say which it takes for what they should be. Leaves in the run directory `metrics.json`,
`assembly.png`, `network.keras` and the SavedModel `solver/1`.
"""

import functools
import hashlib
import math
import os
import sys
import time

import keras
import numpy as np
import tensorflow as tf
from absl import flags

import sinkhorn_tf as st
from pipelines import (
    acceptance,
    datasets,
    distribution,
    figures,
    images,
    judge,
    losses,
    networks,
    puzzles,
    runs,
    training,
)
from pipelines.errors import UserError
from pipelines.pairs import Pairs

FLAGS = flags.FLAGS

flags.DEFINE_integer(
    "grid",
    None,
    "Pieces along a side (default: 10 for mnist, 4 for digits).",
    lower_bound=1,
    upper_bound=32,
)
flags.DEFINE_enum(
    "recipe",
    "nearest",
    ["nearest", "own"],
    "nearest: each digit's layer also learns from other digits' pieces, to make of "
    "them one of --candidates images of its digit, the one most like them in content; "
    "own (the paper's): each learns to put the pieces of its own digit back.",
)
flags.DEFINE_integer(
    "candidates", 300, "nearest only: images to choose among, for each digit.", 1
)
flags.DEFINE_integer(
    "bold", 2, "nearest only: bolder copies of each image, candidates, too.", 0, 8
)
flags.DEFINE_integer("width", 128, "Size of a piece's vector.", lower_bound=1)
flags.DEFINE_integer("hidden", 2, "Dense layers that see a piece alone.", 1)
flags.DEFINE_integer("depth", 0, "Blocks of attention among the pieces.", 0)
flags.DEFINE_integer("heads", 8, "Heads of attention.", lower_bound=1)
flags.DEFINE_enum(
    "decode",
    "soft",
    ["soft", "logits"],
    "What hard assembly matches: the pieces with what they make softly, or (the "
    "paper's) the network's logits.",
)
flags.DEFINE_string("judge", None, "Directory of the judge (default: runs/judge_...).")
flags.DEFINE_bool("judge_only", False, "Only train the judge, if it is not there.")
flags.DEFINE_integer(
    "judge_steps", None, "Steps of the judge's training (default: 6 epochs).", 1
)
runs.define_training_flags(
    steps=1000,
    batch_size=64,
    learning_rate=0.004,
    warmup_steps=100,
    averaging=0.99,
    weight_decay=0.0,
    validate_every=500,
    checkpoint_every=250,
    temperature=1.0,
    n_iters=30,
    noise_scale=0.0,
    n_samples=1,
    seed=0,
    # On a CPU the whole step, with attention, takes seven times as long compiled.
    jit_compile="operator",
)
flags.adopt_module_key_flags(runs)
flags.adopt_module_key_flags(images)

# What --grid is if it is not given.
_GRIDS = {"mnist": 10, "digits": 4}

# Images of the validation split to choose the best weights by.
_HELD_OUT = 500


def main():
    if FLAGS.evaluate is not None:
        return evaluate_run(FLAGS.evaluate)
    images.check_split()
    complete_flags()
    source = datasets.source(FLAGS.dataset)
    check_flags(source)
    if FLAGS.judge_only:
        _, scores = obtain_judge(source)
        return print(
            f"Judge: {judge_directory(source)}\naccuracy {scores['accuracy']:.4f}, "
            f"{scores['n_examples']:,} examples"
        )
    size = images.image_size(source, FLAGS.grid, FLAGS.image_size)
    fitted_on = load(source, "train", size)
    print(
        f"{source.name}: {len(fitted_on.images):,} training images, pieces of "
        f"{size // FLAGS.grid} x {size // FLAGS.grid} px",
        file=sys.stderr,
    )
    values = runs.key_flags(sys.modules[__name__], images, runs)
    # So that a run is not resumed on other images.
    values["training_images"] = hashlib.sha256(fitted_on.images).hexdigest()
    workdir = runs.start(values, f"runs/assembly_{source.file_name}_{FLAGS.recipe}")
    # First, so that one that cannot be had is known before the training.
    found_judge = obtain_judge(source) if distribution.is_chief() else None
    # As if there had been no judge to load or to train.
    keras.utils.set_random_seed(FLAGS.seed)
    network, seconds = train(fitted_on, source, size, workdir)
    if not distribution.is_chief():
        return
    network = networks.keep(network, workdir)
    report(network, found_judge, source, "test", workdir, "", values, seconds)
    if FLAGS.export:
        print(f"SavedModel: {export(network, workdir)}")


def complete_flags():
    """Gives --grid, if it was not given, the value that suits the dataset."""
    if FLAGS.grid is None:
        FLAGS.grid = _GRIDS.get(FLAGS.dataset)


def check_flags(source):
    """Raises UserError where flags do not fit one another."""
    if not source.n_labels:
        known = [name for name, x in datasets.SOURCES.items() if x.n_labels]
        raise UserError(
            f"Assembly needs images with labels: {' or '.join(known)}. "
            f"Received: --dataset={FLAGS.dataset}"
        )
    if FLAGS.depth and FLAGS.width % FLAGS.heads:
        raise UserError(
            f"--width must be a multiple of --heads={FLAGS.heads}. "
            f"Received: --width={FLAGS.width}"
        )


def load(source, split, size):
    """The images of a split with their labels, `datasets.Images`."""
    found = images.load(source, split, size)
    if found.labels is None:
        raise UserError(f"{source.name} has no labels here. Received: split {split}")
    return found


def train(fitted_on, source, size, workdir):
    """Trains a network, or goes on with the training in `workdir`.

    Returns:
        The network, and the seconds that its training took.
    """
    pairs = Pairs(
        fitted_on.images,
        fitted_on.labels,
        grid=FLAGS.grid,
        candidates=FLAGS.candidates if FLAGS.recipe == "nearest" else 0,
        bold=FLAGS.bold,
    )
    validation = load(source, "validation", size)
    held_out = pairs.evaluation(
        validation.images[:_HELD_OUT], validation.labels[:_HELD_OUT]
    )
    side = size // FLAGS.grid
    trainer = training.Training(
        lambda: st.networks.assembly_network(
            FLAGS.grid**2,
            (side, side, source.channels),
            source.n_labels,
            width=FLAGS.width,
            hidden=FLAGS.hidden,
            depth=FLAGS.depth,
            heads=FLAGS.heads,
        ),
        reconstruction_losses,
        lambda first, last: pairs.training(
            batch_size=FLAGS.batch_size,
            first_step=first,
            last_step=last,
            seed=FLAGS.seed,
            served_by=runs.data_service(),
        ),
        lambda network: hard_error(network, held_out),
        workdir=workdir,
        **runs.training_options(),
    )
    return trainer.run(), trainer.seconds


def reconstruction_losses(network, batch):
    """The reconstruction error of SN eq. 5, a sum over pieces: `[b]`."""
    logits = network([batch["pieces"], batch["digit"]], training=True)
    soft = losses.soft_permutations(logits, batch)
    error = losses.reconstruction(soft, batch["pieces"], batch["target"])
    return FLAGS.grid**2 * error


def hard_error(network, pairs):
    """The mean squared error of hard reconstructions: what validation goes by."""
    scores, _ = assembler(network)([pairs["pieces"], pairs["digit"]], training=False)
    made = st.permutations.apply(st.matching(scores), pairs["pieces"])
    return float(tf.reduce_mean(tf.square(made - pairs["target"])))


def assembler(network):
    """A Keras model from `[pieces, digit]` to scores and to soft permutations.

    Scores are what hard assembly matches, by `--decode`. "logits": those of the network.
    "soft": how well a piece fits what all pieces make softly at a place. Their matching
    is the hard reconstruction that is nearest to the soft one.
    """
    pieces, digit = (
        keras.Input(x.shape[1:], name=x.name, dtype=x.dtype) for x in network.inputs
    )
    logits = network([pieces, digit])
    plan = st.SinkhornLayer(losses.final_temperature(), FLAGS.n_iters)(logits)
    if FLAGS.decode == "logits":
        return keras.Model([pieces, digit], [logits, plan])
    _, n, *shape = pieces.shape
    flat = keras.ops.reshape(pieces, (-1, n, math.prod(shape)))
    made = keras.ops.matmul(keras.ops.swapaxes(plan, 1, 2), flat)
    fit = keras.ops.matmul(flat, keras.ops.swapaxes(made, 1, 2))
    return keras.Model([pieces, digit], [fit, plan])


def judge_directory(source):
    """Where the judge of a source is kept."""
    return FLAGS.judge or os.path.join("runs", f"judge_{source.file_name}")


def obtain_judge(source):
    """The judge and its metrics, see `judge.obtained`."""
    return judge.obtained(
        judge_directory(source),
        source,
        lambda split: load(source, split, judge.SIDE),
        FLAGS.judge_steps,
    )


def evaluate_run(workdir):
    """Measures the network of a finished run on `--dataset` and `--split`."""
    network = networks.load(workdir)
    if len(network.inputs) != 2 or network.inputs[1].name != "digit":
        raise UserError(f"Not a run of pipelines.assembly. Received: {workdir}")
    values, source = images.evaluation_flags(workdir, network, "decode", "judge")
    check_flags(source)
    suffix = images.evaluation_suffix(source) + f"_{FLAGS.decode}"
    found_judge = obtain_judge(source)
    report(network, found_judge, source, FLAGS.split, workdir, suffix, values)


def report(network, found_judge, source, split, workdir, suffix, values, seconds=None):
    """Measures, prints and draws: `metrics<suffix>.json`, `assembly<suffix>.png`."""
    _, n, side, _, _ = network.inputs[0].shape
    grid = math.isqrt(n)
    found = load(source, split, grid * side)
    held_out = puzzles.evaluation_puzzles(
        found.images,
        found.file_order,
        grid=grid,
        batch_size=FLAGS.evaluation_batch_size,
    )
    classifier, of_judge = found_judge
    reconstruct = functools.partial(acceptance.reconstructions, assembler(network))
    started = time.monotonic()
    scores = acceptance.evaluate(
        reconstruct, classifier, held_out, found.labels, source.n_labels
    )
    scores["judge"] = of_judge
    metrics = os.path.join(workdir, f"metrics{suffix}.json")
    runs.write_metrics(metrics, scores, values, time.monotonic() - started, seconds)
    picture = os.path.join(workdir, f"assembly{suffix}.png")
    draw(reconstruct, found, grid, source.n_labels, picture)
    print(f"\nAssembly {grid}x{grid}, {source.name} {split}")
    print(f"judge: accuracy {of_judge['accuracy']:.4f}")
    print(acceptance.table(scores))
    print(f"Metrics: {metrics}\nPicture: {picture}")


def draw(reconstruct, found, grid, n_labels, path):
    """Draws the first image of each label made into every label (SN figure 1b)."""
    first = [np.argmax(found.labels == k) for k in range(n_labels) if k in found.labels]
    (puzzle,) = puzzles.evaluation_puzzles(
        found.images[first], found.file_order[first], grid=grid, batch_size=n_labels
    )
    made = reconstruct(
        tf.repeat(puzzle["pieces"], n_labels, axis=0),
        tf.tile(tf.range(n_labels), [len(first)]),
    )
    source = puzzles.join(puzzle["target"], grid).numpy()
    table = lambda x: x.numpy().reshape(-1, n_labels, *x.shape[1:])
    figures.image_tables(
        path,
        {
            "pieces of": source[:, None],
            "hard": table(made["hard"]),
            "soft": table(made["soft"]),
        },
        [str(label) for label in found.labels[first]],
    )


def export(network, workdir):
    """`networks.export`: what is matched are the scores of hard assembly, the plan is the
    network's soft permutation."""
    return networks.export(assembler(network), workdir, losses.final_temperature())


if __name__ == "__main__":
    runs.main(main)
