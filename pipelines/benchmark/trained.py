"""The logits of a trained network: `python -m pipelines.benchmark.trained`.

Takes the flags of `pipelines.jigsaw`, trains as it does unless `--workdir` holds the
finished run, and leaves there `logits.npy`: those of the first test puzzles.
"""

import os

import keras
import numpy as np
from absl import flags

from pipelines import datasets, files, images, jigsaw, runs

FLAGS = flags.FLAGS


def main():
    path = os.path.join(FLAGS.workdir, "network.keras")
    if not os.path.exists(path):
        jigsaw.main()
    network = keras.saving.load_model(path)
    source = datasets.source(FLAGS.dataset)
    size = jigsaw.image_size(source, FLAGS.grid, FLAGS.image_size)
    test = jigsaw.as_puzzles(images.load(source, "test", size), FLAGS.grid)
    logits = network(next(iter(test))["pieces"], training=False).numpy()
    files.write_whole(
        os.path.join(FLAGS.workdir, "logits.npy"), lambda name: np.save(name, logits)
    )


if __name__ == "__main__":
    runs.main(main)
