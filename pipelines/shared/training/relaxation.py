"""The losses of the experiments, on soft permutations of noisy logits."""

import tensorflow as tf
from absl import flags

import sinkhorn_tf as st
from pipelines import seeds

FLAGS = flags.FLAGS

# Below this a probability's logarithm counts as if it were this: an item that cannot
# be told from another one must not outweigh all the rest.
_LEAST = 1e-6


def soft_permutations(logits, batch):
    """Gumbel-Sinkhorn of the logits, by the training flags.

    Args:
        logits: `[b, N, N]`.
        batch: Dict with `step` and `position`, see `batches`.

    Returns:
        `[b, S, N, N]`, a soft permutation for each sample of noise.
    """
    n = logits.shape[-1]
    noise, scale = tf.zeros([1, 1, 1]), 0.0
    if FLAGS.noise_scale:
        scale = _falling("noise_scale", batch["step"])
        # For the global batch, then picked: the same for any number of replicas.
        noise = st.gumbel.gumbel_noise(
            [FLAGS.batch_size, FLAGS.n_samples, n, n],
            seeds.stream(FLAGS.seed, "noise", batch["step"]),
        )
        noise = tf.gather(noise, batch["position"])
    soft, _ = st.gumbel.perturbed_sinkhorn(
        logits,
        noise,
        _falling("temperature", batch["step"]),
        scale,
        FLAGS.n_iters,
        jit_compile=True if FLAGS.jit_compile != "none" else None,
    )
    return soft


def final_temperature():
    """The temperature that the training ends with."""
    return FLAGS.final_temperature or FLAGS.temperature


def reconstruction(soft, items, target):
    """Squared error of the softly restored items (SN eq. 5).

    Args:
        soft: `[b, S, N, N]`.
        items: `[b, N, ...]`, scrambled.
        target: `[b, N, ...]`, in their places.

    Returns:
        `[b]`, means over samples and items.
    """
    error = tf.square(st.Restore()([soft, items[:, None]]) - target[:, None])
    return tf.reduce_mean(error, axis=list(range(1, error.shape.rank)))


def cross_entropy(soft, perm):
    """Minus the logarithm of what the soft permutation gives to the true places.

    Args:
        soft: `[b, S, N, N]`.
        perm: int32 `[b, N]`, the true permutation.

    Returns:
        `[b]`, means over samples and items.
    """
    true = st.permutations.to_matrix(perm, soft.dtype)[:, None]
    found = tf.reduce_sum(soft * true, axis=-1)
    return -tf.reduce_mean(tf.math.log(found + _LEAST), axis=[1, 2])


def _falling(name, step):
    """The value of a flag at a step, geometrically to that of `--final_<name>`."""
    first, last = FLAGS[name].value, FLAGS[f"final_{name}"].value
    if last is None or last == first:
        return first
    progress = tf.cast(step, tf.float32) / FLAGS.steps
    return first * (last / first) ** progress
