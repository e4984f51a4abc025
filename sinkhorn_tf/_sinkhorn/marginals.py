"""Plans of any size as plans with fixed masses of rows and columns.

The smaller side of a rectangle is placed whole, the larger side at most once each. One
more row or column, the *slack*, with logits of 0 and the difference as its mass, makes
an equation of every marginal:

    u = r / (K v),   v = c / (K^T u)

for masses r and c that are 1 but for the slack. A row or column that a mask leaves out
has the mass 0 and no allowed pair. Examples of a batch may differ in their longer side,
so that masks add a slack on both, of which one at most has a mass.

Where the masses are given, there is no slack. They are scaled to a mean of 1 for the
columns, and those of the rows to the total of the columns, which changes no iterate.
"""

import math
import typing

import tensorflow as tf

from sinkhorn_tf._core import batching
from sinkhorn_tf._core.masses import agree


class Sides(typing.NamedTuple):
    """Rows and columns as the iterations take them: masses that broadcast."""

    rows: tf.Tensor | None
    """Masses `[B or 1, N', 1]`; None where all are 1."""
    cols: tf.Tensor | None
    """Masses `[B or 1, 1, M']`; None where all are 1."""
    are_given: bool = False
    """Whether the masses may be any numbers, and have derivatives."""
    rows_axis: int = 1
    """The axis of the rows in matrices: 2 for matrices and masses that are transposed."""

    def transpose(self):
        """The same sides of transposed matrices."""
        rows, cols = (
            None if masses is None else tf.linalg.matrix_transpose(masses)
            for masses in (self.rows, self.cols)
        )
        return Sides(rows, cols, self.are_given, 3 - self.rows_axis)


class Problem(typing.NamedTuple):
    """Matrices with their slack, and the masses of their rows and columns."""

    x: tf.Tensor
    """`[B, N', M']`, -inf where one of a pair does not exist."""
    row_masses: tf.Tensor | None
    """`[B or 1, N']`; None where all are 1."""
    col_masses: tf.Tensor | None
    """`[B or 1, M']`; None where all are 1."""
    n_rows: int | tf.Tensor
    """N, the number of rows without the slack."""
    n_cols: int | tf.Tensor
    """M, the number of columns without the slack."""
    exists: tf.Tensor | None
    """bool `[B, N', M']`, whether both of a pair exist; None if all do."""
    scale: tf.Tensor | None = None
    """`[B]`, what the masses were divided by; None if they are not given."""

    def sides(self):
        """The `Sides`, of matrices that are not transposed."""
        rows, cols = self.row_masses, self.col_masses
        return Sides(
            rows=None if rows is None else rows[:, :, None],
            cols=None if cols is None else cols[:, None, :],
            are_given=self.scale is not None,
        )

    def restrict(self, plan):
        """The part `[B, N, M]` of a plan `[B, N', M']` without the slack.

        It is 0 where a mask leaves a pair out, in an example of NaN too.
        """
        plan = self._without_slack(plan)
        if self.exists is None:
            return plan
        return tf.where(self._without_slack(self.exists), plan, tf.zeros_like(plan))

    def _without_slack(self, matrices):
        if self.row_masses is None and self.col_masses is None:
            return matrices
        return matrices[:, : self.n_rows, : self.n_cols]

    def restrict_rows(self, values):
        """The part `[B, N]` of values of rows, 0 for those that do not exist."""
        return _restrict(values, self.row_masses, self.n_rows)

    def restrict_cols(self, values):
        """The part `[B, M]` of values of columns, 0 for those that do not exist."""
        return _restrict(values, self.col_masses, self.n_cols)

    def transpose(self):
        """The same problem with rows and columns exchanged."""
        exists = self.exists
        return Problem(
            x=tf.linalg.matrix_transpose(self.x),
            row_masses=self.col_masses,
            col_masses=self.row_masses,
            n_rows=self.n_cols,
            n_cols=self.n_rows,
            exists=None if exists is None else tf.linalg.matrix_transpose(exists),
            scale=self.scale,
        )

    def balance(self, row_potential, col_potential):
        """Chooses the free constant of potentials `[B, N']` and `[B, M']`.

        The potential of a slack is 0. Without a slack both potentials have the same
        sum, weighted by the masses.
        """
        r, c = self.row_masses, self.col_masses
        if r is None and c is None:
            shift = tf.reduce_mean(col_potential - row_potential, 1, keepdims=True) / 2
            return row_potential + shift, col_potential - shift
        r = tf.ones_like(row_potential) if r is None else r
        c = tf.ones_like(col_potential) if c is None else c
        total = tf.maximum(_sum(c), 1)
        shift = (
            _sum(_weighted(col_potential, c)) - _sum(_weighted(row_potential, r))
        ) / (2 * total)
        slack_row, slack_col = r[:, self.n_rows :], c[:, self.n_cols :]
        row_shift = -_sum(_weighted(row_potential[:, self.n_rows :], slack_row > 0))
        col_shift = _sum(_weighted(col_potential[:, self.n_cols :], slack_col > 0))
        shift = tf.where(_sum(slack_row) > 0, row_shift, shift)
        shift = tf.where(_sum(slack_col) > 0, col_shift, shift)
        return row_potential + shift, col_potential - shift


def extend(x, row_mask=None, col_mask=None, row_marginals=None, col_marginals=None):
    """Adds the slack, or takes the masses that are given.

    Args:
        x: `[B, N, M]`; whatever stands where a mask is False does not matter.
        row_mask, col_mask: bool `[B, N]` and `[B, M]`, or None where all exist.
        row_marginals, col_marginals: `[B, N]` and `[B, M]` of the dtype of `x`, or None;
            if one is given the other is uniform. An example whose masses are bad, or
            have different totals, becomes one of NaN.

    Returns:
        A `Problem`. Without masks and masses a known N = M gives `x` itself.
    """
    n_rows, n_cols = batching.sizes(x, 1)
    if row_marginals is not None or col_marginals is not None:
        return _extend_balanced(x, row_mask, col_mask, row_marginals, col_marginals)
    if row_mask is None and col_mask is None:
        return _extend_complete(x, n_rows, n_cols)
    rows, cols = _ones(row_mask, x, n_rows), _ones(col_mask, x, n_cols)
    surplus = _sum(cols) - _sum(rows)
    batch = tf.zeros_like(surplus)
    row_masses = tf.concat([rows + batch, tf.maximum(surplus, 0)], 1)
    col_masses = tf.concat([cols + batch, tf.maximum(-surplus, 0)], 1)
    exists = (row_masses > 0)[:, :, None] & (col_masses > 0)[:, None, :]
    # The gradient of what a mask leaves out is 0, whatever its value.
    x = _with_slack(x, 1, 1)
    x = tf.where(exists, x, tf.constant(-math.inf, x.dtype))
    return Problem(x, row_masses, col_masses, n_rows, n_cols, exists)


def _extend_balanced(x, row_mask, col_mask, row_marginals, col_marginals):
    n_rows, n_cols = batching.sizes(x, 1)
    rows, cols = _ones(row_mask, x, n_rows), _ones(col_mask, x, n_cols)
    pairs = (rows > 0)[:, :, None] & (cols > 0)[:, None, :]
    rows, bad_rows = _masses_of(row_marginals, rows, col_marginals)
    cols, bad_cols = _masses_of(col_marginals, cols, row_marginals)
    bad = bad_rows | bad_cols
    if row_marginals is None:
        rows *= _ratio(_sum(cols), _sum(rows))
    elif col_marginals is None:
        cols *= _ratio(_sum(rows), _sum(cols))
    else:
        bad |= ~agree(_sum(rows), _sum(cols))
    bad |= ~tf.math.is_finite(_sum(rows) + _sum(cols))
    # The scale changes no plan: it has no derivative.
    count = tf.reduce_sum(tf.cast(cols > 0, x.dtype), 1, keepdims=True)
    scale = tf.stop_gradient(_sum(cols) / tf.maximum(count, 1))
    scale = tf.where(scale > 0, scale, tf.ones_like(scale))
    cols /= scale
    rows *= _ratio(_sum(cols), _sum(rows))
    exists = (rows > 0)[:, :, None] & (cols > 0)[:, None, :]
    exists |= bad[:, :, None] & pairs
    x = tf.where(exists, x, tf.constant(-math.inf, x.dtype))
    x = tf.where(bad[:, :, None], tf.constant(math.nan, x.dtype), x)
    rows, cols = (tf.where(bad, tf.ones_like(each), each) for each in (rows, cols))
    scale = (scale + tf.zeros_like(x[:, :1, 0]))[:, 0]
    return Problem(x, rows, cols, n_rows, n_cols, exists, scale)


def _masses_of(marginals, ones, other):
    """Masses of one side, 0 where nothing exists, and which examples have bad ones.

    Args:
        marginals: `[B, N]`, or None.
        ones: `[B or 1, N]`, 1 for what exists.
        other: The masses of the other side, or None.

    Returns:
        `[B, N]`; bool `[B, 1]`.
    """
    if marginals is None:
        first = other[:, :1]
        return ones + tf.zeros_like(first), tf.zeros_like(first, tf.bool)
    exists = ones > 0
    bad = exists & ~((marginals >= 0) & tf.math.is_finite(marginals))
    # The gradient to a mass of 0 is 0.
    good = exists & (marginals > 0) & tf.math.is_finite(marginals)
    positive = tf.where(good, marginals, tf.zeros_like(marginals))
    return positive, tf.reduce_any(bad, 1, keepdims=True)


def _ratio(a, b):
    """a / b, and 0 where b is 0, where the derivative is 0 too."""
    return tf.where(b > 0, a, tf.zeros_like(a)) / tf.where(b > 0, b, tf.ones_like(b))


def _extend_complete(x, n_rows, n_cols):
    short_rows, short_cols = _excess(n_cols, n_rows), _excess(n_rows, n_cols)
    x = _with_slack(x, _at_most_one(short_rows), _at_most_one(short_cols))
    return Problem(
        x=x,
        row_masses=_masses(x, 1, n_rows, short_rows),
        col_masses=_masses(x, 2, n_cols, short_cols),
        n_rows=n_rows,
        n_cols=n_cols,
        exists=None,
    )


def _with_slack(x, rows, cols):
    # A size that only a graph knows is none of Python's conditions.
    if all(isinstance(size, int) and size == 0 for size in (rows, cols)):
        return x
    return tf.pad(x, [[0, 0], [0, rows], [0, cols]])


def _excess(a, b):
    """`a - b`, at least 0: an int if both are known."""
    if isinstance(a, int) and isinstance(b, int):
        return max(a - b, 0)
    return tf.maximum(a - b, 0)


def _at_most_one(size):
    return min(size, 1) if isinstance(size, int) else tf.minimum(size, 1)


def _masses(x, axis, size, slack):
    """Masses of 1, and that of the slack if there is one: `[1, .]`, or None."""
    if isinstance(slack, int) and slack == 0:
        return None
    index = tf.range(batching.static_or_dynamic(x, axis))
    return tf.where(index < size, tf.ones([], x.dtype), tf.cast(slack, x.dtype))[None]


def _ones(mask, x, size):
    return tf.ones([1, size], x.dtype) if mask is None else tf.cast(mask, x.dtype)


def _sum(x):
    return tf.reduce_sum(x, 1, keepdims=True)


def _weighted(x, weights):
    return x * tf.cast(weights, x.dtype)


def _restrict(values, masses, size):
    if masses is None:
        return values
    return tf.where(masses > 0, values, tf.zeros_like(values))[:, :size]
