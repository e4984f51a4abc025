"""Sets of different sizes: the masses of their members, and the slack between them."""

from typing import NamedTuple

import numpy as np


class Balance(NamedTuple):
    """The masses of the rows and columns of a balanced problem.

    The members of both sets have mass 1 and what does not exist has mass 0. Where a batch
    has an example with fewer items than positions, all its examples get a slack row, whose
    logits are 0 after the division by the temperature; where it has one with fewer
    positions, a slack column. A square problem without masks has neither.

    Attributes:
        row_masses: float32 `[B, N]` or `[B, N + 1]`.
        col_masses: float32 `[B, M]` or `[B, M + 1]`.
        slack_rows: 0 or 1.
        slack_cols: 0 or 1.
    """

    row_masses: np.ndarray
    col_masses: np.ndarray
    slack_rows: int
    slack_cols: int

    @property
    def padding(self):
        """The padding of the logits, as `numpy.pad` takes it."""
        return ((0, 0), (0, self.slack_rows), (0, self.slack_cols))


def masks(inputs):
    """The masks of a problem: a dict of `row_mask` and `col_mask`, empty without them.

    Args:
        inputs: The inputs of a peer, see `peers`.
    """
    names = ("row_mask", "col_mask")
    return {name: getattr(inputs, name) for name in names if hasattr(inputs, name)}


def sizes(inputs):
    """How many items and positions exist in each example, a pair of int arrays `[B]`."""
    batch, *shape = inputs.logits.shape
    present = masks(inputs).values()
    if not present:
        return tuple(np.full(batch, size) for size in shape)
    return tuple(mask.sum(1) for mask in present)


def is_square(inputs):
    """Whether all sets of a problem have the same size."""
    return not masks(inputs) and inputs.logits.shape[1] == inputs.logits.shape[2]


def balance(inputs):
    """The `Balance` of a problem."""
    items, positions = sizes(inputs)
    sides = []
    for own, other, length in zip(
        (items, positions), (positions, items), inputs.logits.shape[1:], strict=True
    ):
        masses = (np.arange(length) < own[:, None]).astype(np.float32)
        if (own < other).any():
            slack = np.maximum(other - own, 0)[:, None].astype(np.float32)
            masses = np.concatenate([masses, slack], axis=1)
        sides.append((masses, masses.shape[1] - length))
    (rows, slack_rows), (cols, slack_cols) = sides
    return Balance(rows, cols, slack_rows, slack_cols)
