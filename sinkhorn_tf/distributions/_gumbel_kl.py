"""The Kullback-Leibler divergence of Gumbel variables, in closed form."""

import math

import tensorflow as tf

from sinkhorn_tf._sinkhorn.solve import sinkhorn_solve

_EULER = 0.5772156649015329


def gumbel_kl_to_prior(
    logits, temperature, noise_scale, prior_temperature, allowed, tight
):
    r"""Sum over pairs of KL(Gumbel(X / t, s / t) || Gumbel(0, s / t_p)).

    With :math:`r = t_p / t` and :math:`m = X t_p / (t s)` a pair has
    :math:`-\log r + \gamma (r - 1) + e^{-m} \Gamma(r + 1) - 1 + m`.

    Args:
        logits: `[..., N, M]`, float32 or float64.
        temperature, noise_scale, prior_temperature: Scalars, or tensors that broadcast
            against the batch dimensions.
        allowed: bool `[..., N, M]`; the other pairs add 0.
        tight: Whether to take the least over shifts of rows and columns of the logits.

    Returns:
        `[...]`.
    """
    temperature, noise_scale, prior_temperature = (
        x if x.shape.rank == 0 else x[..., None, None]
        for x in (temperature, noise_scale, prior_temperature)
    )
    ratio = prior_temperature / temperature
    # What is left out, or of a bad example, must not reach the derivatives either.
    # TensorFlow's graph optimizer would turn ~(x < inf) into x >= inf, which NaN is not.
    bad = ~tf.reduce_all((logits < math.inf) | ~allowed, [-2, -1])
    mean = tf.where(allowed & ~bad[..., None, None], logits, 0) * ratio / noise_scale
    if tight:
        mean += _best_shift(tf.stop_gradient(mean), tf.stop_gradient(ratio), allowed)
    log_gamma = tf.math.lgamma(ratio + 1)
    pairs = _EULER * (ratio - 1) - tf.math.log(ratio) - 1
    pairs += tf.exp(log_gamma - mean) + mean
    total = tf.reduce_sum(tf.where(allowed, pairs, 0), [-2, -1])
    return tf.where(bad, tf.constant(math.nan, total.dtype), total)


def allowed_pairs(logits, row_mask, col_mask):
    """bool `[..., N, M]`, whether a pair exists and is not forbidden."""
    allowed = tf.not_equal(logits, -math.inf)
    if row_mask is not None:
        allowed &= row_mask[..., None]
    if col_mask is not None:
        allowed &= col_mask[..., None, :]
    return allowed


def _best_shift(mean, ratio, allowed):
    r"""Shifts of rows and columns, their sum `[..., N, M]`, that make the sum least.

    The derivatives to the shifts vanish where :math:`\Gamma(r + 1) e^{-m}` has as large
    a sum in each row and column as it has allowed pairs there. The derivative of the
    least sum is that at these shifts, so they are constants.
    """
    count = tf.cast(allowed, mean.dtype)
    rows, cols = tf.reduce_sum(count, -1), tf.reduce_sum(count, -2)
    solution = sinkhorn_solve(
        tf.where(allowed, -mean, -math.inf), row_marginals=rows, col_marginals=cols
    )
    shift = solution.row_potential[..., None] + solution.col_potential[..., None, :]
    return tf.stop_gradient(shift + tf.math.lgamma(ratio + 1))
