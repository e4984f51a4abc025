"""A judge of digits: the two-layer convolutional network of TensorFlow's tutorial.

Convolutions of 32 and 64 filters with max pooling, a dense layer of 1,024 and dropout.
The judge is trained on whole images alone, takes no part in any other training, and is
kept in a directory of its own, where every later run finds it.
"""

import dataclasses
import fcntl
import math
import os
import sys
import time

import keras
import numpy as np
import tensorflow as tf

from pipelines.assembly.images import load_labelled
from pipelines.shared import datasets, files, options
from pipelines.shared.errors import UserError
from pipelines.shared.input_pipeline import batches
from pipelines.shared.options import Options, option
from pipelines.shared.training import export, metrics_file, run, run_directory, trainer
from pipelines.shared.training.config import TrainingConfig
from pipelines.shared.training.experiment import FunctionTask

SIDE = 28

_BATCH = 128
# The seed of the judge does not depend on that of the training that it judges.
_SEED = 0


def network(channels, n_labels):
    """A Keras model from images `[B, 28, 28, C]` in [0, 1] to logits `[B, n_labels]`."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((SIDE, SIDE, channels), name="image"),
            layers.Conv2D(32, 5, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 5, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(1024, activation="relu"),
            layers.Dropout(0.5, seed=_SEED),
            layers.Dense(n_labels),
        ],
        name="judge",
    )


def classify(judge, images):
    """Classifies images by a judge; returns the labels, int32 `[B]`.

    Args:
        judge: The network.
        images: float `[B, S, S, C]` in [0, 1], of any size.
    """
    if images.shape[1] != SIDE:
        images = tf.image.resize(images, [SIDE, SIDE], antialias=True)
    return tf.argmax(judge(images, training=False), axis=1, output_type=tf.int32)


@dataclasses.dataclass(frozen=True)
class JudgeConfig(Options):
    """The settings that tell one judge from another."""

    workdir: str | None = option(None, "Directory of the judge.", is_recorded=False)
    resume: bool = option(False, "Go on with its training.", is_recorded=False)
    dataset: str = option("mnist", "The dataset of the digits that it knows.")
    judge_steps: int | None = option(
        None, "Steps of its training.", lower=1, may_change=True
    )
    seed: int = option(_SEED, "Seed of its training.", lower=0)


def load_or_train_judge(workdir, images, steps=None):
    """Loads the judge in a directory; trains it first if it is absent or unfinished.

    Args:
        workdir: The directory of the judge.
        images: `ImagesConfig`, for the digits that the judge knows.
        steps: Steps of its training, or None for six epochs, at least 400.

    Returns:
        The network, and its scores: `accuracy` on the test split, `n_examples`.

    Raises:
        UserError: If the directory holds another network, a judge of other images, or
            one that was trained for another number of steps.
    """
    source = datasets.source(images.dataset)
    path = os.path.join(workdir, "network.keras")
    if not os.path.exists(path):
        print(f"{workdir} has no judge yet: it is being trained", file=sys.stderr)
        run_directory.make(workdir)
        # If several runs need the judge, one trains it and the others wait.
        with open(os.path.join(workdir, ".lock"), "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not os.path.exists(path):
                _train(workdir, source, images, steps)
    scores = files.read_json(os.path.join(workdir, "metrics.json"))
    judge, settings = export.load_network(workdir), scores.get("flags", {})
    if judge.name != "judge" or settings.get("dataset") != source.name:
        raise UserError(f"Not a judge of {source.name}. Received: --judge={workdir}")
    if steps not in (None, settings["judge_steps"]):
        raise UserError(
            f"The judge in {workdir} was trained for {settings['judge_steps']} steps; "
            f"for another one give another --judge. Received: --judge_steps={steps}"
        )
    return judge, {name: scores[name] for name in ("accuracy", "n_examples")}


def _train(workdir, source, images, steps):
    """Trains a judge, or goes on with its training, and writes it with its scores."""
    fitted_on = load_labelled(images, "train", SIDE)
    steps = steps or max(math.ceil(6 * len(fitted_on.images) / _BATCH), 400)
    config = JudgeConfig(
        workdir=workdir,
        resume=bool(trainer.checkpoints(workdir)),
        dataset=source.name,
        judge_steps=steps,
    )
    run.seed_everything(config)
    run_directory.start(config, workdir)
    held_out = load_labelled(images, "validation", SIDE)
    training = trainer.Trainer(
        FunctionTask(
            lambda: network(source.channels, source.n_labels),
            _losses,
            _examples(fitted_on),
            lambda judge: 1 - _accuracy(judge, held_out),
        ),
        TrainingConfig(
            steps=steps,
            batch_size=_BATCH,
            learning_rate=1e-3,
            seed=_SEED,
            # A compiled convolution is slower on a CPU.
            jit_compile="none",
        ),
        tf.distribute.get_strategy(),
        workdir,
    )
    judge = training.run()
    test, started = load_labelled(images, "test", SIDE), time.monotonic()
    scores = {"accuracy": _accuracy(judge, test), "n_examples": len(test.images)}
    metrics_file.write_metrics(
        os.path.join(workdir, "metrics.json"),
        scores,
        options.recorded(config),
        time.monotonic() - started,
        training.seconds,
    )
    # The network is written last: where it is, the judge is complete.
    files.write_whole(os.path.join(workdir, "network.keras"), judge.save)


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
