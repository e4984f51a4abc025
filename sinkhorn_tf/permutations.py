"""Permutations as lists and as matrices.

In list form, int32 `perm[..., i] = j`: item i goes to position j. In matrix form
`P[..., i, j] = 1`. A list of -1 stands for "no permutation".
"""

import tensorflow as tf

from sinkhorn_tf._core import arguments as _arguments
from sinkhorn_tf._core.arguments import TensorLike


def to_matrix(perm: TensorLike, dtype: tf.DType = tf.float32) -> tf.Tensor:
    """Permutation matrices of permutation lists.

    Args:
        perm: Integers `[..., N]`.
        dtype: Dtype of the result.

    Returns:
        `[..., N, N]`; an entry of -1 gives a row of zeros.
    """
    perm = _to_list(perm)
    return tf.one_hot(perm, _arguments.static_or_dynamic(perm, -1), dtype=dtype)


def from_matrix(matrix: TensorLike) -> tf.Tensor:
    """Permutation lists of permutation matrices.

    Args:
        matrix: `[..., N, N]` of zeros and ones, any numeric dtype.

    Returns:
        int32 `[..., N]`; -1 throughout where a matrix is not a permutation. For soft
        matrices use `matching`.
    """
    matrix = tf.convert_to_tensor(matrix)
    ones, zeros = tf.equal(matrix, 1), tf.equal(matrix, 0)
    perm = tf.argmax(tf.cast(ones, tf.int32), axis=-1, output_type=tf.int32)
    counts = tf.cast(ones, tf.int32)
    valid = (
        tf.reduce_all(ones | zeros, axis=[-2, -1])
        & tf.reduce_all(tf.reduce_sum(counts, -1) == 1, -1)
        & tf.reduce_all(tf.reduce_sum(counts, -2) == 1, -1)
    )
    return tf.where(valid[..., None], perm, -1)


def is_permutation(perm: TensorLike) -> tf.Tensor:
    """Whether each list holds 0 ... N - 1 once.

    Args:
        perm: Integers `[..., N]`.

    Returns:
        bool `[...]`.
    """
    perm = _to_list(perm)
    n = _arguments.static_or_dynamic(perm, -1)
    return tf.reduce_all(tf.sort(perm, axis=-1) == tf.range(n), axis=-1)


def inverse(perm: TensorLike) -> tf.Tensor:
    """The inverse: `inverse(perm)[perm[i]] = i`.

    Args:
        perm: Integers `[..., N]`.

    Returns:
        int32 `[..., N]`; -1 throughout where `perm` is no permutation.
    """
    perm = _to_list(perm)
    result = tf.argsort(perm, axis=-1, stable=True)
    return tf.where(is_permutation(perm)[..., None], result, -1)


def compose(p: TensorLike, q: TensorLike) -> tf.Tensor:
    """First `p`, then `q`: `compose(p, q)[i] = q[p[i]]`.

    Matrices multiply in the same order: `to_matrix(p) @ to_matrix(q)`.

    Args:
        p, q: Integers `[..., N]`; batch dimensions broadcast.

    Returns:
        int32 `[..., N]`; -1 throughout where either is no permutation.
    """
    p, q = _to_list(p), _to_list(q)
    if not p.shape[-1:].is_compatible_with(q.shape[-1:]):
        raise ValueError(
            "p and q must permute the same number of items. "
            f"Received: p.shape={tuple(p.shape)}, q.shape={tuple(q.shape)}"
        )
    valid = is_permutation(p) & is_permutation(q)
    shape = tf.broadcast_dynamic_shape(tf.shape(p), tf.shape(q))
    p, q = tf.broadcast_to(p, shape), tf.broadcast_to(q, shape)
    safe = tf.where(valid[..., None], p, 0)
    result = tf.gather(q, safe, batch_dims=max(safe.shape.rank - 1, 0))
    return tf.where(valid[..., None], result, -1)


def sample(
    batch_shape: TensorLike, n: int, seed: int | tf.Tensor | None = None
) -> tf.Tensor:
    """Uniformly random permutations, the same for a seed in eager, graph and XLA.

    Args:
        batch_shape: Tuple of ints or int tensor: the batch dimensions, `()` for one.
        n: Number of items, >= 1.
        seed: An int, a `[2]` int tensor, or None for a fresh draw (eager only).

    Returns:
        int32 `[*batch_shape, n]`.
    """
    n = _arguments.to_count(n, "n", 1)
    batch_shape = tf.convert_to_tensor(batch_shape, tf.int32)
    if batch_shape.shape.rank == 0:
        batch_shape = batch_shape[None]
    # 64 bits: ties, which a stable sort would resolve with a bias, do not occur.
    keys = tf.random.stateless_uniform(
        tf.concat([batch_shape, [n]], 0),
        _arguments.to_seed(seed),
        None,
        None,
        tf.int64,
        alg="philox",
    )
    return tf.argsort(keys, axis=-1, stable=True)


def apply(perm: TensorLike, items: TensorLike) -> tf.Tensor:
    """Moves item i to position `perm[i]`: `restored[..., perm[i], :] = items[..., i, :]`.

    Args:
        perm: Integers `[..., N]`.
        items: `[..., N, ...]` of any dtype: the batch dimensions of `perm` (which
            broadcast), then N items of any shape.

    Returns:
        Items in their places, shape and dtype of `items` (with batch dimensions
        broadcast); 0 throughout where `perm` is no permutation.
    """
    perm, items = _to_list(perm), tf.convert_to_tensor(items)
    batch_rank = perm.shape.rank - 1
    if items.shape.rank < batch_rank + 1 or not (
        items.shape[batch_rank : batch_rank + 1].is_compatible_with(perm.shape[-1:])
    ):
        raise ValueError(
            "items must have the batch dimensions of perm, then N items. "
            f"Received: perm.shape={tuple(perm.shape)}, "
            f"items.shape={tuple(items.shape)}"
        )
    source = inverse(perm)
    if batch_rank:
        batch = tf.broadcast_dynamic_shape(
            tf.shape(perm)[:-1], tf.shape(items)[:batch_rank]
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


def _to_list(perm):
    perm = tf.convert_to_tensor(perm)
    if not perm.dtype.is_integer:
        raise TypeError(
            f"A permutation list must be of integers. Received: dtype={perm.dtype.name}"
        )
    if perm.shape.rank is None or perm.shape.rank < 1:
        raise ValueError(
            f"A permutation list must have shape [..., N]. Received: shape={perm.shape}"
        )
    return tf.cast(perm, tf.int32)
