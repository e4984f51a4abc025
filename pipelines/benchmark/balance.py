"""Sets of different sizes, masses and dustbins: the balanced problem that each stands for."""

from typing import NamedTuple

import numpy as np

_MASKS = ("row_mask", "col_mask")
_MARGINALS = ("row_marginals", "col_marginals")


class Balance(NamedTuple):
    """The masses of the rows and columns of a balanced problem.

    The members of both sets have mass 1 and what does not exist has mass 0. Where a batch
    has an example with fewer items than positions, all its examples get a slack row, whose
    logits are 0 after the division by the temperature; where it has one with fewer
    positions, a slack column. A square problem without masks has neither. A problem with
    marginals has their masses and no slack. The dustbins of Sarlin et al. (2020) are a row
    and a column whose masses are the numbers of columns and of rows.

    Attributes:
        row_masses: float32 `[B, N]` or `[B, N + 1]`. A row whose mass is NaN is free: it
            is never normalised.
        col_masses: float32 `[B, M]` or `[B, M + 1]`, likewise.
        slack_rows: 0 or 1.
        slack_cols: 0 or 1.
        slack_logit: The logit of slack or dustbins, before the division by the
            temperature.
    """

    row_masses: np.ndarray
    col_masses: np.ndarray
    slack_rows: int = 0
    slack_cols: int = 0
    slack_logit: float = 0.0

    @property
    def padding(self):
        """The padding of the logits, as `numpy.pad` takes it."""
        return ((0, 0), (0, self.slack_rows), (0, self.slack_cols))


def masks(inputs):
    """The masks of a problem: a dict of `row_mask` and `col_mask`, empty without them.

    Args:
        inputs: The inputs of a peer, see `peers`.
    """
    return _present(inputs, _MASKS)


def marginals(inputs):
    """The given masses of a problem: a dict of `row_marginals` and `col_marginals`."""
    return _present(inputs, _MARGINALS)


def has_dustbins(inputs):
    """Whether a problem has a score of the items and positions without a partner."""
    return hasattr(inputs, "unmatched_score")


def sizes(inputs):
    """How many items and positions exist in each example, a pair of int arrays `[B]`."""
    batch, *shape = inputs.logits.shape
    present = masks(inputs).values()
    if not present:
        return tuple(np.full(batch, size) for size in shape)
    return tuple(mask.sum(1) for mask in present)


def is_square(inputs):
    """Whether a problem is square, with masses of 1 and without masks and dustbins."""
    _, n, m = inputs.logits.shape
    is_general = masks(inputs) or marginals(inputs) or has_dustbins(inputs)
    return n == m and not is_general


def balance(inputs):
    """The `Balance` of a problem."""
    if has_dustbins(inputs):
        _, n, m = inputs.logits.shape
        return _with_dustbins(inputs, row_mass=m, col_mass=n)
    if marginals(inputs):
        return _with_marginals(inputs)
    return _with_slack(inputs)


def free_dustbins(inputs):
    """The `Balance` of dustbins that have no masses, which are those of pygmtools."""
    return _with_dustbins(inputs, row_mass=np.nan, col_mass=np.nan)


def _with_slack(inputs):
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


def _with_marginals(inputs):
    """The masses that are given; if one side has none, its members share the total."""
    _, *shape = inputs.logits.shape
    given = marginals(inputs)
    total = next(iter(given.values())).sum(1, keepdims=True)
    return Balance(
        *(
            given[name] if name in given else np.repeat(total / length, length, axis=1)
            for name, length in zip(_MARGINALS, shape, strict=True)
        )
    )


def _with_dustbins(inputs, row_mass, col_mass):
    batch, *shape = inputs.logits.shape
    masses = (
        np.repeat(np.float32([[1] * length + [mass]]), batch, axis=0)
        for length, mass in zip(shape, (row_mass, col_mass), strict=True)
    )
    return Balance(*masses, 1, 1, inputs.unmatched_score)


def _present(inputs, names):
    return {name: getattr(inputs, name) for name in names if hasattr(inputs, name)}
