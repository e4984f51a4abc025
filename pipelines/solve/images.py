"""One image: how it is read, cut, scrambled, put back, and written."""

import math
import pathlib
from typing import NamedTuple

import numpy as np
import tensorflow as tf

import sinkhorn_tf as st
from pipelines.shared import image_files
from pipelines.shared.datasets.decoding import central_square, match_channels
from pipelines.shared.errors import UserError
from pipelines.shared.image_files import shown
from pipelines.shared.puzzles import cutting
from pipelines.solve.result_names import beside

# A sentence about a matching says so, since the scores of a network can be mistaken.
NOT_RIGHT = "which does not say that the picture is right"


class Solution(NamedTuple):
    """One image that was solved.

    Attributes:
        target: Path of the image that was written.
        gap: The largest distance of the matching from the best, in the network's scores.
        pieces: The number of pieces of the image.
        right: The number of pieces that are in their places, or None if it is unknown.
    """

    target: pathlib.Path
    gap: float
    pieces: int
    right: int | None

    def sentence(self):
        """One line that says what was written, and how good it is."""
        parts = [f"wrote {shown(self.target)}"]
        if self.right is not None:
            parts.append(f" and, scrambled, {shown(beside(self.target))}")
        optimum = "optimal" if self.gap == 0 else f"within {self.gap:.2g} of the best"
        parts.append(
            f": the matching is {optimum} for the network's scores ({NOT_RIGHT})"
        )
        if self.right is not None:
            parts.append(f", {self.right} of {self.pieces} pieces right")
        return "".join(parts)


class Puzzle:
    """An image to solve.

    Args:
        source: Path of the image.
        target: Path of its solution.
        solver: A `clients.Solver`.
        key: The seed and the index of the image, from which the scrambling follows; None
            for an image that is scrambled already.

    Attributes:
        seen: The image as the solver takes it, float32 `[height, width, channels]` in
            [0, 1].

    Raises:
        UserError: If the image cannot be read or cut.
    """

    def __init__(self, source, target, solver, key=None):
        self._source, self._target = source, target
        self._grid = grid = math.isqrt(solver.n)
        height, width, channels = solver.shape
        try:
            image = match_channels(image_files.read(source), channels)
        except UserError as error:
            raise UserError(f"{shown(source)}: {error}") from error
        self._true = None
        if key is not None:
            image = fit(image, grid, source)
            self._true = np.random.default_rng(key).permutation(solver.n)
        elif image.shape[0] % grid or image.shape[1] % grid:
            raise UserError(
                f"The sides of an image of {grid} x {grid} pieces are multiples of "
                f"{grid}. Received: {shown(source)} of {image.shape[0]} x {image.shape[1]}"
            )
        # As floating point: oneDNN complains on stderr of transposed uint8.
        self._pieces = cutting.cut(tf.cast(image[None], tf.float32), grid)[0]
        if self._true is not None:
            self._pieces = tf.gather(self._pieces, self._true)
            # The scrambled image goes beside the solution, to be looked at.
            self._write(beside(target))
        # Each piece is shrunk by itself, so that nothing blurs across its borders.
        small = tf.image.resize(
            self._pieces, [height // grid, width // grid], antialias=True
        )
        self.seen = cutting.join(small[None] / 255, grid)[0].numpy()

    def finish(self, perm, gap):
        """Writes the image that `perm` restores, and returns its `Solution`."""
        if (perm < 0).any():
            raise UserError(
                f"{shown(self._source)}: no permutation can be told from the network's "
                "scores."
            )
        self._pieces = st.permutations.apply(tf.constant(perm), self._pieces)
        self._write(self._target)
        right = None if self._true is None else int((perm == self._true).sum())
        return Solution(self._target, float(gap), len(perm), right)

    def _write(self, path):
        image = tf.cast(cutting.join(self._pieces[None], self._grid)[0], tf.uint8)
        image_files.write(path, image.numpy())


def fit(image, grid, source):
    """The central square of an image, with a side that is a multiple of `grid`.

    Args:
        image: Array `[height, width, channels]`.
        grid: Pieces along a side.
        source: Path of the image, for the error.

    Raises:
        UserError: If there are fewer pixels than pieces along a side.
    """
    height, width, _ = image.shape
    side = min(height, width) // grid * grid
    if not side:
        raise UserError(
            f"An image of {grid} x {grid} pieces cannot be smaller. "
            f"Received: {shown(source)} of {height} x {width}"
        )
    return central_square(image, side)
