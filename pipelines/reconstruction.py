"""The loss of the experiments: the reconstruction error of SN eq. 5."""

import tensorflow as tf
from absl import flags

import sinkhorn_tf as st
from pipelines import seeds

FLAGS = flags.FLAGS


def losses(logits, items, target, batch):
    """Squared error of the softly restored items, over samples of Gumbel noise.

    Noise, temperature and iterations are those of the training flags.

    Args:
        logits: `[b, N, N]`.
        items: `[b, N, ...]`, scrambled.
        target: `[b, N, ...]`, in their places.
        batch: Dict with `step` and `position`, see `batches`.

    Returns:
        `[b]`, means over samples and items.
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
    restored = st.Restore()([soft, items[:, None]])
    error = tf.square(restored - target[:, None])
    return tf.reduce_mean(error, axis=list(range(1, error.shape.rank)))


def _falling(name, step):
    """The value of a flag at a step, geometrically to that of `--final_<name>`."""
    first, last = FLAGS[name].value, FLAGS[f"final_{name}"].value
    if last is None or last == first:
        return first
    progress = tf.cast(step, tf.float32) / FLAGS.steps
    return first * (last / first) ** progress
