"""Measurements on puzzles."""

import numpy as np

import sinkhorn_tf as st
from pipelines.jigsaw import report
from pipelines.shared.puzzles import cutting


def test_averaging_with_the_mirrored_puzzle_makes_mirroring_change_nothing(rng):
    network = st.models.jigsaw_network(9, (4, 4, 3), "context", width=16, depth=1)
    image = rng.random((2, 12, 12, 3)).astype(np.float32)
    averaged = report.with_mirrored(network)
    logits = averaged(cutting.cut(image, 3)).numpy().reshape(2, 3, 3, 3, 3)
    mirror = averaged(cutting.cut(image[:, :, ::-1], 3)).numpy()
    # Piece and position alike go to the other side of their row.
    mirror = mirror.reshape(2, 3, 3, 3, 3)[:, :, ::-1, :, ::-1]
    np.testing.assert_allclose(mirror, logits, atol=1e-5)
