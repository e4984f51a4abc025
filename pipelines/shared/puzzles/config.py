"""The settings of programs on images: the images, and the evaluation."""

import dataclasses

from pipelines.shared import options
from pipelines.shared.datasets.sources import ROLES, SOURCES, source
from pipelines.shared.errors import UserError
from pipelines.shared.options import option
from pipelines.shared.training.config import EvaluationConfig


@dataclasses.dataclass(frozen=True)
class ImagesConfig(EvaluationConfig):
    """The images that a program reads, and those that it evaluates on."""

    dataset: str = option("digits", f"One of {', '.join(SOURCES)}, tfds:NAME.")
    data_dir: str | None = option(
        None, "TFDS directory, or the folder of images.", is_recorded=False
    )
    cache_dir: str | None = option(
        None, "Keeps decoded images for the next run.", is_recorded=False
    )
    image_size: int | None = option(
        None, "Pixels along a side, a multiple of --grid.", lower=1
    )
    split: str = option(
        "test",
        f"The images to evaluate on: a role ({', '.join(ROLES)}); all, for datasets "
        "without TFDS splits; else any TFDS split, such as test[:500]. A TFDS split that "
        "is called like a role needs a prefix: tfds:validation.",
        may_change=True,
    )
    evaluation_batch_size: int = option(
        200, "Puzzles of an evaluation batch.", lower=1, may_change=True
    )


def image_size(images, grid):
    """The side of the images in pixels: a multiple of `grid`.

    Args:
        images: `ImagesConfig`. Where it has no size, the result is the multiple nearest
            to the source's own size.
        grid: Pieces along a side.

    Raises:
        UserError: If the size of `images` is no multiple.
    """
    size = images.image_size
    if size is None:
        size = max(round(source(images.dataset).native_size / grid), 1) * grid
    if size % grid:
        raise UserError(
            f"--image_size must be a multiple of --grid={grid}, such as "
            f"{max(round(size / grid), 1) * grid}. Received: --image_size={size}"
        )
    return size


def check_heads(width, heads):
    """Raises UserError if attention cannot divide a width among its heads."""
    if width % heads:
        raise UserError(
            f"--width must be a multiple of --heads={heads}. Received: --width={width}"
        )


def check_split(images, explicit_names):
    """Raises UserError if a training has a `--split`.

    Args:
        images: `ImagesConfig`.
        explicit_names: The names of the settings that the command line sets.
    """
    if images.evaluate is None and "split" in explicit_names:
        raise UserError(
            "--split goes with --evaluate; a training is always reported on the role "
            f"test. Received: --split={images.split}"
        )


def evaluation_config(config, explicit_names, earlier, names=()):
    """The settings of an evaluation, those of its run where the user sets no others.

    Args:
        config: `Options` that hold an `ImagesConfig` and a `TrainingConfig`.
        explicit_names: The names of the settings that the command line sets.
        earlier: Dict of the settings of the run, from its `flags.json`.
        names: Settings of this program that are taken from the run, beside those that
            every program takes.

    Returns:
        The `Options` of the evaluation, and the dict of settings to record: those of
        the run, with those of its evaluation.
    """
    earlier = dict(earlier)
    if "temperature" in explicit_names:
        # A temperature that the user sets is the last one, too.
        earlier["final_temperature"] = None
    taken = ("dataset", "temperature", "final_temperature", "n_iters", *names)
    changes = {k: earlier[k] for k in taken if k not in explicit_names and k in earlier}
    config = config.replace(**changes)
    present = options.values(config)
    shown = (*taken, "split", "evaluate", "evaluation_batch_size")
    settings = earlier | {name: present[name] for name in shown}
    return config, options.drop_unrecorded(config, settings)


def check_channels(images, network):
    """Raises UserError if a network does not take images of this source.

    Args:
        images: `ImagesConfig`.
        network: The Keras model of a run, whose first input are pieces.
    """
    known = source(images.dataset)
    channels = network.inputs[0].shape[-1]
    if known.channels != channels:
        raise UserError(
            f"The network was trained on images with {channels} channels. "
            f"Received: --dataset={known.name} with {known.channels}"
        )


def evaluation_suffix(images):
    """The end of the names of an evaluation's files: dataset and split."""
    split = "".join(c if c.isalnum() else "_" for c in images.split)
    return f"_{source(images.dataset).file_name}_{split}"
