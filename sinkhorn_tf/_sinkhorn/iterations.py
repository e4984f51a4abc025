"""The Sinkhorn iterations in the kernel domain, stabilised.

With log potentials `a, b` (rows, columns) the iterations of Mena et al. (2018), eq. 1
are

    a^l = -logsumexp_j(z + b^(l-1)),   b^l = -logsumexp_i(z + a^l),   b^0 = 0,

and `S^l = exp(z + a^l + b^l)`. Around a *base* `(a, b)` the same steps are two
products with the fixed kernel `K = exp(z + a + b)`: `u = 1 / (K v)`,
`v = 1 / (K^T u)`; the potentials are `a + log u` and `b + log v`. With masses `r, c`
other than 1, of a slack, `u = r / (K v)` and `v = c / (K^T u)`.

*Nothing that matters underflows.* An entry of K that was flushed to zero adds less
than `tiny * max(u) * max(v)` to the plan. The first base makes the largest entry of
every row and column 1, which puts the first u and v between 1/N and N. A second u
differs from the first by the row sums, weighted means of inverse column sums of a
matrix whose rows sum to 1: again a factor between 1/N and N. (With sides, N is their
total over the smallest: still the longer side, and one factor more for the first v of a
slack.) No later step changes a
scaling by more than the step before, since the half steps are non-expansive in the
largest difference of the logarithms. So the steps go in short blocks: an example absorbs
its scalings into its base where, with as much growth as the last step had, they could
outgrow in the next block what the format holds. Few examples do: none in 20 iterations of
unit normal logits at t = 0.01, N = 100.

*Nothing is computed twice.* An example whose scalings did not change any more, to
within rounding, has `S^L` already for every larger L, and takes no further block.
The batch runs until its slowest example is done; results never depend on the other
examples.
"""

import math
import typing

import numpy as np
import tensorflow as tf

from sinkhorn_tf._core import batching
from sinkhorn_tf._sinkhorn.kernel_products import (
    col_sums,
    is_large,
    is_small,
    row_sums,
)
from sinkhorn_tf._sinkhorn.trajectory import Block, Trajectory

# Pairs of a largest N and the largest number of iterations between two checks of the
# scalings: a longer block notices later that an example has settled, a shorter one
# spends more time on checks.
_MAX_BLOCK_LENGTHS = ((24, 12), (64, 8), (math.inf, 5))
# Stands for an N that is known only when the graph runs.
_UNKNOWN_N = 1000
# Stands for the total of given masses over the smallest one.
_GIVEN_SPREAD = 1e6
# The logarithms of scalings may grow at least so far before they are absorbed.
_MIN_ROOM = math.log(1e3)
# A scaling that changes in an iteration by no more than this, relatively and in units
# of the machine's epsilon, changes by rounding alone; 2.5 was seen at N = 9 to 1024.
_MAX_CHANGE_BY_ROUNDING = 4


class _Point(typing.NamedTuple):
    """The point between two blocks."""

    kernel: tf.Tensor  # [B, N, M]
    row_base: tf.Tensor  # [B, N, 1]
    col_base: tf.Tensor  # [B, 1, M]
    u: tf.Tensor  # [B, N, 1]
    v: tf.Tensor  # [B, 1, M]
    active: tf.Tensor  # bool [B], False once there is nothing left to do
    change: tf.Tensor  # [B], bounds how much log u and log v change in an iteration
    left: tf.Tensor  # int32 [B], iterations not taken yet


def iterate(z, sides, n_iters, tolerance=None, keeps=True):
    """Runs the iterations.

    Args:
        z: Scaled logits, float32 or float64 `[B, N, M]`, of which each row's largest
            is 0; `-inf` forbids a pair. NaN gives that example a plan of NaN.
        sides: The `marginals.Sides`; the shapes here are those of rows as axis 1.
        n_iters: Python int >= 1.
        tolerance: If given, an example stops after the first iteration whose row
            sums are within `tolerance` of their masses.
        keeps: Whether to keep the trajectory for `unrolled_gradient`, which takes
            memory of the order of `n_iters B N`.

    Returns:
        `(plan, trajectory)`: the plan `S^l(z)`, shape `[B, N, M]`, and its
        `Trajectory`, or None without `keeps`.
    """
    # With a tolerance every single step after the first may be an example's last.
    length = 1 if tolerance is not None else _block_length(z, sides, n_iters)
    first = n_iters % length or length
    blocks = (n_iters - first) // length
    # Two small blocks one after the other take less time than looking and a loop.
    in_loop = blocks if tolerance is not None or blocks > 1 or not is_small(z) else 0
    settles = tolerance is None and in_loop > 0
    start = _start(z, sides, n_iters)
    # There is nothing to absorb at the start.
    point, block = _take_steps(start, sides, first, None, settles, absorbed=None)
    head, loop = [block], None
    if in_loop:
        point, loop = _loop(z, sides, point, in_loop, length, tolerance, keeps)
    elif blocks:
        point, block = _next_block(z, sides, point, length, None, settles)
        head.append(block)
    plan = point.u * point.kernel * point.v
    settled = point.left if settles else None
    if not keeps:
        return plan, None
    kernel = None if is_large(z) else point.kernel
    last = (kernel, point.row_base, point.col_base, point.u, point.v)
    return plan, Trajectory(head, loop, *last, settled, blocks, length)


def _block_length(z, sides, n_iters):
    n = max(_sizes(z))
    longest = next(length for size, length in _MAX_BLOCK_LENGTHS if n <= size)
    while longest > 1:
        flushed, squared = _limits_of_growth(z)
        growth = longest * _largest_change(z, sides)
        if min(flushed - 2 * growth, squared - growth) >= _MIN_ROOM:
            break
        longest -= 1
    return math.ceil(n_iters / math.ceil(n_iters / longest))


def _limits_of_growth(z):
    """The largest logs of `max(u) max(v)`, and of a single scaling.

    Entries that were flushed to zero stay below rounding while
    `N tiny max(u) max(v) < eps`, and the backward pass squares the scalings.
    """
    limits = np.finfo(z.dtype.as_numpy_dtype)
    n = max(_sizes(z))
    flushed = math.log(float(limits.eps)) - math.log(n * float(limits.tiny))
    squared = math.log(float(limits.max)) / 2 - math.log(10)
    return flushed, squared


def _largest_change(z, sides):
    """A bound of the change of the log scalings in any iteration after the first base.

    It is log N, or the log of the spread of the masses.
    """
    return math.log(_GIVEN_SPREAD if sides.are_given else max(_sizes(z)))


def _sizes(z):
    return [size or _UNKNOWN_N for size in z.shape[1:]]


def _start(z, sides, n_iters):
    col_max = tf.reduce_max(z, axis=sides.rows_axis, keepdims=True)
    # A column without any allowed pair has the sum 0 whatever its base is.
    col_base = tf.where(col_max == -math.inf, tf.zeros_like(col_max), -col_max)
    row_base = tf.zeros_like(z[:, :, :1] if sides.rows_axis == 1 else z[:, :1])
    return _Point(
        kernel=tf.exp(z + col_base),
        row_base=row_base,
        col_base=col_base,
        u=tf.ones_like(row_base),
        # `b^0 = 0`.
        v=tf.exp(-col_base),
        active=tf.ones(tf.shape(z)[:1], tf.bool),
        change=tf.fill(
            tf.shape(z)[:1], tf.constant(_largest_change(z, sides), z.dtype)
        ),
        left=tf.fill(tf.shape(z)[:1], n_iters),
    )


def _loop(z, sides, point, count, steps, tolerance, keeps):
    """Takes at most `count` blocks.

    Returns:
        The point after them, and a `Block` of their parts, stacked; None without
        `keeps`.
    """

    def body(index, point, arrays):
        point, block = _next_block(
            z, sides, point, steps, tolerance, settles=tolerance is None
        )
        if keeps:
            arrays = tf.nest.map_structure(
                lambda array, part: array.write(index, part), arrays, block
            )
        return index + 1, point, arrays

    arrays = _arrays_of_blocks(point, count, steps) if keeps else ()
    _, point, arrays = tf.while_loop(
        lambda index, point, _: tf.reduce_any(point.active),
        body,
        (tf.constant(0), point, arrays),
        maximum_iterations=count,
    )
    if not keeps:
        return point, None
    return point, tf.nest.map_structure(lambda array: array.stack(), arrays)


def _arrays_of_blocks(point, count, steps):
    """A `Block` of TensorArrays for `count` blocks, filled with zeros.

    They are filled since the backward pass reads the blocks that were not taken, too.
    """

    def stack(x):
        return tf.repeat(x[None], steps, axis=0)

    def fill(part):
        zeros = tf.repeat(tf.zeros_like(part)[None], count, 0)
        return tf.TensorArray(part.dtype, size=count).unstack(zeros)

    parts = Block(
        row_base=point.row_base,
        col_base=point.col_base,
        v_start=point.col_base,
        u=stack(point.row_base),
        v=stack(point.col_base),
        taken=point.active,
        absorbed=point.active,
    )
    return tf.nest.map_structure(fill, parts)


def _next_block(z, sides, point, steps, tolerance, settles):
    """`steps` iterations of the active examples: the point after them, the `Block`."""
    point, absorbed = _absorb(z, sides, point, steps)
    return _take_steps(point, sides, steps, tolerance, settles, absorbed)


def _take_steps(point, sides, steps, tolerance, settles, absorbed):
    taken = point.active
    us, vs = [], [point.v]
    for _ in range(steps):
        sums = row_sums(point.kernel, vs[-1], sides.rows_axis)
        us.append(_scaling(sides.rows, sums))
        of_cols = col_sums(point.kernel, us[-1], sides.rows_axis)
        vs.append(_scaling(sides.cols, of_cols))
        if tolerance is not None:
            target = 1 if sides.rows is None else sides.rows
            taken &= _any(tf.abs(point.u * sums - target) > tolerance)
    # NaN counts as no change: no step changes it.
    before, after = tf.stop_gradient(vs[-2]), tf.stop_gradient(vs[-1])
    ratio = tf.where(after > 0, before / after, tf.ones_like(after))
    high, low = tf.reduce_max(ratio, [1, 2]), tf.reduce_min(ratio, [1, 2])
    moving = taken
    if settles:
        epsilon = np.finfo(point.kernel.dtype.as_numpy_dtype).eps
        rounding = _MAX_CHANGE_BY_ROUNDING * epsilon
        moving &= (high > 1 + rounding) | (low < 1 - rounding)
    change = tf.math.log(tf.maximum(high, 1 / low))
    block = Block(
        row_base=point.row_base,
        col_base=point.col_base,
        v_start=point.v,
        u=tf.stack(us),
        v=tf.stack(vs[1:]),
        taken=taken,
        absorbed=absorbed,
    )
    point = point._replace(
        u=batching.where(taken, us[-1], point.u),
        v=batching.where(taken, vs[-1], point.v),
        active=moving,
        change=batching.where(taken, tf.minimum(change, point.change), point.change),
        left=point.left - tf.where(taken, steps, 0),
    )
    return point, block


def _absorb(z, sides, point, steps):
    """Moves scalings into the bases that could grow too far in the next `steps`."""
    flushed, squared = _limits_of_growth(z)
    # The smallest u is at least `1 / (N max(v))`, and its square must not be flushed: the
    # backward pass would lose the gradient of that row.
    tiny = float(np.finfo(z.dtype.as_numpy_dtype).tiny)
    squared = min(squared, -math.log(tiny) / 2 - _largest_change(z, sides))
    of_u, of_v = _largest_growth(point.u), _largest_growth(point.v)
    most = steps * point.change
    grown = of_u + of_v > flushed - 2 * most
    grown |= tf.maximum(of_u, of_v) > squared - most
    grown &= point.active
    new_row_base = point.row_base + _log_of_positive(point.u)
    new_col_base = point.col_base + _log_of_positive(point.v)
    row_base = batching.where(grown, new_row_base, point.row_base)
    col_base = batching.where(grown, new_col_base, point.col_base)
    point = point._replace(
        kernel=update_kernel(z, point.kernel, row_base, col_base, grown),
        row_base=row_base,
        col_base=col_base,
        u=batching.where(grown, tf.ones_like(point.u), point.u),
        v=batching.where(grown, tf.ones_like(point.v), point.v),
    )
    return point, grown


def _largest_growth(x):
    """The logarithm of the largest scaling of each example, at least 0: `[B]`."""
    return tf.math.log(tf.maximum(tf.reduce_max(x, axis=[1, 2]), 1))


def _log_of_positive(x):
    """log(x), and 0 where x is 0."""
    return tf.math.log(tf.where(x > 0, x, tf.ones_like(x)))


def update_kernel(z, kernel, row_base, col_base, examples):
    """Makes the kernel of these bases in some examples, and keeps it in the others.

    Args:
        z: `[B, N, M]`.
        kernel: The kernel until now, `[B, N, M]`.
        row_base, col_base: `[B, N, 1]` and `[B, 1, M]`.
        examples: bool `[B]`.
    """

    def update():
        return batching.where(examples, tf.exp(z + row_base + col_base), kernel)

    if is_small(z):
        return update()
    return tf.cond(tf.reduce_any(examples), update, lambda: kernel)


def _scaling(masses, sums):
    """masses / sums, and 0 for a row or column without any allowed pair."""
    masses = tf.ones([], sums.dtype) if masses is None else masses
    return tf.math.divide_no_nan(masses, sums)


def _any(condition):
    """Whether a condition holds anywhere in an example: `[B, ., .]` -> `[B]`."""
    return tf.reduce_any(condition, axis=[1, 2])
