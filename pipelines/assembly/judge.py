"""A judge of digits: the two-layer convolutional network of TensorFlow's tutorial.

Convolutions of 32 and 64 filters with max pooling, a dense layer of 1,024 and dropout.
It is trained on whole images alone, takes no part in any other training, and is kept in
a directory of its own, where every later run finds it.
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
# Whatever the seed of what is judged.
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
    """The labels that a judge gives: int32 `[B]`.

    Args:
        judge: The network.
        images: float `[B, S, S, C]` in [0, 1], of any size.
    """
    if images.shape[1] != SIDE:
        images = tf.image.resize(images, [SIDE, SIDE], antialias=True)
    return tf.argmax(judge(images, training=False), axis=1, output_type=tf.int32)


@dataclasses.dataclass(frozen=True)
class JudgeConfig(Options):
    """What tells one judge from another."""

    workdir: str | None = option(None, "Directory of the judge.", is_recorded=False)
    resume: bool = option(False, "Go on with its training.", is_recorded=False)
    dataset: str = option("mnist", "The digits that it knows.")
    judge_steps: int | None = option(
        None, "Steps of its training.", lower=1, may_change=True
    )
    seed: int = option(_SEED, "Seed of its training.", lower=0)


def load_or_train_judge(workdir, images, steps=None):
    """The judge in `workdir`, trained first, or to its end, if it has to be.

    Args:
        workdir: Its directory.
        images: `ImagesConfig`, for the digits that it knows.
        steps: Steps of training, or None for six epochs, at least 400.

    Returns:
        The network, and its scores: `accuracy` on the test split, `n_examples`.

    Raises:
        UserError: If what is there is no judge of these images, or one of other steps.
    """
    source = datasets.source(images.dataset)
    path = os.path.join(workdir, "network.keras")
    if not os.path.exists(path):
        print(f"{workdir} has no judge yet: trained, or waited for", file=sys.stderr)
        run_directory.make(workdir)
        # Of several runs that need it one trains it, the others wait for it.
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
    load = lambda split: load_labelled(images, split, SIDE)
    fitted_on = load("train")
    steps = steps or max(math.ceil(6 * len(fitted_on.images) / _BATCH), 400)
    config = JudgeConfig(
        workdir=workdir,
        resume=bool(trainer.checkpoints(workdir)),
        dataset=source.name,
        judge_steps=steps,
    )
    run.seed_everything(config)
    run_directory.start(config, workdir)
    held_out = load("validation")
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
    test, started = load("test"), time.monotonic()
    scores = {"accuracy": _accuracy(judge, test), "n_examples": len(test.images)}
    metrics_file.write_metrics(
        os.path.join(workdir, "metrics.json"),
        scores,
        options.recorded(config),
        time.monotonic() - started,
        training.seconds,
    )
    # Last: where the network is, all is.
    files.write_whole(os.path.join(workdir, "network.keras"), judge.save)


def _losses(judge, batch):
    return tf.nn.sparse_softmax_cross_entropy_with_logits(
        batch["label"], judge(batch["image"], training=True)
    )


def _examples(images):
    """Function `(plan, context)` to the batches of a training."""
    # Where batches are made.
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
