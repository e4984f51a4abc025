"""The images of a program: flags that say which, and loading by them."""

import os
import sys

from absl import flags

from pipelines import datasets, runs
from pipelines.errors import UserError

FLAGS = flags.FLAGS

flags.DEFINE_string(
    "dataset", "digits", f"One of {', '.join(datasets.SOURCES)}, tfds:NAME."
)
flags.DEFINE_string("data_dir", None, "TFDS directory, or the folder of images.")
flags.DEFINE_string("cache_dir", None, "Keeps decoded images for the next run.")
flags.DEFINE_integer(
    "image_size", None, "Pixels along a side, a multiple of --grid.", lower_bound=1
)
flags.DEFINE_string("evaluate", None, "Only evaluate the run in this directory.")
flags.DEFINE_string(
    "split",
    "test",
    f"What to evaluate on: a role ({', '.join(datasets.ROLES)}); all, where there are no "
    "TFDS splits; else any TFDS split, such as test[:500]. One that is called like a role "
    "is given with a prefix: tfds:validation.",
)
flags.DEFINE_integer(
    "evaluation_batch_size", 200, "Puzzles of an evaluation batch.", lower_bound=1
)


def load(source, split, size):
    """The images of a split, `datasets.Images`; says how many files were broken."""
    found = datasets.load(
        source.name,
        split,
        size=size,
        data_dir=FLAGS.data_dir,
        cache_dir=FLAGS.cache_dir,
    )
    if found.skipped:
        print(f"{split}: skipped {found.skipped} broken files", file=sys.stderr)
    return found


def image_size(source, grid, size):
    """The side of the images in pixels: a multiple of `grid`.

    Args:
        source: A `datasets.Source`.
        grid: Pieces along a side.
        size: The size asked for, or None for the nearest to the source's own.

    Raises:
        UserError: If the size asked for is no multiple.
    """
    if size is None:
        size = max(round(source.native_size / grid), 1) * grid
    if size % grid:
        raise UserError(
            f"--image_size must be a multiple of --grid={grid}, such as "
            f"{max(round(size / grid), 1) * grid}. Received: --image_size={size}"
        )
    return size


def check_split():
    """Raises UserError where `--split` is given to a training."""
    if FLAGS.evaluate is None and not FLAGS["split"].using_default_value:
        raise UserError(
            "--split goes with --evaluate; a training is always reported on the role "
            f"test. Received: --split={FLAGS.split}"
        )


def evaluation_flags(workdir, network, *names):
    """Gives the flags that an evaluation was not given the values of its run.

    Args:
        workdir: Directory of the run.
        network: Its network.
        names: Of flags that are taken from the run, beside those of every run.

    Returns:
        Dict of the flags of the run and of its evaluation, and the `datasets.Source`.

    Raises:
        UserError: If the network cannot take the images.
    """
    values = runs.read_json(os.path.join(workdir, "flags.json"))
    if not FLAGS["temperature"].using_default_value:
        # The one that is given holds for the whole of the run.
        values["final_temperature"] = None
    taken = ("dataset", "temperature", "final_temperature", "n_iters", *names)
    for name in taken:
        if FLAGS[name].using_default_value and name in values:
            FLAGS[name].value = values[name]
    for name in (*taken, "data_dir", "split", "evaluate", "evaluation_batch_size"):
        values[name] = FLAGS[name].value
    source = datasets.source(FLAGS.dataset)
    channels = network.inputs[0].shape[-1]
    if source.channels != channels:
        raise UserError(
            f"The network was trained on images with {channels} channels. "
            f"Received: --dataset={source.name} with {source.channels}"
        )
    return values, source


def evaluation_suffix(source):
    """What the names of an evaluation's files end with, of dataset and split."""
    split = "".join(c if c.isalnum() else "_" for c in FLAGS.split)
    return f"_{source.file_name}_{split}"
