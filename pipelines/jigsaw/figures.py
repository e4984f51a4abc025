"""Pictures of puzzles: scrambled, soft, hard and original."""

import math

import tensorflow as tf

import sinkhorn_tf as st
from pipelines.shared import figures
from pipelines.shared.puzzles import cutting


def draw(network, puzzle, temperature, path):
    """Draws scrambled, soft, hard and original images (Mena et al. 2018, figure 1a).

    Args:
        network: Keras model from pieces to logits.
        puzzle: A batch of puzzles, see `shared.puzzles.cutting`.
        temperature: The temperature at the end of the training. Soft permutations are
            drawn at 5, 1 and 1/5 times that temperature.
        path: PNG file to write.
    """
    pieces, target = puzzle["pieces"], puzzle["target"]
    logits = network(pieces, training=False)
    grid = math.isqrt(pieces.shape[1])
    rows = {"scrambled": pieces}
    for factor in (5, 1, 0.2):
        t = temperature * factor
        # At low temperatures --n_iters leave rows far from a sum of 1.
        soft = st.sinkhorn(logits, t, 1000, tolerance=1e-2)
        rows[f"soft, t = {t:g}"] = st.Restore()([soft, pieces])
    hard = st.permutations.apply(st.matching(logits), pieces)
    rows |= {"hard": hard, "original": target}
    images = {label: cutting.join(x, grid).numpy() for label, x in rows.items()}
    wrong = tf.reduce_any(hard != target, axis=[2, 3, 4]).numpy()
    figures.image_rows(path, images, frames={"hard": wrong}, grid=grid)
