"""Permutations as lists and as matrices.

In list form, int32 `perm[..., i] = j`: item i goes to position j. In matrix form
`P[..., i, j] = 1`. An entry of -1 is an item without a position. A function that finds no
permutation returns a list of -1 alone. There may be more or fewer positions than items:
`n_positions` then tells how many, since a list does not. Lists may be of any integer
dtype; an integer outside 0 ... M - 1, for M positions, is no position, however large.
"""

from __future__ import annotations

import tensorflow as tf

from sinkhorn_tf._core import arguments, batching
from sinkhorn_tf._core.arguments import TensorLike
from sinkhorn_tf._core.conversion import to_numbers
from sinkhorn_tf._core.refusals import takes_tensors
from sinkhorn_tf._core.seeds import to_seed
from sinkhorn_tf._permutation_arguments import to_items, to_n_positions, to_shape

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
def to_matrix(
    perm: TensorLike,
    dtype: tf.DType = tf.float32,
    *,
    n_positions: int | TensorLike | None = None,
) -> tf.Tensor:
    """Permutation matrices of permutation lists.

    Args:
        perm: Integers `[..., N]`.
        dtype: Dtype of the result.
        n_positions: M, the number of positions: an int >= 1 or a scalar int tensor. It is
            needed whenever there are not as many positions as items; None means N.

    Returns:
        `[..., N, M]`. The row of an entry that is no position is 0 throughout, whether
        the entry is -1, another negative number, or M or more; the other rows do not
        change with it. Two equal entries give two equal rows.

    Raises:
        TypeError, ValueError: If an argument is of the wrong kind, shape or size.

    Example:
        >>> st.permutations.to_matrix([2, 0, 1], dtype=tf.int32).numpy().tolist()
        [[0, 0, 1], [1, 0, 0], [0, 1, 0]]
        >>> st.permutations.to_matrix([2, -1], tf.int32, n_positions=3).numpy().tolist()
        [[0, 0, 1], [0, 0, 0]]
    """
    perm = arguments.to_permutation_lists(perm, "perm")
    dtype = arguments.to_dtype(dtype, "dtype")
    return tf.one_hot(perm, to_n_positions(n_positions, perm), dtype=dtype)


@takes_tensors()
def from_matrix(matrix: TensorLike) -> tf.Tensor:
    """Permutation lists of permutation matrices.

    Args:
        matrix: `[..., N, M]` of zeros and ones, any numeric dtype.

    Returns:
        int32 `[..., N]`: -1 for a row of zeros; -1 throughout where a matrix has other
        numbers, or two ones in a row or column. For soft matrices use `matching`.

    Raises:
        TypeError, ValueError: If dtype or shape are out of range.

    Example:
        >>> matrix = [[0, 0, 1], [1, 0, 0], [0, 1, 0]]
        >>> st.permutations.from_matrix(matrix).numpy().tolist()
        [2, 0, 1]
        >>> st.permutations.from_matrix([[0, 0, 1], [0, 0, 0]]).numpy().tolist()
        [2, -1]
    """
    matrix = to_numbers(matrix, "matrix")
    rank = matrix.shape.rank
    if rank is None or rank < 2 or 0 in matrix.shape[-2:]:
        raise ValueError(
            "matrix must have shape [..., N, M] with N, M >= 1. "
            f"Received: matrix.shape={matrix.shape}"
        )
    ones, zeros = tf.equal(matrix, 1), tf.equal(matrix, 0)
    counts = tf.cast(ones, tf.int32)
    perm = tf.argmax(counts, axis=-1, output_type=tf.int32)
    in_rows = tf.reduce_sum(counts, -1)
    valid = (
        tf.reduce_all(ones | zeros, axis=[-2, -1])
        & tf.reduce_all(in_rows <= 1, -1)
        & tf.reduce_all(tf.reduce_sum(counts, -2) <= 1, -1)
    )
    return tf.where(valid[..., None] & (in_rows == 1), perm, -1)


@takes_tensors()
def is_permutation(
    perm: TensorLike,
    *,
    partial: bool = False,
    n_positions: int | TensorLike | None = None,
) -> tf.Tensor:
    """Whether each list puts its items at positions of their own.

    With the default arguments: whether it holds 0 ... N - 1 once.

    Args:
        perm: Integers `[..., N]`.
        partial: Whether items without a position, -1, are allowed.
        n_positions: The number of positions, as in `to_matrix`.

    Returns:
        bool `[...]`.

    Raises:
        TypeError, ValueError: If an argument is of the wrong kind, shape or size.

    Example:
        >>> st.permutations.is_permutation([[2, 0, 1], [2, 0, 2]]).numpy().tolist()
        [True, False]
        >>> bool(st.permutations.is_permutation([2, -1, -1], partial=True))
        True
    """
    perm = arguments.to_permutation_lists(perm, "perm")
    partial = arguments.to_bool(partial, "partial")
    n_positions = to_n_positions(n_positions, perm)
    ordered = tf.sort(perm, axis=-1)
    low, high = ordered[..., :-1], ordered[..., 1:]
    least = -1 if partial else 0
    return tf.reduce_all(
        (ordered >= least) & (ordered < n_positions), axis=-1
    ) & tf.reduce_all((low != high) | (high == -1), axis=-1)


@takes_tensors()
def inverse(
    perm: TensorLike, *, n_positions: int | TensorLike | None = None
) -> tf.Tensor:
    """The inverse: `inverse(perm)[perm[i]] = i`.

    Args:
        perm: Integers `[..., N]`, -1 for an item without a position.
        n_positions: M, the number of positions, needed whenever there are not as many
            positions as items, as in `to_matrix`.

    Returns:
        int32 `[..., M]`: for each position the item that takes it, -1 if none does. A
        list that puts two items at one position, or has an entry other than -1 that is
        no position (such as M or more), has no inverse: the result is -1 throughout.

    Raises:
        TypeError, ValueError: If an argument is of the wrong kind, shape or size.

    Example:
        >>> st.permutations.inverse([2, 0, 1]).numpy().tolist()
        [1, 2, 0]
        >>> st.permutations.inverse([3, -1, 0], n_positions=4).numpy().tolist()
        [2, -1, -1, 0]
    """
    perm = arguments.to_permutation_lists(perm, "perm")
    n = to_n_positions(n_positions, perm)
    (flat,), batch = batching.flatten(perm[..., None])
    flat = tf.squeeze(flat, -1)
    size = tf.shape(flat)
    # Items without a position take one more, which is cut off.
    taken = (flat >= 0) & (flat < n)
    place = tf.where(taken, flat, n) + (n + 1) * tf.range(size[0])[:, None]
    items = tf.broadcast_to(tf.range(size[1]), size)
    result = tf.math.unsorted_segment_max(items, place, size[0] * (n + 1))
    # Of two items at one position the other one is not found there.
    alone = tf.where(taken, tf.gather(result, place) == items, flat == -1)
    valid = tf.reduce_all(alone, axis=1, keepdims=True)
    result = tf.reshape(result, [size[0], n + 1])[:, :n]
    result = tf.where(valid, tf.maximum(result, -1), -1)
    known = n if isinstance(n, int) else None
    return batch.unflatten(result, inner=[known])


@takes_tensors()
def compose(p: TensorLike, q: TensorLike) -> tf.Tensor:
    """First `p`, then `q`: `compose(p, q)[i] = q[p[i]]`.

    Matrices multiply in the same order: `to_matrix(p) @ to_matrix(q)`.

    Args:
        p, q: Integers `[..., N]`, -1 for an item without a position; batch dimensions
            broadcast.

    Returns:
        int32 `[..., N]`: -1 for an item that either leaves without a position. Where
        either puts two items at one position, or has an entry other than -1 that is no
        position, the result is -1 throughout.

    Raises:
        TypeError, ValueError: If an argument is of the wrong kind, or the shapes differ.

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
    valid = is_permutation(p, partial=True) & is_permutation(q, partial=True)
    shape = batching.broadcast_shape(batching.sizes(p), batching.sizes(q))
    p, q = tf.broadcast_to(p, shape), tf.broadcast_to(q, shape)
    valid = valid[..., None] & (p >= 0)
    safe = tf.where(valid, p, 0)
    result = tf.gather(q, safe, batch_dims=max(safe.shape.rank - 1, 0))
    return tf.where(valid, result, -1)


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
    batch_shape = to_shape(batch_shape)
    # With 64 bits there are no ties, which a stable sort would resolve with a bias.
    keys = tf.random.stateless_uniform(
        tf.concat([batch_shape, [n]], 0),
        to_seed(seed),
        None,
        None,
        tf.int64,
        alg="philox",
    )
    return tf.argsort(keys, axis=-1, stable=True)


@takes_tensors("st.Restore")
def apply(
    perm: TensorLike,
    items: TensorLike,
    *,
    n_positions: int | TensorLike | None = None,
) -> tf.Tensor:
    """Moves item i to position `perm[i]`: `restored[..., perm[i], :] = items[..., i, :]`.

    Args:
        perm: Integers `[..., N]`, -1 for an item that goes nowhere.
        items: `[..., N, ...]` of any dtype: the batch dimensions of `perm` (which
            broadcast), then N items of any shape.
        n_positions: M, the number of positions, needed whenever there are not as many
            positions as items, as in `to_matrix`.

    Returns:
        Items in their places, `[..., M, ...]` of the dtype of `items`: 0, False or an
        empty string where no item comes. Where `perm` has no inverse (see `inverse`), no
        item comes anywhere.

    Raises:
        TypeError, ValueError: If an argument is of the wrong kind, or the shapes do not
            fit.

    Example:
        >>> st.permutations.apply([2, 0, 1], ["c", "a", "b"]).numpy().tolist()
        [b'a', b'b', b'c']
        >>> st.permutations.apply([2, -1], [5, 6], n_positions=3).numpy().tolist()
        [0, 0, 5]
    """
    perm, items = arguments.to_permutation_lists(perm, "perm"), to_items(items)
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
    source = inverse(perm, n_positions=n_positions)
    if batch_rank:
        batch = batching.broadcast_shape(
            batching.sizes(perm, 0, -1), batching.sizes(items, 0, batch_rank)
        )
        source = tf.broadcast_to(source, tf.concat([batch, tf.shape(source)[-1:]], 0))
        items = tf.broadcast_to(
            items, tf.concat([batch, tf.shape(items)[batch_rank:]], 0)
        )
    valid = source >= 0
    if items.shape[batch_rank] == 0:
        # There is no item that could stand for those that do not come.
        paddings = [[0, int(axis == batch_rank)] for axis in range(items.shape.rank)]
        items = tf.pad(items, paddings, constant_values=tf.zeros([], items.dtype))
    moved = tf.gather(items, tf.where(valid, source, 0), batch_dims=batch_rank)
    valid = tf.reshape(
        valid,
        tf.concat(
            [tf.shape(valid), tf.ones(moved.shape.rank - batch_rank - 1, tf.int32)], 0
        ),
    )
    return tf.where(valid, moved, tf.zeros_like(moved))
