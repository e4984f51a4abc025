"""The Sinkhorn iterations in the kernel domain, stabilised.

With log potentials `a, b` (rows, columns) the iterations of SN eq. 1 are

    a^l = -logsumexp_j(z + b^(l-1)),   b^l = -logsumexp_i(z + a^l),   b^0 = 0,

and `S^l = exp(z + a^l + b^l)`. Around a *base* `(a, b)` the same steps are two
products with the fixed kernel `K = exp(z + a + b)`: `u = 1 / (K v)`,
`v = 1 / (K^T u)`; the potentials are `a + log u` and `b + log v`.

*Nothing that matters underflows.* An entry of K that was flushed to zero adds less
than `tiny * max(u) * max(v)` to the plan. The first base makes the largest entry of
every row and column 1, which puts the first u and v between 1/N and N. A second u
differs from the first by the row sums, weighted means of inverse column sums of a
matrix whose rows sum to 1: again a factor between 1/N and N. No later step changes a
scaling by more than the step before, since the half steps are non-expansive in the
largest difference of the logarithms. So the steps go in short blocks: an example whose
scalings have grown absorbs them into its base, and within a block they cannot outgrow
what the format holds.

*Nothing is computed twice.* An example whose scalings did not change any more, to
within rounding, has `S^L` already for every larger L, and takes no further block.
Examples share the waiting for each other, never numbers.
"""

import math
import typing

import numpy as np
import tensorflow as tf

from sinkhorn_tf._sinkhorn.kernel_products import col_sums, is_small, row_sums

# Iterations between two looks at the scalings, at most, for N up to a size: a longer
# block finds later that an example has settled, a shorter one spends more on looking.
_LONGEST_BLOCKS = ((24, 12), (64, 8), (math.inf, 5))
# Taken for an N that is only known when the graph runs.
_LARGE = 1000
# The least room for scalings to grow in before they are absorbed.
_LEAST_ROOM = 1e3
# Relative change of a scaling in an iteration that is rounding alone, in units of
# the machine's epsilon; 2.5 are seen at N = 9 to 1024.
_SETTLED = 4


class Block(typing.NamedTuple):
    """What the backward pass needs of a block of iterations.

    Attributes:
        row_base, col_base: Bases during the block, `[B, N, 1]` and `[B, 1, N]`.
        v_start: Scalings of the columns before the block, `[B, 1, N]`.
        u, v: Scalings after each step, `[length, B, N, 1]` and `[length, B, 1, N]`.
        taken: Whether the example took the block, bool `[B]`.
        absorbed: Whether its base changed just before the block, bool `[B]`; None if
            that cannot be.
    """

    row_base: tf.Tensor
    col_base: tf.Tensor
    v_start: tf.Tensor
    u: tf.Tensor
    v: tf.Tensor
    taken: tf.Tensor
    absorbed: tf.Tensor | None


class Trajectory(typing.NamedTuple):
    """The iterations that were taken, for the backward pass.

    Attributes:
        head: The blocks that were taken first, in their order.
        loop: Those after them, each part stacked with the block as the first axis;
            None if there are none.
        kernel: The kernel of the last base, `[B, N, N]`.
        settled: How many of the iterations were not taken because they would have
            changed nothing, int32 `[B]`; None if that cannot be.
        blocks, length: How many blocks follow the first one at most, and the
            iterations in each of them, Python ints.
    """

    head: list[Block]
    loop: Block | None
    kernel: tf.Tensor
    settled: tf.Tensor | None
    blocks: int
    length: int


class _Point(typing.NamedTuple):
    """The point between two blocks."""

    kernel: tf.Tensor  # [B, N, N]
    row_base: tf.Tensor  # [B, N, 1]
    col_base: tf.Tensor  # [B, 1, N]
    u: tf.Tensor  # [B, N, 1]
    v: tf.Tensor  # [B, 1, N]
    active: tf.Tensor  # bool [B], False once there is nothing left to do
    left: tf.Tensor  # int32 [B], iterations not taken yet


def iterate(z, n_iters, tolerance=None, keeps=True):
    """Runs the iterations.

    Args:
        z: Scaled logits, float32 or float64 `[B, N, N]`, of which each row's largest
            is 0; `-inf` forbids a pair. NaN gives that example a plan of NaN.
        n_iters: Python int >= 1.
        tolerance: If given, an example stops after the first iteration whose row
            sums are within `tolerance` of 1.
        keeps: Whether to keep what `unrolled_gradient` needs, memory of the order of
            `n_iters B N`.

    Returns:
        `(plan, trajectory)`: the plan `S^l(z)`, shape `[B, N, N]`, and the `Trajectory`
        if it was to be kept.
    """
    # With a tolerance every single step after the first may be an example's last.
    length = 1 if tolerance is not None else _block_length(z, n_iters)
    first = n_iters % length or length
    blocks = (n_iters - first) // length
    # Two small blocks one after the other take less time than looking and a loop.
    in_loop = blocks if tolerance is not None or blocks > 1 or not is_small(z) else 0
    settles = tolerance is None and in_loop > 0
    point, block = _block(z, _start(z, n_iters), first, None, settles, is_first=True)
    head, loop = [block], None
    if in_loop:
        point, loop = _loop(z, point, in_loop, length, tolerance, keeps)
    elif blocks:
        point, block = _block(z, point, length, None, settles)
        head.append(block)
    plan = point.u * point.kernel * point.v
    settled = point.left if settles else None
    if not keeps:
        return plan, None
    return plan, Trajectory(head, loop, point.kernel, settled, blocks, length)


def _block_length(z, n_iters):
    n = z.shape[-1] or _LARGE
    longest = next(length for size, length in _LONGEST_BLOCKS if n <= size)
    while longest > 1 and _room(z, longest) < _LEAST_ROOM:
        longest -= 1
    return math.ceil(n_iters / math.ceil(n_iters / longest))


def _room(z, length):
    """How far the scalings may have grown before a block of `length` steps.

    A block of m steps multiplies each scaling by at most `N^m`. Entries that were
    flushed to zero stay below rounding while `N tiny max(u) max(v) < eps`, and the
    backward pass squares the scalings.
    """
    limits = np.finfo(z.dtype.as_numpy_dtype)
    n = z.shape[-1] or _LARGE
    growth = length * math.log(n)
    flushed = math.log(float(limits.eps)) - math.log(n * float(limits.tiny))
    squared = math.log(float(limits.max)) / 2 - math.log(10)
    return math.exp(min(flushed - 2 * growth, squared - growth))


def _start(z, n_iters):
    col_max = tf.reduce_max(z, axis=1, keepdims=True)
    # A column without any allowed pair has the sum 0 whatever its base is.
    col_base = tf.where(col_max == -math.inf, tf.zeros_like(col_max), -col_max)
    row_base = tf.zeros_like(z[:, :, :1])
    return _Point(
        kernel=tf.exp(z + col_base),
        row_base=row_base,
        col_base=col_base,
        u=tf.ones_like(row_base),
        # `b^0 = 0`.
        v=tf.exp(-col_base),
        active=tf.ones(tf.shape(z)[:1], tf.bool),
        left=tf.fill(tf.shape(z)[:1], n_iters),
    )


def _loop(z, point, count, steps, tolerance, keeps):
    """At most `count` blocks: the point after them, the parts of the `Block`s stacked."""

    def body(index, point, arrays):
        point, block = _block(z, point, steps, tolerance, tolerance is None)
        arrays = [a.write(index, x) for a, x in zip(arrays, block, strict=False)]
        return index + 1, point, arrays

    parts = []
    if keeps:
        rows, columns = point.row_base, point.col_base
        stack = lambda x: tf.repeat(x[None], steps, axis=0)
        parts = [rows, columns, columns, stack(rows), stack(columns)]
        parts += [point.active, point.active]
    # Filled, since whoever reads them asks for blocks that were not taken, too.
    arrays = [
        tf.TensorArray(part.dtype, size=count).unstack(tf.repeat(part[None], count, 0))
        for part in map(tf.zeros_like, parts)
    ]
    _, point, arrays = tf.while_loop(
        lambda index, point, _: tf.reduce_any(point.active),
        body,
        (tf.constant(0), point, arrays),
        maximum_iterations=count,
    )
    return point, Block(*(a.stack() for a in arrays)) if keeps else None


def _block(z, point, steps, tolerance, settles, is_first=False):
    """`steps` iterations of the active examples: the point after them, the `Block`."""
    absorbed = None
    if not is_first:
        point, absorbed = _absorb(z, point, _room(z, steps))
    taken = point.active
    us, vs = [], [point.v]
    for _ in range(steps):
        sums = row_sums(point.kernel, vs[-1])
        us.append(_inverse(sums))
        vs.append(_inverse(col_sums(point.kernel, us[-1])))
        if tolerance is not None:
            taken &= _any(tf.abs(point.u * sums - 1) > tolerance)
    moving = taken
    if settles:
        # False for NaN, too: nothing changes it.
        change = _SETTLED * np.finfo(z.dtype.as_numpy_dtype).eps
        moving &= _any(tf.abs(vs[-1] - vs[-2]) > change * vs[-1])
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
        u=_where(taken, us[-1], point.u),
        v=_where(taken, vs[-1], point.v),
        active=moving,
        left=point.left - tf.where(taken, steps, 0),
    )
    return point, block


def _absorb(z, point, room):
    """Moves scalings that have grown by more than `room` into the bases."""
    largest = lambda x: tf.maximum(tf.reduce_max(x, axis=[1, 2]), 1)
    grown = point.active & (largest(point.u) * largest(point.v) > room)
    log = lambda x: tf.math.log(tf.where(x > 0, x, tf.ones_like(x)))
    one = lambda x: _where(grown, tf.ones_like(x), x)
    row_base = _where(grown, point.row_base + log(point.u), point.row_base)
    col_base = _where(grown, point.col_base + log(point.v), point.col_base)
    point = point._replace(
        kernel=renewed(z, point.kernel, row_base, col_base, grown),
        row_base=row_base,
        col_base=col_base,
        u=one(point.u),
        v=one(point.v),
    )
    return point, grown


def renewed(z, kernel, row_base, col_base, where):
    """The kernel of these bases in the examples `where`, the old one elsewhere."""
    new = lambda: _where(where, tf.exp(z + row_base + col_base), kernel)
    if is_small(z):
        return new()
    return tf.cond(tf.reduce_any(where), new, lambda: kernel)


def _inverse(sums):
    """1 / sums, and 0 for a row or column without any allowed pair."""
    return tf.math.divide_no_nan(tf.ones([], sums.dtype), sums)


def _any(condition):
    """Whether it holds anywhere in an example: `[B, ...]` -> `[B]`."""
    return tf.reduce_any(condition, axis=[1, 2])


def _where(examples, x, y):
    return tf.where(examples[:, None, None], x, y)
