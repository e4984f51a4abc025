"""One process of a training on random images whose cost is measured.

    python -m pipelines.training_cost.worker IMAGES --grid=3 ...

The flags are those of `pipelines.jigsaw`. When the training is compiled, the process
writes a line of JSON, `{"parameters": of the network, "forward_flops": of an example}`.
Then it reads lines, each a number of steps, takes these steps, and answers each line with
`{"seconds": of a step, "cpu_seconds": of a step, "memory_mib": the peak since the start}`.
"""

import json
import os
import sys
import tempfile
import time

import numpy as np

from pipelines.jigsaw.config import JigsawConfig
from pipelines.shared import machine, options, startup
from pipelines.shared.datasets.sources import source


def main(arguments):
    """Trains a burst of steps for each line of stdin.

    Args:
        arguments: The number of images, and flags of `pipelines.jigsaw`.
    """
    # Answers go where no library's print can reach them.
    answers = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)
    # The parent quotes the last line of stderr, which is to be that of an error.
    startup.quieten()
    from pipelines.shared.training import strategy
    from pipelines.shared.training.trainer import Trainer

    count, *flags = arguments
    config, _ = options.from_arguments(JigsawConfig(), flags)
    joined = strategy.join(config)
    before = machine.peak_memory()
    experiment = make_experiment(config, int(count))
    with tempfile.TemporaryDirectory() as workdir:
        trainer = Trainer(experiment, experiment.training, joined, workdir)
        step = trainer.parts()["training"]
        step()
        facts = {
            "parameters": trainer.network.count_params(),
            "forward_flops": forward_flops(trainer.network),
        }
        print(json.dumps(facts), file=answers, flush=True)
        for line in sys.stdin:
            answer = burst(step, int(line))
            answer["memory_mib"] = (machine.peak_memory() - before) / 2**20
            print(json.dumps(answer), file=answers, flush=True)


def make_experiment(config, count):
    """The `JigsawExperiment` of a `JigsawConfig` on `count` random images."""
    from pipelines.jigsaw.experiment import JigsawExperiment

    # An experiment without images tells how large the training images have to be.
    side = JigsawExperiment(config, np.empty(0, np.uint8)).stored_size
    shape = (count, side, side, source(config.images.dataset).channels)
    images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    return JigsawExperiment(config, images)


def burst(step, count):
    """Calls a function several times; returns `seconds` and `cpu_seconds` of a call."""
    started, busy = time.perf_counter(), time.process_time()
    for _ in range(count):
        step()
    return {
        "seconds": (time.perf_counter() - started) / count,
        "cpu_seconds": (time.process_time() - busy) / count,
    }


def forward_flops(network):
    """The operations of a forward pass of one example, as TensorFlow counts them.

    A multiplication and an addition are two operations. Most of them are in products of
    matrices.
    """
    import tensorflow as tf

    profiler = tf.compat.v1.profiler
    spec = tf.TensorSpec([1, *network.input_shape[1:]], tf.float32)
    forward = tf.function(lambda pieces: network(pieces, training=False))
    graph = forward.get_concrete_function(spec).graph
    options = profiler.ProfileOptionBuilder(
        profiler.ProfileOptionBuilder.float_operation()
    )
    options = options.with_empty_output().build()
    return profiler.profile(graph, options=options).total_float_ops


if __name__ == "__main__":
    main(sys.argv[1:])
