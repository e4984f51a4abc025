"""The logits of networks that are trained for a benchmark."""

import contextlib
import io
import math
import os
import sys

import numpy as np
import tensorflow as tf

from pipelines.benchmark.plan import CONTEXT
from pipelines.jigsaw import report
from pipelines.jigsaw.config import JigsawConfig
from pipelines.jigsaw.experiment import JigsawExperiment
from pipelines.shared.datasets.sources import source
from pipelines.shared.errors import UserError
from pipelines.shared.files import write_whole
from pipelines.shared.puzzles.images import load_images
from pipelines.shared.training import export, run


def all_logits(planned, config):
    """The logits of a network trained for each grid that the cases need.

    Args:
        planned: List of cases.
        config: `BenchmarkConfig`.

    Returns:
        Dict of the source of a case to logits `[64, N, N]`. The folder `trained/` of the
        run directory keeps them for the next run.
    """
    # TensorFlow would warn that each training compiles functions of its own.
    tf.get_logger().setLevel("ERROR")
    names = {case.source: case.n for case in planned if "N = " in case.source}
    logits = {}
    for name, n in names.items():
        network = CONTEXT if name.endswith(CONTEXT) else "paper"
        jigsaw = jigsaw_config(config, math.isqrt(n), network)
        path = os.path.join(jigsaw.training.workdir, "logits.npy")
        if not os.path.exists(path):
            print(f"training for {jigsaw.grid}x{jigsaw.grid} puzzles", file=sys.stderr)
            array = trained_logits(jigsaw)
            write_whole(path, lambda place, array=array: np.save(place, array))
        logits[name] = np.load(path)
    return logits


def jigsaw_config(config, grid, network):
    """The `JigsawConfig` of a training whose logits a benchmark needs."""
    images = source(config.dataset)
    workdir = f"{images.name}_{grid}x{grid}_{network}_{config.training_steps}"
    return JigsawConfig().replace(
        workdir=os.path.join(config.workdir, "trained", workdir),
        resume=True,
        export=False,
        dataset=images.name,
        data_dir=config.data_dir,
        cache_dir=config.cache_dir,
        grid=grid,
        network=network,
        # A piece has more than one pixel.
        image_size=max(-(-images.native_size // grid), 2) * grid,
        steps=config.training_steps,
        evaluation_batch_size=64,
    )


def trained_logits(config):
    """The logits of the first test puzzles by a network; trains it if it is absent.

    Args:
        config: `JigsawConfig` of the training.
    """
    workdir = config.training.workdir
    if not os.path.exists(os.path.join(workdir, "network.keras")):
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                run.run(JigsawExperiment, config)
        except UserError as error:
            raise UserError(
                f"The network for {config.grid}x{config.grid} puzzles could not be "
                f"trained. Received: --dataset={config.images.dataset}: {error}"
            ) from error
    network = export.load_network(workdir)
    images = load_images(config.images, "test", config.size)
    puzzle = next(iter(report.as_puzzles(images, config)))
    return network(puzzle["pieces"], training=False).numpy()
