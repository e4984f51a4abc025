import numpy as np
import pytest
import tensorflow as tf

import sinkhorn_tf as st
from pipelines.shared.puzzles import cutting

IMAGES = np.random.default_rng(0).integers(0, 256, (23, 8, 8, 3), np.uint8)


@pytest.mark.parametrize("grid", [1, 2, 4])
def test_cut_takes_pieces_row_by_row_and_join_is_its_inverse(grid):
    pieces = cutting.cut(tf.constant(IMAGES), grid)
    side = 8 // grid
    for j in range(grid**2):
        y, x = divmod(j, grid)
        expected = IMAGES[:, y * side : (y + 1) * side, x * side : (x + 1) * side]
        np.testing.assert_array_equal(pieces[:, j], expected)
    np.testing.assert_array_equal(cutting.join(pieces, grid), IMAGES)


def test_scrambled_pieces_go_back_by_their_permutation():
    perm = st.permutations.sample([23], 16, seed=0)
    puzzle = cutting.scramble(tf.constant(IMAGES), perm, 4)
    restored = st.permutations.apply(puzzle["perm"], puzzle["pieces"])
    np.testing.assert_array_equal(restored, puzzle["target"])
    np.testing.assert_allclose(
        cutting.join(restored, 4), IMAGES.astype(np.float32) / 255, rtol=1e-6
    )


def test_eroded_pieces_against_slices(rng):
    pieces = cutting.cut(tf.constant(IMAGES[:6]), 2)
    middle = cutting.erode(pieces, 1)
    np.testing.assert_array_equal(middle, pieces[:, :, 1:3, 1:3])
    corners = rng.integers(0, 3, (6, 4, 2)).astype(np.int32)
    eroded = cutting.erode(pieces, 1, corners)
    for b, i in np.ndindex(6, 4):
        y, x = corners[b, i]
        expected = pieces[b, i, y : y + 2, x : x + 2]
        np.testing.assert_array_equal(eroded[b, i], expected)
    np.testing.assert_array_equal(cutting.erode(pieces, 0), pieces)
