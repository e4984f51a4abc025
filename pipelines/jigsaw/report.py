"""The report of a run on jigsaw puzzles: scores, pictures, and lines on the terminal."""

import math
import os
import tempfile
import time

import keras
import numpy as np
import tensorflow as tf

from pipelines.jigsaw import evaluation, figures
from pipelines.shared import datasets, options
from pipelines.shared.errors import UserError
from pipelines.shared.files import read_json
from pipelines.shared.puzzles import batches
from pipelines.shared.puzzles.config import (
    check_channels,
    evaluation_config,
    evaluation_suffix,
)
from pipelines.shared.puzzles.images import load_images
from pipelines.shared.training import export, metrics_file, profiling
from pipelines.shared.training.trainer import Trainer

# The number of puzzles in a picture.
_DRAWN = 6


def as_puzzles(images, config):
    """The puzzles to measure on, made of `datasets.Images`: a `tf.data.Dataset`."""
    return batches.evaluation_puzzles(
        images.images,
        images.file_order,
        grid=config.grid,
        batch_size=config.images.evaluation_batch_size,
        margin=config.erode,
    )


def evaluate_run(config, explicit_names):
    """Measures the network of a finished run on `--dataset` and `--split`.

    Args:
        config: `JigsawConfig`.
        explicit_names: The names of the settings that the command line sets.
    """
    workdir = config.images.evaluate
    network = export.load_network(workdir)
    if len(network.inputs[0].shape) != 5:
        raise UserError(f"Not a run of pipelines.jigsaw. Received: {workdir}")
    earlier = read_json(os.path.join(workdir, "flags.json"))
    config, recorded = evaluation_config(config, explicit_names, earlier, ["erode"])
    config = config.replace(grid=math.isqrt(network.inputs[0].shape[1]))
    check_channels(config.images, network)
    recorded["mirrored"] = config.mirrored
    suffix = evaluation_suffix(config.images)
    if config.mirrored:
        suffix += "_mirrored"
    _measure(network, config, recorded, config.images.split, workdir, suffix)


def report(network, config, identity, split, workdir, suffix, seconds=None):
    """Measures, prints and draws a run that has just been trained.

    Args:
        network: The Keras model.
        config: `JigsawConfig`.
        identity: Dict of the facts that tell the run from others beside its settings.
        split: The split to measure on.
        workdir: The run directory.
        suffix: The end of the names of files.
        seconds: Seconds of the training.
    """
    recorded = options.recorded(config) | identity
    _measure(network, config, recorded, split, workdir, suffix, seconds)


def _measure(network, config, recorded, split, workdir, suffix, seconds=None):
    """Measures a network, prints, and writes metrics and pictures.

    The files are `metrics<suffix>.json`, and pictures of the first puzzles (the last of
    them one with wrong pieces, if there is any), of those solved best and of those solved worst: `puzzles<suffix>.png`, `best...`, `worst...`.
    """
    if config.mirrored:
        network = with_mirrored(network)
    side, grid = network.inputs[0].shape[2], config.grid
    source = datasets.source(config.images.dataset)
    images = load_images(config.images, split, grid * (side + 2 * config.erode))
    started = time.monotonic()
    evaluator = evaluation.Evaluator(network)
    examples = evaluator.examples(as_puzzles(images, config))
    scores = evaluation.summary(examples, grid**2)
    metrics = os.path.join(workdir, f"metrics{suffix}.json")
    evaluated = time.monotonic() - started
    metrics_file.write_metrics(metrics, scores, recorded, evaluated, seconds)
    order = evaluation.ranking(examples)
    first = evaluation.first_puzzles(examples, _DRAWN)
    shown = {"puzzles": first, "best": order, "worst": order[::-1]}
    pictures = []
    for name, chosen in shown.items():
        some = datasets.Images(*(x[chosen[:_DRAWN]] for x in images[:2]), 0)
        pictures.append(os.path.join(workdir, f"{name}{suffix}.png"))
        puzzle = next(iter(as_puzzles(some, config)))
        figures.draw(network, puzzle, config.training.last_temperature, pictures[-1])
    print(f"\nJigsaw {grid}x{grid}, {source.name} {split}")
    print(evaluation.table(scores))
    print(f"Metrics: {metrics}\nPictures: {', '.join(pictures)}")


def profile(experiment):
    """Times the parts of a training step and prints them; leaves no file.

    Args:
        experiment: `JigsawExperiment`.
    """
    with tempfile.TemporaryDirectory() as workdir:
        strategy = tf.distribute.get_strategy()
        trainer = Trainer(experiment, experiment.training, strategy, workdir)
        seconds = profiling.profile(trainer.parts())
    print(profiling.table(profiling.rates(seconds, experiment.training.batch_size)))


def with_mirrored(network):
    """A network that averages the logits of a puzzle with those of its mirror image."""
    pieces = keras.Input(network.input_shape[1:], name="pieces")
    grid = math.isqrt(network.output_shape[-1])
    # The places to which positions go when the image is mirrored left to right.
    columns = np.arange(grid**2).reshape(grid, grid)[:, ::-1].ravel()
    mirrored = network(keras.ops.flip(pieces, axis=3))
    logits = (network(pieces) + keras.ops.take(mirrored, columns, axis=2)) / 2
    return keras.Model(pieces, logits)
