"""The picture of digits that are assembled as every digit."""

import numpy as np
import tensorflow as tf

from pipelines.shared import figures
from pipelines.shared.puzzles import batches, cutting


def draw(reconstruct, images, grid, n_labels, path):
    """Draws the first image of each label as every label (Mena et al. 2018, figure 1b).

    Args:
        reconstruct: Function of pieces and the wanted labels to a dict of `hard` and
            `soft` images.
        images: Labelled `datasets.Images`.
        grid: Pieces along a side.
        n_labels: The number of labels.
        path: PNG file to write.
    """
    labels = images.labels
    first = [np.argmax(labels == k) for k in range(n_labels) if k in labels]
    (puzzle,) = batches.evaluation_puzzles(
        images.images[first], images.file_order[first], grid=grid, batch_size=n_labels
    )
    assembled = reconstruct(
        tf.repeat(puzzle["pieces"], n_labels, axis=0),
        tf.tile(tf.range(n_labels), [len(first)]),
    )
    source = cutting.join(puzzle["target"], grid).numpy()
    tables = {"pieces of": source[:, None]}
    for name in ("hard", "soft"):
        side_by_side = (-1, n_labels, *assembled[name].shape[1:])
        tables[name] = assembled[name].numpy().reshape(side_by_side)
    figures.image_tables(path, tables, [str(label) for label in labels[first]])
