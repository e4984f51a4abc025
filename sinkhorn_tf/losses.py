"""Losses of soft permutations where the right answer is known.

Both take permutations as layers return them, `[b, N, M]`, or with an axis of samples,
`[b, S, N, M]`, and return a loss for each example. The loss of a Keras model is their mean,
as below: the plan of a layer with masks has the mask of its items, `[b, N]`, which Keras
would multiply with the losses `[b]`.

Example:

>>> logits = keras.Input((3, 3))
>>> model = keras.Model(logits, st.SinkhornLayer(temperature=0.1)(logits))
>>> model.compile(
...     loss=lambda y, p: keras.ops.mean(st.losses.cross_entropy(p, y)),
...     metrics=[st.metrics.ProportionWrong()],
... )
>>> perm = np.array([[2, 0, 1]])
>>> x = st.permutations.to_matrix(perm)
>>> loss, wrong = model.evaluate(x, perm, verbose=0)
>>> print(round(loss, 3), wrong)
0.0 0.0
"""

from __future__ import annotations

import tensorflow as tf

from sinkhorn_tf import permutations
from sinkhorn_tf._core import arguments, batching
from sinkhorn_tf._core.arguments import TensorLike
from sinkhorn_tf._core.conversion import to_numbers

__all__ = [
    "cross_entropy",
    "reconstruction",
]

# Added to probabilities before their logarithm is taken, so that an item that cannot be
# told from another one does not outweigh all the rest.
_EPSILON = 1e-6


def reconstruction(
    soft: TensorLike, items: TensorLike, target: TensorLike
) -> tf.Tensor:
    """Squared error of the softly restored items, :math:`|P^T x - y|^2`.

    The items are x and the target is y.

    Args:
        soft: `[b, N, M]`, a soft permutation of each example, or `[b, S, N, M]`, S of
            them.
        items: `[b, N, ...]`, the scrambled items.
        target: `[b, M, ...]`, the items in their places; 0 where no item belongs.

    Returns:
        `[b]` of the dtype of `soft`, means over samples and positions.

    Raises:
        TypeError, ValueError: If an argument is no real numbers, or the shapes do not fit.

    Example:

    >>> swap = tf.constant([[[0.0, 1.0], [1.0, 0.0]]])
    >>> st.losses.reconstruction(swap, [[3.0, 5.0]], [[5.0, 4.0]]).numpy()
    array([0.5], dtype=float32)

    Reference:
        Mena et al. (2018), Learning latent permutations with Gumbel-Sinkhorn
        networks, eq. 5.
    """
    soft = _to_samples(soft)
    batch, _, n, m = soft.shape
    items = to_numbers(items, "items", soft.dtype)
    target = to_numbers(target, "target", soft.dtype)
    _check_sizes(items, "items", [batch, n], "[b, N, ...]", soft)
    _check_sizes(target, "target", [batch, m], "[b, M, ...]", soft)
    items, target = _flatten_items(items), _flatten_items(target)
    if not items.shape[3:].is_compatible_with(target.shape[3:]):
        raise ValueError(
            "items and target must hold items of the same size. Received: size "
            f"{items.shape[3]} in items, size {target.shape[3]} in target"
        )
    restored = tf.matmul(soft, items, transpose_a=True)
    return tf.reduce_mean(tf.square(restored - target), axis=[1, 2, 3])


def cross_entropy(soft: TensorLike, perm: TensorLike) -> tf.Tensor:
    r"""Minus the logarithm of the probabilities of the true places.

    It is the mean of :math:`-\log(P_{ij} + 10^{-6})` over items i with their true
    places j.

    Args:
        soft: `[b, N, M]`, a soft permutation of each example, or `[b, S, N, M]`, S of
            them.
        perm: `[b, N]`, the true permutation, integers, or floating point numbers, which
            are rounded: Keras casts the targets of a model to floating point. An item
            whose place is -1 is left out. Another number that is no position has
            probability 0.

    Returns:
        `[b]` of the dtype of `soft`, means over samples and the items that have a place,
        0 without such items.

    Raises:
        TypeError, ValueError: If an argument is no real numbers, or the shapes do not fit.

    Example:

    >>> swap = tf.constant([[[0.0, 1.0], [1.0, 0.0]]])
    >>> soft = (1 - swap) / 4 + swap / 4 * 3
    >>> st.losses.cross_entropy(soft, [[1, 0]]).numpy().round(4)
    array([0.2877], dtype=float32)
    """
    soft = _to_samples(soft)
    perm = _to_lists(perm)
    if perm.shape.rank != 2:
        raise ValueError(
            "perm must be lists [b, N]; st.permutations.from_matrix makes them of "
            f"matrices. Received: perm.shape={perm.shape}"
        )
    _check_sizes(perm, "perm", [soft.shape[0], soft.shape[2]], "[b, N]", soft)
    perm = perm[:, None]
    n_positions = batching.static_or_dynamic(soft, -1)
    true = permutations.to_matrix(perm, soft.dtype, n_positions=n_positions)
    likelihood = tf.reduce_sum(soft * true, axis=-1)
    counts = (perm != -1) & tf.ones_like(likelihood, tf.bool)
    # Where it is 1 its logarithm has a zero gradient, whatever stands in the plan.
    logarithm = tf.math.log(tf.where(counts, likelihood + _EPSILON, 1))
    n = tf.reduce_sum(tf.cast(counts, soft.dtype), axis=[1, 2])
    return -tf.reduce_sum(logarithm, axis=[1, 2]) / tf.maximum(n, 1)


def _to_samples(soft):
    """Converts soft permutations to `[b, S, N, M]`."""
    soft = to_numbers(soft, "soft")
    if soft.shape.rank not in (3, 4) or not soft.dtype.is_floating:
        raise ValueError(
            "soft must be floating point [b, N, M], or [b, S, N, M] with an axis of "
            f"samples. Received: soft.shape={soft.shape}, soft.dtype={soft.dtype.name}"
        )
    return soft[:, None] if soft.shape.rank == 3 else soft


def _to_lists(perm):
    """Converts lists of integers or of whole floating point numbers to int32."""
    perm = to_numbers(perm, "perm", keeps_integers=True)
    if perm.dtype.is_floating:
        # What a cast makes of NaN depends on the device.
        no_position = tf.constant(-2, perm.dtype)
        perm = tf.where(tf.math.is_nan(perm), no_position, tf.round(perm))
        perm = tf.saturate_cast(perm, tf.int32)
    return arguments.to_permutation_lists(perm, "perm")


def _check_sizes(value, name, sizes, expected, soft):
    """Refuses a value whose first sizes, as far as they are known, are not `sizes`."""
    rank = value.shape.rank
    if rank is None or rank < 2 or not value.shape[:2].is_compatible_with(sizes):
        raise ValueError(
            f"{name} must have shape {expected}, of a known rank, for soft permutations "
            f"[b, N, M] or [b, S, N, M]. Received: {name}.shape={value.shape}, soft "
            f"permutations [b, S, N, M] of shape {soft.shape}"
        )


def _flatten_items(x):
    """Reshapes `[b, N, ...]` to `[b, 1, N, size of an item]`."""
    size = x.shape[2:].num_elements()
    shape = tf.shape(x)
    inner = tf.reduce_prod(shape[2:]) if size is None else size
    flat = tf.reshape(x, tf.stack([shape[0], 1, shape[1], inner]))
    flat.set_shape([x.shape[0], 1, x.shape[1], size])
    return flat
