"""One process of a training whose scaling is measured, of random images.

    python -m pipelines.benchmark.scaling_worker IMAGES FLAGS_OF_JIGSAW...

Writes a line of JSON when the training is compiled, and one for each line it reads, a
number of steps: `{"seconds": of a step, "cpu_seconds": of a step, of the processor,
"memory_mib": the peak since the start}`.
"""

import json
import os
import sys
import tempfile
import time

import numpy as np
import tensorflow as tf

from pipelines import datasets, distribution, jigsaw
from pipelines.benchmark.worker import peak_memory


def main():
    count, *given = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)
    jigsaw.FLAGS([sys.argv[0], *given])
    jigsaw.complete_flags()
    distribution.start()
    before = peak_memory()
    source = datasets.source("photos")
    side = jigsaw.stored_size(source, jigsaw.FLAGS.image_size)
    images = np.random.default_rng(0).integers(
        0, 256, (int(count), side, side, source.channels), np.uint8
    )
    with tempfile.TemporaryDirectory() as workdir:
        trainer = jigsaw.make_trainer(source, jigsaw.FLAGS.image_size, images, workdir)
        step = trainer.parts()["training"]
        step()
        facts = {
            "parameters": trainer.network.count_params(),
            "forward_flops": forward_flops(trainer.network),
        }
        print(json.dumps(facts), file=answers, flush=True)
        for line in sys.stdin:
            started, busy = time.perf_counter(), time.process_time()
            for _ in range(int(line)):
                step()
            seconds = (time.perf_counter() - started) / int(line)
            busy = (time.process_time() - busy) / int(line)
            memory = (peak_memory() - before) / 2**20
            answer = {
                "seconds": seconds,
                "cpu_seconds": busy,
                "memory_mib": memory,
            }
            print(json.dumps(answer), file=answers, flush=True)


def forward_flops(network):
    """The operations of a forward pass of one example, multiply and add as two, that
    TensorFlow counts in its graph: those of matrix products foremost."""
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
    main()
