"""The settings of programs on images: which images, and what is measured."""

import dataclasses

from pipelines.shared import options
from pipelines.shared.datasets.sources import ROLES, SOURCES, source
from pipelines.shared.errors import UserError
from pipelines.shared.options import Options, option


@dataclasses.dataclass(frozen=True)
class ImagesConfig(Options):
    """Which images a program reads, and what it evaluates on."""

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
    evaluate: str | None = option(
        None,
        "Only evaluate the run in this directory.",
        may_change=True,
        replaces_training=True,
    )
    split: str = option(
        "test",
        f"What to evaluate on: a role ({', '.join(ROLES)}); all, where there are no TFDS "
        "splits; else any TFDS split, such as test[:500]. One that is called like a role "
        "is given with a prefix: tfds:validation.",
        may_change=True,
    )
    evaluation_batch_size: int = option(
        200, "Puzzles of an evaluation batch.", lower=1, may_change=True
    )


def image_size(images, grid):
    """The side of the images in pixels: a multiple of `grid`.

    Args:
        images: `ImagesConfig`; without a size the nearest to the source's own is taken.
        grid: Pieces along a side.

    Raises:
        UserError: If the size asked for is no multiple.
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
    """Raises UserError where attention cannot divide a width among its heads."""
    if width % heads:
        raise UserError(
            f"--width must be a multiple of --heads={heads}. Received: --width={width}"
        )


def check_split(images, given):
    """Raises UserError where `--split` is given to a training.

    Args:
        images: `ImagesConfig`.
        given: The names of the settings that the command line gave.
    """
    if images.evaluate is None and "split" in given:
        raise UserError(
            "--split goes with --evaluate; a training is always reported on the role "
            f"test. Received: --split={images.split}"
        )


def evaluation_config(config, given, earlier, names=()):
    """The settings of an evaluation: what was not given is as in the run.

    Args:
        config: `Options` that hold an `ImagesConfig` and a `TrainingConfig`.
        given: The names of the settings that the command line gave.
        earlier: Dict of the settings of the run, from its `flags.json`.
        names: Settings that are taken from the run, beside those of every run.

    Returns:
        The `Options` of the evaluation, and the dict of settings to record: those of
        the run, with those of its evaluation.
    """
    earlier = dict(earlier)
    if "temperature" in given:
        # The one that is given holds for the whole of the run.
        earlier["final_temperature"] = None
    taken = ("dataset", "temperature", "final_temperature", "n_iters", *names)
    changes = {k: earlier[k] for k in taken if k not in given and k in earlier}
    config = config.replace(**changes)
    present = options.values(config)
    shown = (*taken, "split", "evaluate", "evaluation_batch_size")
    settings = earlier | {name: present[name] for name in shown}
    hidden = present.keys() - options.recorded(config).keys()
    return config, {k: v for k, v in settings.items() if k not in hidden}


def check_channels(images, network):
    """Raises UserError where a network does not take images of this source.

    Args:
        images: `ImagesConfig`.
        network: The Keras model of a run, whose first input are pieces.

    Returns:
        The `datasets.Source`.
    """
    known = source(images.dataset)
    channels = network.inputs[0].shape[-1]
    if known.channels != channels:
        raise UserError(
            f"The network was trained on images with {channels} channels. "
            f"Received: --dataset={known.name} with {known.channels}"
        )
    return known


def evaluation_suffix(images):
    """How the names of an evaluation's files end: dataset and split."""
    split = "".join(c if c.isalnum() else "_" for c in images.split)
    return f"_{source(images.dataset).file_name}_{split}"
