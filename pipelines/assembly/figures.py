"""The picture of digits made into every digit."""

import numpy as np
import tensorflow as tf

from pipelines.shared import figures
from pipelines.shared.puzzles import batches, cutting


def draw(reconstruct, found, grid, n_labels, path):
    """Draws the first image of each label made into every label (Mena et al. 2018, figure 1b)."""
    first = [np.argmax(found.labels == k) for k in range(n_labels) if k in found.labels]
    (puzzle,) = batches.evaluation_puzzles(
        found.images[first], found.file_order[first], grid=grid, batch_size=n_labels
    )
    made = reconstruct(
        tf.repeat(puzzle["pieces"], n_labels, axis=0),
        tf.tile(tf.range(n_labels), [len(first)]),
    )
    source = cutting.join(puzzle["target"], grid).numpy()
    table = lambda x: x.numpy().reshape(-1, n_labels, *x.shape[1:])
    figures.image_tables(
        path,
        {
            "pieces of": source[:, None],
            "hard": table(made["hard"]),
            "soft": table(made["soft"]),
        },
        [str(label) for label in found.labels[first]],
    )
