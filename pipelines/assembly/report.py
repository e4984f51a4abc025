"""The report of a run on assembly: scores, a picture, and lines on the terminal."""

import functools
import math
import os
import time

from pipelines.assembly import acceptance, figures, judge
from pipelines.assembly.config import JUDGES
from pipelines.assembly.images import load_labelled
from pipelines.shared import datasets, options
from pipelines.shared.errors import UserError
from pipelines.shared.files import read_json
from pipelines.shared.puzzles import batches
from pipelines.shared.puzzles.config import (
    check_channels,
    evaluation_config,
    evaluation_suffix,
)
from pipelines.shared.training import export, metrics_file


def judge_only(config):
    """Trains the judges that are absent, and prints their accuracies.

    Args:
        config: `AssemblyConfig`.
    """
    print(f"Judges: {config.judge_directory}, and beside it")
    for known in load_judges(config):
        print(
            f"{known.name:16}accuracy {known.scores['accuracy']:.4f}, "
            f"{known.scores['n_examples']:,} examples"
        )


def load_judges(config):
    """The panel that `--judges` asks for, a list of `judge.Judge`."""
    names = JUDGES[: config.judges]
    return judge.load_or_train_panel(
        names, config.judge_directory, config.images, config.judge_steps
    )


def assembler(network, config):
    """The model that assembles as an `AssemblyConfig` says: `acceptance.assembler`."""
    training = config.training
    return acceptance.assembler(
        network, config.decode, training.last_temperature, training.n_iters
    )


def evaluate_run(config, explicit_names):
    """Measures the network of a finished run on `--dataset` and `--split`.

    Args:
        config: `AssemblyConfig`.
        explicit_names: The names of the settings that the command line sets.
    """
    workdir = config.images.evaluate
    network = export.load_network(workdir)
    if len(network.inputs) != 2 or network.inputs[1].name != "digit":
        raise UserError(f"Not a run of pipelines.assembly. Received: {workdir}")
    earlier = read_json(os.path.join(workdir, "flags.json"))
    config, recorded = evaluation_config(
        config, explicit_names, earlier, ["decode", "judge", "judges", "judge_steps"]
    )
    check_channels(config.images, network)
    config.check(explicit_names)
    suffix = evaluation_suffix(config.images) + f"_{config.decode}"
    _measure(
        network,
        config,
        recorded,
        load_judges(config),
        config.images.split,
        workdir,
        suffix,
    )


def report(network, config, identity, judges, workdir, seconds=None):
    """Measures, prints and draws a run that has just been trained.

    Args:
        network: The Keras model.
        config: `AssemblyConfig`.
        identity: Dict of the facts that tell the run from others beside its settings.
        judges: List of `judge.Judge`.
        workdir: The run directory.
        seconds: Seconds of the training.
    """
    recorded = options.recorded(config) | identity
    _measure(network, config, recorded, judges, "test", workdir, "", seconds)


def _measure(network, config, recorded, judges, split, workdir, suffix, seconds=None):
    """Measures and prints; writes `metrics<suffix>.json` and `assembly<suffix>.png`."""
    _, n, side, _, _ = network.inputs[0].shape
    grid = math.isqrt(n)
    source = datasets.source(config.images.dataset)
    images = load_labelled(config.images, split, grid * side)
    held_out = batches.evaluation_puzzles(
        images.images,
        images.file_order,
        grid=grid,
        batch_size=config.images.evaluation_batch_size,
    )
    reconstruct = functools.partial(
        acceptance.reconstructions, assembler(network, config)
    )
    started = time.monotonic()
    scores = acceptance.measure(
        reconstruct, judges, held_out, images.labels, source.n_labels
    )
    # The first judge is of the paper's kind.
    scores["judge"] = judges[0].scores
    metrics = os.path.join(workdir, f"metrics{suffix}.json")
    evaluated = time.monotonic() - started
    metrics_file.write_metrics(metrics, scores, recorded, evaluated, seconds)
    picture = os.path.join(workdir, f"assembly{suffix}.png")
    figures.draw(reconstruct, images, grid, source.n_labels, picture)
    print(f"\nAssembly {grid}x{grid}, {source.name} {split}")
    print(acceptance.table(scores))
    print(f"Metrics: {metrics}\nPicture: {picture}")
