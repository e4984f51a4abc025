"""Boltzmann distributions of matchings as functions on tensors.

They take float64 logits `[..., N, M]` with known N and M, a float64 temperature and masks
or None, which broadcast against the batch dimensions. An eager call runs a plain graph:
XLA would compile for each size, longer than the sums take.
"""

import functools
import math

import tensorflow as tf

from sinkhorn_tf._core import batching
from sinkhorn_tf._core.compilation import compiled_when_eager
from sinkhorn_tf.distributions import _metropolis, _permanent
from sinkhorn_tf.distributions._bethe import bethe_log_partition
from sinkhorn_tf.distributions._scaled_matchings import scale

# From this N on a default chain has 25,000 steps: for 100 chains of N = 100 XLA takes 5 s to
# compile and 0.6 s to run, a plain graph 6.5 s; N = 10 takes 0.05 s in a plain graph.
_LARGE = 50


def check_size(logits, method, alternative):
    """Raises ValueError if there are too many sets of columns for the exact sums."""
    sets = _permanent.count_sets(*logits.shape[-2:])
    if sets > _permanent.MAX_SETS:
        raise ValueError(
            f"logits must be of at most 16 items and positions for {method}, which would "
            f"take {sets:.2g} sets of columns; {alternative}. Received: "
            f"logits.shape={tuple(logits.shape)}"
        )


def default_steps(n, m):
    """Metropolis steps: twenty swaps for each pair of rows, dummies among them."""
    return 10 * max(n, m) ** 2 if max(n, m) > 1 else 0


_plain_when_eager = functools.partial(compiled_when_eager, runs_plain=lambda x: True)


@_plain_when_eager
def log_partition(x, temperature, row_mask, col_mask, n_iters=None):
    """The log-partition function `[...]`: exact, or Bethe after at most `n_iters` steps."""
    return _log_partition(x, temperature, row_mask, col_mask, n_iters)[0]


@_plain_when_eager
def marginals(x, temperature, row_mask, col_mask, n_iters=None):
    """The probabilities of pairs `[..., N, M]`, exact or those of Bethe."""
    value, gradient, _ = _differentiated(x, temperature, row_mask, col_mask, n_iters)
    return _to_marginals(value, gradient, temperature)


@_plain_when_eager
def sample(uniform, x, temperature, row_mask, col_mask):
    """Exact samples, int32 `[S, B, N]`, of uniform numbers `[B, min(N, M) + 1, S]`."""
    problems, _ = _scaled(x, temperature, row_mask, col_mask)
    return _placed(problems, _permanent.sample(problems, uniform))


@_plain_when_eager
def draw_and_score(uniform, x, temperature, row_mask, col_mask):
    """`sample`, `log_partition` and `marginals`, whose duals are found once."""
    value, gradient, problems = _differentiated(x, temperature, row_mask, col_mask)
    perm = _placed(problems, _permanent.sample(problems, uniform))
    return perm, value, _to_marginals(value, gradient, temperature)


@functools.partial(compiled_when_eager, runs_plain=lambda x: max(x.shape[-2:]) < _LARGE)
def sample_metropolis(x, temperature, row_mask, col_mask, seed, count, *, n_steps):
    """The ends of `count` chains of each example: int32 `[count, B, N]`."""
    problems, _ = _scaled(x, temperature, row_mask, col_mask)
    return _placed(problems, _metropolis.sample(problems, count, seed, n_steps))


def _scaled(x, temperature, row_mask, col_mask):
    """The `ScaledMatchings` of a batch, and its `BatchDimensions`."""
    (x, temperature, row_mask, col_mask), batch = batching.flatten(
        x, (temperature, 0), (row_mask, 1), (col_mask, 1)
    )
    return scale(x, temperature, row_mask, col_mask), batch


def _log_partition(x, temperature, row_mask, col_mask, n_iters=None):
    """The log-partition function, and the `ScaledMatchings`."""
    problems, batch = _scaled(x, temperature, row_mask, col_mask)
    if n_iters is None:
        value = _permanent.exact_log_partition(problems)
    else:
        value = bethe_log_partition(problems, n_iters)
    return batch.unflatten(value), problems


def _differentiated(x, temperature, row_mask, col_mask, n_iters=None):
    """The log-partition function, its gradient to `x`, and the `ScaledMatchings`."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        value, problems = _log_partition(x, temperature, row_mask, col_mask, n_iters)
    return value, tape.gradient(value, x), problems


def _to_marginals(value, gradient, temperature):
    if temperature.shape.rank != 0:
        temperature = temperature[..., None, None]
    # An example without a matching, or with bad logits, has no marginals.
    good = tf.math.is_finite(value)[..., None, None]
    return tf.where(good, temperature * gradient, math.nan)


def _placed(problems, columns):
    """Columns of rows, int32 `[S, B, N]`, as positions of the items that were given."""
    exists = (problems.is_valid & problems.has_matching)[:, None]
    if problems.rows is not None:
        exists &= problems.rows
    columns = tf.where(exists, columns, -1)
    shape = tf.shape(columns)
    placed = problems.place_back(tf.reshape(columns, [-1, columns.shape[-1]]))
    size = batching.static_or_dynamic(placed, -1)
    return tf.reshape(placed, [shape[0], shape[1], size])
