"""The soft selection of the k largest values."""

from __future__ import annotations

import functools
import math

import numpy as np
import tensorflow as tf

from sinkhorn_tf._core import arguments, batching, padding
from sinkhorn_tf._core.arguments import TensorLike
from sinkhorn_tf._core.compilation import compiled_when_eager
from sinkhorn_tf._core.conversion import known_array, to_numbers
from sinkhorn_tf._core.refusals import WrongKindError, shown, takes_tensors
from sinkhorn_tf.sorting._arguments import to_mask, to_values

# Newton's method squares the error in each step: after one of this size it is nothing.
_LAST_STEP = 1e-9
# Ten steps are many; halving the interval alone would take 60.
_MAX_STEPS = 64
# Scaled values further from the middle have shares of exactly 0 or 1 in float64, and
# are cut off.
_FARTHEST = 1000.0


@takes_tensors("st.SoftTopK")
def soft_top_k(
    values: TensorLike,
    k: TensorLike,
    temperature: TensorLike = 1.0,
    *,
    mask: TensorLike | None = None,
    jit_compile: bool | None = None,
) -> tf.Tensor:
    r"""Selects the k largest along the last axis, differentiably.

    The share of a value x in the selection is :math:`\sigma((x - \theta) / t)`, a
    sigmoid, with the one threshold :math:`\theta` for which the shares of an example
    sum to k. That is the limit of the Sinkhorn iterations for two positions, the
    selection of mass k and the rest of mass N - k, and logits :math:`(x, 0)`; it is
    never a number of iterations. As the temperature goes to 0 the shares of the k
    largest go to 1 and all others to 0. Equal values have equal shares at every
    temperature.

    The temperature is in the units of the values: twice the values have the same shares
    at twice the temperature. That of `soft_rank` and `soft_sort` does not depend on the
    units, since they scale the values to [0, 1].

    Args:
        values: `[..., N]`, floating point. `-inf` has the share 0 unless k needs it:
            where k is larger than the number of other values, these have the share 1,
            and the rest of k is shared equally. An example with NaN or +inf gets shares
            of NaN and a zero gradient; the other examples are not affected.
        k: Python int from 0 to N, or a tensor of integers that broadcasts against the
            batch dimensions.
        temperature: Positive number, scalar tensor, or tensor that broadcasts
            against the batch dimensions; differentiable.
        mask: bool `[..., N]`, False for a value that does not exist, or None. Its share
            is 0, whatever the value is. Where no more than k values exist, the share of
            each is 1.
        jit_compile: As in `sinkhorn`.

    Returns:
        The shares `[..., N]`, from 0 to 1, in the dtype of `values`. They are computed
        in float64, and so are their derivatives, which are those of the limit.

    Raises:
        TypeError: If an argument is of the wrong kind, such as a tensor of integers for
            `values` or a float for `k`.
        ValueError: If a shape or value is out of range. A bad `k` or temperature that
            is known only inside a graph gives NaN instead.

    Example:
        >>> shares = st.soft_top_k([3.0, 1.0, 2.0, 0.0], k=2, temperature=0.2)
        >>> print(shares.numpy().round(3))
        [0.999 0.076 0.924 0.001]
        >>> shares = st.soft_top_k([5.0, 5.0, 1.0], k=1, temperature=0.2)
        >>> print(shares.numpy().round(3))
        [0.5 0.5 0. ]

    Reference:
        Xie et al. (2020), Differentiable Top-k with Optimal Transport, section 2, which
        takes a number of iterations.
    """
    values = to_values(values)
    batch = values.shape[:-1]
    temperature = arguments.to_positive(temperature, "temperature", tf.float64, batch)
    k = _to_k(k, values)
    mask = to_mask(mask, values)
    return _soft_top_k(values, k, temperature, mask, jit_compile=jit_compile)


def _to_k(k, values):
    """`k` as int32; -1, which no example allows, where it is out of the range of that."""
    n, batch = values.shape[-1], values.shape[:-1]
    tensor = to_numbers(k, "k", keeps_integers=True)
    if not tensor.dtype.is_integer:
        raise WrongKindError(
            "k must be an int, or a tensor of integers. Received: "
            + (f"k={shown(k)}" if tensor.shape.rank == 0 else f"k.dtype={tensor.dtype}")
        )
    known = known_array(k, tensor)
    largest = np.iinfo(np.int32).max if n is None else n
    if known is not None and not ((known >= 0) & (known <= largest)).all():
        size = "N" if n is None else f"N = {n}"
        raise ValueError(f"k must be from 0 to {size}. Received: k={shown(k)}")
    arguments.check_broadcasts(tensor.shape, "k", batch)
    narrow = tf.cast(tensor, tf.int32)
    same = tf.cast(narrow, tensor.dtype) == tensor
    return tf.where(same, narrow, -1)


def _pad(values, k, temperature, mask):
    """The arguments of `_soft_top_k`, of a size that eager calls share."""
    n = values.shape[-1]
    padded, mask = padding.pad_vectors(values, mask)
    crop = None if padded is values else lambda shares: shares[..., :n]
    return (padded, k, temperature, mask), crop


@functools.partial(compiled_when_eager, pad=_pad)
def _soft_top_k(values, k, temperature, mask):
    x = tf.expand_dims(tf.cast(values, tf.float64), -2)
    tensors, batch = batching.flatten(x, (k, 0), (temperature, 0), (mask, 1))
    shares = batch.unflatten(_shares(*tensors), values.shape[-1:])
    return tf.cast(shares, values.dtype)


def _shares(x, k, t, mask):
    """The shares `[B, N]` of `x` `[B, 1, N]`, for `k`, `t` `[B]` and `mask` `[B, N]`."""
    x = x[:, 0]
    exists = tf.ones_like(x, tf.bool) if mask is None else mask
    valid = tf.reduce_all((x < math.inf) | ~exists, axis=1)
    valid &= (k >= 0) & (k <= tf.shape(x)[1]) & ~tf.math.is_nan(t)
    ranked = exists & (x > -math.inf) & valid[:, None]
    shares = _ranked_shares(x, k, tf.where(valid, t, tf.ones_like(t)), ranked)
    shares = tf.where(ranked, shares, _share_of_others(k, exists, ranked))
    shares = batching.where(valid, shares, tf.constant(math.nan, x.dtype))
    return tf.where(exists, shares, tf.zeros_like(shares))


def _share_of_others(k, exists, ranked):
    """What k leaves for each value of -inf `[B, 1]`."""
    rest = tf.cast(k - _count(ranked), tf.float64)
    others = tf.cast(_count(exists & ~ranked), tf.float64)
    return tf.clip_by_value(rest / tf.maximum(others, 1), 0, 1)[:, None]


def _ranked_shares(x, k, t, ranked):
    """The shares of the values that take part in the choice.

    Args:
        x: float64 `[B, N]`.
        k: int32 `[B]`.
        t: float64 `[B]`.
        ranked: bool `[B, N]`, which values take part; the others may be anything.

    Returns:
        float64 `[B, N]`, anything for the others.
    """
    count = _count(ranked)
    # All or none are taken without a threshold.
    chooses = (k > 0) & (k < count)
    k_chosen = tf.where(chooses, k, 1)
    x = tf.where(ranked, x, tf.zeros_like(x))
    lowest = tf.constant(-math.inf, x.dtype)
    descending = tf.sort(tf.where(ranked, x, lowest), axis=1, direction="DESCENDING")
    middle = tf.where(chooses, _middle(descending, k_chosen), 0)[:, None]
    active = ranked & chooses[:, None]
    middle = tf.stop_gradient(middle)
    in_order = _scale(descending, middle, t, (descending > lowest) & chooses[:, None])
    threshold = _solve(
        tf.stop_gradient(in_order), k_chosen, tf.where(chooses, count, 2), chooses
    )
    y = _scale(x, middle, t, active)
    threshold = _differentiable(y, tf.stop_gradient(threshold))
    shares = tf.sigmoid(y - threshold[:, None])
    return tf.where(active, shares, tf.cast(k >= count, x.dtype)[:, None])


def _count(which):
    return tf.reduce_sum(tf.cast(which, tf.int32), axis=1)


def _middle(descending, k):
    """The mean of the k-th largest value and the next `[B]`."""
    next_one = tf.minimum(k, tf.shape(descending)[1] - 1)
    pair = tf.gather(descending, tf.stack([k - 1, next_one], 1), batch_dims=1)
    # The sum of the values could overflow.
    return tf.reduce_sum(pair / 2, axis=1)


def _scale(x, middle, t, active):
    """`(x - middle) / t`, cut off at `_FARTHEST`; as low as that where not active.

    The values that matter are close to the middle, and lose no digit in a difference
    from it.
    """
    t = t[:, None]
    limit = tf.minimum(tf.stop_gradient(t) * _FARTHEST, x.dtype.max)
    distance = tf.where(active, x, middle) - middle
    y = tf.clip_by_value(distance, -limit, limit) / t
    return tf.where(active, y, -_FARTHEST)


def _solve(y, k, count, needed):
    """The thresholds for which the shares sum to k.

    As much is missing from the k largest as the others have. Newton's method makes the
    logarithms of both equal: their difference rises with the threshold at a rate of
    1/2 to 2, however small both are. Bounds of the threshold follow from the k-th value
    and the next one, which are as far above 0 as below.

    Args:
        y: float64 `[B, N]`, descending.
        k, count: int32 `[B]`, `0 < k < count`; the first `count` values take part.
        needed: bool `[B]`, False for examples that get any answer.

    Returns:
        float64 `[B]`.
    """
    index = tf.range(tf.shape(y)[1])
    is_top = index < k[:, None]
    is_other = ~is_top & (index < count[:, None])

    def step(threshold, low, high, done):
        x = y - threshold[:, None]
        share, lack = tf.math.log_sigmoid(x), tf.math.log_sigmoid(-x)
        log_lack, lack_weights = _log_sum(lack, is_top)
        log_share, share_weights = _log_sum(share, is_other)
        excess = log_lack - log_share
        slope = lack_weights * tf.exp(share) + share_weights * tf.exp(lack)
        change = excess / tf.reduce_sum(slope, axis=1)
        low = tf.where(excess < 0, threshold, low)
        high = tf.where(excess < 0, high, threshold)
        newton = threshold - change
        last = tf.abs(change) <= _LAST_STEP
        accepted = last | ((newton > low) & (newton < high))
        following = tf.where(accepted, newton, (low + high) / 2)
        return tf.where(done, threshold, following), low, high, done | last

    low = -tf.math.log(tf.cast(k, y.dtype))
    high = tf.math.log(tf.cast(count - k, y.dtype))
    threshold, *_ = tf.while_loop(
        lambda threshold, low, high, done: ~tf.reduce_all(done),
        step,
        (tf.zeros_like(low), low, high, ~needed),
        maximum_iterations=_MAX_STEPS,
    )
    return threshold


def _log_sum(logs, which):
    """The logarithm of a sum `[B]`, and the parts of the sum that its terms are."""
    logs = tf.where(which, logs, -math.inf)
    total = tf.reduce_logsumexp(logs, axis=1)
    return total, tf.exp(logs - total[:, None])


@tf.custom_gradient
def _differentiable(y, threshold):
    """The threshold `[B]` of scaled values `[B, N]`, with its implicit derivative.

    A value moves it by the part that its `p (1 - p)` is of their sum, for shares p.
    """

    def grad(upstream):
        # The threshold must be a function of y again, for the derivative of this
        # derivative. That may be taken in another graph, which sees only copies made in
        # this one.
        here, there = tf.identity(y), tf.identity(threshold)
        x = here - _differentiable(here, there)[:, None]
        parts = tf.nn.softmax(tf.math.log_sigmoid(x) + tf.math.log_sigmoid(-x))
        return upstream[:, None] * parts, None

    return tf.identity(threshold), grad
