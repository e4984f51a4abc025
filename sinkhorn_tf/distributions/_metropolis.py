"""Matchings by Metropolis' algorithm, whose moves swap the columns of two rows."""

import tensorflow as tf

from sinkhorn_tf._core import batching
from sinkhorn_tf.distributions._scaled_matchings import complete, squares
from sinkhorn_tf.distributions.noise import uniform_noise


def sample(problems, n_chains, seed, n_steps):
    """Runs chains from the best matching.

    Args:
        problems: `ScaledMatchings`.
        n_chains: Scalar int32 tensor, S, the number of chains of each problem.
        seed: int32 `[2]`.
        n_steps: Python int >= 0.

    Returns:
        int32 `[S, B, N]`, the columns of the rows, those of dummies among them.
    """
    weights = squares(problems)
    batch, size = batching.static_or_dynamic(weights, 0), weights.shape[-1]
    start = complete(problems)
    n = problems.reduced.shape[1]
    chains = n_chains * batch
    state = tf.tile(start, [n_chains, 1])
    if size == 1 or n_steps == 0:
        return tf.reshape(state, [n_chains, batch, size])[:, :, :n]
    example = tf.tile(tf.range(batch), [n_chains])

    def score(rows, cols):
        return tf.gather_nd(weights, tf.stack([example, rows, cols], axis=-1))

    def step(count, state):
        # The numbers of a step depend on the seed and the step alone.
        folded = tf.random.experimental.stateless_fold_in(seed, count, alg="philox")
        draws = uniform_noise([3, chains], folded, tf.float64)
        one = tf.cast(draws[0] * size, tf.int32)
        # The other row is any but the same one.
        other = (one + 1 + tf.cast(draws[1] * (size - 1), tf.int32)) % size
        at_one = tf.gather(state, one, batch_dims=1)
        at_other = tf.gather(state, other, batch_dims=1)
        gain = score(one, at_other) + score(other, at_one)
        gain -= score(one, at_one) + score(other, at_other)
        accepted = tf.math.log(draws[2]) < gain
        chain = tf.range(chains)
        where = tf.stack(
            [tf.concat([chain, chain], 0), tf.concat([one, other], 0)], axis=-1
        )
        swapped = tf.concat(
            [
                tf.where(accepted, at_other, at_one),
                tf.where(accepted, at_one, at_other),
            ],
            0,
        )
        return count + 1, tf.tensor_scatter_nd_update(state, where, swapped)

    _, state = tf.while_loop(
        lambda count, _: count < n_steps, step, (0, state), parallel_iterations=1
    )
    return tf.reshape(state, [n_chains, batch, size])[:, :, :n]
