"""Permutations as lists and as matrices.

In list form, int32 `perm[..., i] = j`: item i goes to position j. In matrix form
`P[..., i, j] = 1`. A list of -1 stands for "no permutation". Lists may be of any integer
dtype; an integer outside 0 ... N - 1 is no position, however large.
"""

from __future__ import annotations

import tensorflow as tf

from sinkhorn_tf._core import arguments, batching
from sinkhorn_tf._core.arguments import TensorLike
from sinkhorn_tf._core.conversion import to_numbers
from sinkhorn_tf._core.refusals import (
    CONVERSION_ERRORS,
    WrongKindError,
    shown,
    takes_tensors,
)

__all__ = [
    "apply",
    "compose",
    "from_matrix",
    "inverse",
    "is_permutation",
    "sample",
    "to_matrix",
]


@takes_tensors()
def to_matrix(perm: TensorLike, dtype: tf.DType = tf.float32) -> tf.Tensor:
    """Permutation matrices of permutation lists.

    Args:
        perm: Integers `[..., N]`.
        dtype: Dtype of the result.

    Returns:
        `[..., N, N]`; an entry that is no position, such as -1, gives a row of zeros.

    Example:
        >>> st.permutations.to_matrix([2, 0, 1], dtype=tf.int32).numpy().tolist()
        [[0, 0, 1], [1, 0, 0], [0, 1, 0]]
    """
    perm = arguments.to_permutation_lists(perm, "perm")
    dtype = arguments.to_dtype(dtype, "dtype")
    return tf.one_hot(perm, batching.static_or_dynamic(perm, -1), dtype=dtype)


@takes_tensors()
def from_matrix(matrix: TensorLike) -> tf.Tensor:
    """Permutation lists of permutation matrices.

    Args:
        matrix: `[..., N, N]` of zeros and ones, any numeric dtype.

    Returns:
        int32 `[..., N]`; -1 throughout where a matrix is not a permutation. For soft
        matrices use `matching`.

    Example:
        >>> matrix = [[0, 0, 1], [1, 0, 0], [0, 1, 0]]
        >>> st.permutations.from_matrix(matrix).numpy().tolist()
        [2, 0, 1]
    """
    matrix = to_numbers(matrix, "matrix")
    if matrix.shape.rank is None or not arguments.is_square(matrix.shape):
        raise ValueError(
            "matrix must have shape [..., N, N] with N >= 1. "
            f"Received: matrix.shape={matrix.shape}"
        )
    ones, zeros = tf.equal(matrix, 1), tf.equal(matrix, 0)
    perm = tf.argmax(tf.cast(ones, tf.int32), axis=-1, output_type=tf.int32)
    counts = tf.cast(ones, tf.int32)
    valid = (
        tf.reduce_all(ones | zeros, axis=[-2, -1])
        & tf.reduce_all(tf.reduce_sum(counts, -1) == 1, -1)
        & tf.reduce_all(tf.reduce_sum(counts, -2) == 1, -1)
    )
    return tf.where(valid[..., None], perm, -1)


@takes_tensors()
def is_permutation(perm: TensorLike) -> tf.Tensor:
    """Whether each list holds 0 ... N - 1 once.

    Args:
        perm: Integers `[..., N]`.

    Returns:
        bool `[...]`.

    Example:
        >>> st.permutations.is_permutation([[2, 0, 1], [2, 0, 2]]).numpy().tolist()
        [True, False]
    """
    perm = arguments.to_permutation_lists(perm, "perm")
    n = batching.static_or_dynamic(perm, -1)
    return tf.reduce_all(tf.sort(perm, axis=-1) == tf.range(n), axis=-1)


@takes_tensors()
def inverse(perm: TensorLike) -> tf.Tensor:
    """The inverse: `inverse(perm)[perm[i]] = i`.

    Args:
        perm: Integers `[..., N]`.

    Returns:
        int32 `[..., N]`; -1 throughout where `perm` is no permutation.

    Example:
        >>> st.permutations.inverse([2, 0, 1]).numpy().tolist()
        [1, 2, 0]
    """
    perm = arguments.to_permutation_lists(perm, "perm")
    result = tf.argsort(perm, axis=-1, stable=True)
    return tf.where(is_permutation(perm)[..., None], result, -1)


@takes_tensors()
def compose(p: TensorLike, q: TensorLike) -> tf.Tensor:
    """First `p`, then `q`: `compose(p, q)[i] = q[p[i]]`.

    Matrices multiply in the same order: `to_matrix(p) @ to_matrix(q)`.

    Args:
        p, q: Integers `[..., N]`; batch dimensions broadcast.

    Returns:
        int32 `[..., N]`; -1 throughout where either is no permutation.

    Example:
        >>> perm = [2, 0, 1]
        >>> st.permutations.compose(perm, perm).numpy().tolist()
        [1, 2, 0]
        >>> inverse = st.permutations.inverse(perm)
        >>> st.permutations.compose(perm, inverse).numpy().tolist()
        [0, 1, 2]
    """
    p = arguments.to_permutation_lists(p, "p")
    q = arguments.to_permutation_lists(q, "q")
    if not arguments.fit(p.shape[:-1], q.shape[:-1]) or not (
        p.shape[-1:].is_compatible_with(q.shape[-1:])
    ):
        raise ValueError(
            "p and q must permute the same number of items, and their batch dimensions "
            f"must broadcast. Received: p.shape={p.shape}, q.shape={q.shape}"
        )
    valid = is_permutation(p) & is_permutation(q)
    shape = batching.broadcast_shape(batching.sizes(p), batching.sizes(q))
    p, q = tf.broadcast_to(p, shape), tf.broadcast_to(q, shape)
    safe = tf.where(valid[..., None], p, 0)
    result = tf.gather(q, safe, batch_dims=max(safe.shape.rank - 1, 0))
    return tf.where(valid[..., None], result, -1)


@takes_tensors()
def sample(
    batch_shape: TensorLike, n: int, seed: int | TensorLike | None = None
) -> tf.Tensor:
    """Draws uniformly random permutations.

    The same seed gives the same permutations in eager calls, graphs and XLA.

    Args:
        batch_shape: Tuple of ints or int tensor: the batch dimensions, `()` for one.
        n: Number of items, >= 1.
        seed: An int, two integers of 32 bits, or None for a fresh draw (eager only).

    Returns:
        int32 `[*batch_shape, n]`.

    Example:
        >>> perm = st.permutations.sample((2,), 5, seed=0)
        >>> perm.shape.as_list()
        [2, 5]
        >>> st.permutations.is_permutation(perm).numpy().tolist()
        [True, True]
    """
    n = arguments.to_count(n, "n", 1)
    batch_shape = _to_shape(batch_shape)
    # With 64 bits there are no ties, which a stable sort would resolve with a bias.
    keys = tf.random.stateless_uniform(
        tf.concat([batch_shape, [n]], 0),
        arguments.to_seed(seed),
        None,
        None,
        tf.int64,
        alg="philox",
    )
    return tf.argsort(keys, axis=-1, stable=True)


@takes_tensors("st.Restore")
def apply(perm: TensorLike, items: TensorLike) -> tf.Tensor:
    """Moves item i to position `perm[i]`: `restored[..., perm[i], :] = items[..., i, :]`.

    Args:
        perm: Integers `[..., N]`.
        items: `[..., N, ...]` of any dtype: the batch dimensions of `perm` (which
            broadcast), then N items of any shape.

    Returns:
        Items in their places, shape and dtype of `items` (with batch dimensions
        broadcast); 0 throughout where `perm` is no permutation.

    Example:
        >>> st.permutations.apply([2, 0, 1], ["c", "a", "b"]).numpy().tolist()
        [b'a', b'b', b'c']
    """
    perm, items = arguments.to_permutation_lists(perm, "perm"), _to_items(items)
    batch_rank = perm.shape.rank - 1
    if (
        items.shape.rank is None
        or items.shape.rank < batch_rank + 1
        or not arguments.fit(perm.shape[:-1], items.shape[:batch_rank])
        or not perm.shape[-1:].is_compatible_with(
            items.shape[batch_rank : batch_rank + 1]
        )
    ):
        raise ValueError(
            "items must have the batch dimensions of perm, then N items. "
            f"Received: perm.shape={perm.shape}, items.shape={items.shape}"
        )
    source = inverse(perm)
    if batch_rank:
        batch = batching.broadcast_shape(
            batching.sizes(perm, 0, -1), batching.sizes(items, 0, batch_rank)
        )
        source = tf.broadcast_to(source, tf.concat([batch, tf.shape(perm)[-1:]], 0))
        items = tf.broadcast_to(
            items, tf.concat([batch, tf.shape(items)[batch_rank:]], 0)
        )
    valid = source >= 0
    moved = tf.gather(items, tf.where(valid, source, 0), batch_dims=batch_rank)
    valid = tf.reshape(
        valid,
        tf.concat(
            [tf.shape(valid), tf.ones(moved.shape.rank - batch_rank - 1, tf.int32)], 0
        ),
    )
    return tf.where(valid, moved, tf.zeros_like(moved))


def _to_items(items):
    """Converts items of any dtype."""
    try:
        return tf.convert_to_tensor(items)
    except CONVERSION_ERRORS as error:
        raise WrongKindError(
            "items must be an array of numbers, booleans or strings. "
            f"Received: items={shown(items)}"
        ) from error


def _to_shape(batch_shape):
    """Converts batch dimensions, or a single one, to an int32 tensor of rank 1."""
    shape = batch_shape
    if isinstance(shape, tf.TensorShape):
        shape = tuple(shape)
    if isinstance(shape, (list, tuple)) and not shape:
        return tf.constant([], tf.int32)
    shape = to_numbers(shape, "batch_shape", keeps_integers=True)
    known = tf.get_static_value(shape)
    if not shape.dtype.is_integer or (shape.shape.rank or 0) > 1:
        raise WrongKindError(
            "batch_shape must be a tuple of ints. "
            f"Received: batch_shape={shown(batch_shape)}"
        )
    if known is not None and not ((known >= 0) & (known < 2**31)).all():
        raise ValueError(
            "batch_shape must be ints >= 0 that fit into 32 bits. "
            f"Received: batch_shape={shown(batch_shape)}"
        )
    # An int64 of a graph that is beyond 32 bits fails later instead of wrapping.
    return tf.reshape(tf.saturate_cast(shape, tf.int32), [-1])
