"""Judges of digits: classifiers that say what an assembled image shows.

Judges see whole images of the dataset alone, and no network that they judge learns from
what they say; two of them choose templates, see `templates`. They are kept in directories of
their own, where every later run finds them.
"""

import dataclasses
import math
import os
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from pipelines.assembly import judge_networks
from pipelines.assembly.config import JUDGES
from pipelines.assembly.images import load_labelled
from pipelines.assembly.judge_networks import SIDE
from pipelines.shared import datasets, files, options
from pipelines.shared.errors import UserError
from pipelines.shared.input_pipeline import batches
from pipelines.shared.options import Options, option
from pipelines.shared.training import export, metrics_file, run, run_directory, trainer
from pipelines.shared.training.config import TrainingConfig
from pipelines.shared.training.experiment import FunctionTask

_BATCH = 128


class Kind(NamedTuple):
    """A kind of judge.

    Attributes:
        network: Function of channels, labels and a seed to a network; None for the
            nearest neighbour, which is not trained.
        seed: The seed of its training; it does not depend on those that it judges.
        learning_rate: The highest rate of its training.
    """

    network: Callable[[int, int, int], keras.Model] | None
    seed: int
    learning_rate: float = 1e-3


KINDS = {
    "convolutional": Kind(judge_networks.convolutional, 0),
    "dense": Kind(judge_networks.dense, 1),
    "nearest": Kind(None, 2),
    "transformer": Kind(judge_networks.transformer, 3, 2e-3),
    "strided": Kind(judge_networks.strided, 4),
}
_FIRST = JUDGES[0]


class Judge(NamedTuple):
    """A member of the panel.

    Attributes:
        name: Its kind, a key of `KINDS`.
        network: Keras model from images `[B, 28, 28, C]` in [0, 1] to logits.
        scores: Dict of its `accuracy` on the test split, and `n_examples`.
    """

    name: str
    network: keras.Model
    scores: dict


def logits(network, images):
    """The logits of a judge's network, `[B, n_labels]`.

    Args:
        network: The network.
        images: float `[B, S, S, C]` in [0, 1], of any size.
    """
    if images.shape[1] != SIDE:
        images = tf.image.resize(images, [SIDE, SIDE], antialias=True)
    return network(images, training=False)


def classify(network, images):
    """Classifies images by a judge's network; returns the labels, int32 `[B]`."""
    return tf.argmax(logits(network, images), axis=1, output_type=tf.int32)


@dataclasses.dataclass(frozen=True)
class JudgeConfig(Options):
    """The settings that tell one judge from another."""

    workdir: str | None = option(None, "Directory of the judge.", is_recorded=False)
    resume: bool = option(False, "Go on with its training.", is_recorded=False)
    dataset: str = option("mnist", "The dataset of the digits that it knows.")
    judge_steps: int | None = option(
        None, "Steps of its training.", lower=1, may_change=True
    )
    kind: str = option(_FIRST, "Its kind.", choices=tuple(KINDS))
    seed: int = option(0, "Seed of its training.", lower=0)


def load_or_train_panel(names, directory, images, steps=None):
    """Loads judges, and trains those that are absent or unfinished.

    Args:
        names: Keys of `KINDS`.
        directory: The directory of the first kind; the others are beside it, with their
            names at its end.
        images: `ImagesConfig`, for the digits that the judges know.
        steps: Steps of their trainings, or None for six epochs, at least 400.

    Returns:
        List of `Judge`.
    """
    directories = [directory if k == _FIRST else f"{directory}_{k}" for k in names]
    return [
        load_or_train_judge(workdir, images, steps, name)
        for name, workdir in zip(names, directories, strict=True)
    ]


def load_or_train_judge(workdir, images, steps=None, kind=_FIRST):
    """Loads the judge in a directory; trains it first if it is absent or unfinished.

    Args:
        workdir: The directory of the judge.
        images: `ImagesConfig`, for the digits that the judge knows.
        steps: Steps of its training, or None for six epochs, at least 400. A nearest
            neighbour takes none.
        kind: A key of `KINDS`.

    Returns:
        `Judge`.

    Raises:
        UserError: If the directory holds another network, another kind of judge, a judge
            of other images, or one that was trained for another number of steps.
    """
    steps = steps if KINDS[kind].network else None
    source = datasets.source(images.dataset)
    path = os.path.join(workdir, "network.keras")
    if not os.path.exists(path):
        print(f"{workdir} has no judge yet: it is being trained", file=sys.stderr)
        run_directory.make(workdir)
        files.make_once(path, lambda: _train(workdir, source, images, steps, kind))
    scores = files.read_json(os.path.join(workdir, "metrics.json"))
    network, settings = export.load_network(workdir), scores.get("flags", {})
    if network.name != "judge" or settings.get("dataset") != source.name:
        raise UserError(f"Not a judge of {source.name}. Received: --judge={workdir}")
    # The first kind had no name when it was the only one.
    found = settings.get("kind", _FIRST)
    if found != kind:
        raise UserError(
            f"Not a {kind} judge but a {found} one. Received: --judge={workdir}"
        )
    if steps not in (None, settings["judge_steps"]):
        raise UserError(
            f"The judge in {workdir} was trained for {settings['judge_steps']} steps; "
            f"for another one give another --judge. Received: --judge_steps={steps}"
        )
    scores = {name: scores[name] for name in ("accuracy", "n_examples")}
    return Judge(kind, network, scores)


def _train(workdir, source, images, steps, kind):
    """Trains a judge, or goes on with its training, and writes it with its scores."""
    fitted_on = load_labelled(images, "train", SIDE)
    make, seed, learning_rate = KINDS[kind]
    if make:
        steps = steps or max(math.ceil(6 * len(fitted_on.images) / _BATCH), 400)
    config = JudgeConfig(
        workdir=workdir,
        resume=bool(trainer.checkpoints(workdir)),
        dataset=source.name,
        judge_steps=steps,
        kind=kind,
        seed=seed,
    )
    metrics = os.path.join(workdir, "metrics.json")
    if not make and os.path.exists(metrics):
        # It was stopped before its network was written, and has no checkpoints.
        os.remove(metrics)
    run.seed_everything(config)
    run_directory.start(config, workdir)
    if make:
        judge, seconds = _fit(config, source, images, fitted_on, learning_rate)
    else:
        judge, seconds = (
            judge_networks.nearest(fitted_on.images, fitted_on.labels, source.n_labels),
            0.0,
        )
    test, started = load_labelled(images, "test", SIDE), time.monotonic()
    scores = {"accuracy": _accuracy(judge, test), "n_examples": len(test.images)}
    metrics_file.write_metrics(
        metrics,
        scores,
        options.recorded(config),
        time.monotonic() - started,
        seconds,
    )
    # The network is written last: where it is, the judge is complete.
    files.write_whole(os.path.join(workdir, "network.keras"), judge.save)


def _fit(config, source, images, fitted_on, learning_rate):
    """Trains the network of a judge; returns it with the seconds that it took."""
    make, seed = KINDS[config.kind].network, config.seed
    held_out = load_labelled(images, "validation", SIDE)
    training = trainer.Trainer(
        FunctionTask(
            lambda: _with_short_averages(
                make(source.channels, source.n_labels, seed), config.judge_steps
            ),
            _losses,
            _examples(fitted_on),
            lambda judge: 1 - _accuracy(judge, held_out),
        ),
        TrainingConfig(
            steps=config.judge_steps,
            batch_size=_BATCH,
            learning_rate=learning_rate,
            seed=seed,
            # A compiled convolution is slower on a CPU.
            jit_compile="none",
        ),
        tf.distribute.get_strategy(),
        config.workdir,
    )
    return training.run(), training.seconds


def _with_short_averages(network, steps):
    """The network, whose moving averages span a tenth of its training at most.

    In 400 steps the usual .99 does not settle: of the embedded digits it left .60 right,
    the tenth .97.
    """
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = min(layer.momentum, max(1 - 10 / steps, 0.0))
    return network


def _losses(judge, batch):
    return tf.nn.sparse_softmax_cross_entropy_with_logits(
        batch["label"], judge(batch["image"], training=True)
    )


def _examples(images):
    """Makes the function `(plan, context)` to the batches of a training."""
    # Batches are made on the CPU.
    with tf.device("CPU"):
        pixels, labels = tf.constant(images.images), tf.constant(images.labels)

    def example(step, position, index):
        image = tf.image.convert_image_dtype(tf.gather(pixels, index), tf.float32)
        return {"image": image, "label": tf.gather(labels, index)}

    index = np.arange(len(images.labels))
    return lambda plan, context: batches.batches_from(index, example, plan, context)


def _accuracy(judge, images, batch_size=500):
    right = 0
    for start in range(0, len(images.images), batch_size):
        part = slice(start, start + batch_size)
        image = tf.image.convert_image_dtype(images.images[part], tf.float32)
        right += int(np.sum(classify(judge, image).numpy() == images.labels[part]))
    return right / len(images.labels)
