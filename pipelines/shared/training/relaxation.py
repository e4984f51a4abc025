"""The relaxation of a training: permutations become soft, and have gradients."""

import dataclasses

import tensorflow as tf

import sinkhorn_tf as st
from pipelines.shared.input_pipeline import seeds


@dataclasses.dataclass(frozen=True)
class Relaxation:
    """How a training makes soft permutations of logits: Gumbel-Sinkhorn, annealed.

    Attributes:
        temperature: The temperature at the first step.
        noise_scale: The scale of the Gumbel noise at the first step.
        n_iters: Iterations of the Sinkhorn operator.
        n_samples: Samples of noise for each example.
        batch_size: Examples of a step, over all replicas.
        steps: Steps of the training.
        seed: Seed of the noise.
        final_temperature: The temperature at the last step; None if it stays the same.
        final_noise_scale: The scale at the last step; None if it stays the same.
        jit_compile: Whether XLA compiles the operator, see `st.sinkhorn`.
    """

    temperature: float
    noise_scale: float
    n_iters: int
    n_samples: int
    batch_size: int
    steps: int
    seed: int
    final_temperature: float | None = None
    final_noise_scale: float | None = None
    jit_compile: bool | None = None

    @classmethod
    def from_config(cls, config):
        """The relaxation that a `TrainingConfig` asks for."""
        shared = {f.name for f in dataclasses.fields(cls)} - {"jit_compile"}
        return cls(
            **{name: getattr(config, name) for name in shared},
            jit_compile=True if config.jit_compile != "none" else None,
        )

    def soft_permutations(self, logits, batch):
        """Soft permutations of noisy logits.

        Args:
            logits: `[b, N, N]`.
            batch: Dict with `step` and `position`, see `input_pipeline.batches`.

        Returns:
            `[b, S, N, N]`, a soft permutation for each sample of noise.
        """
        n = logits.shape[-1]
        noise, scale = tf.zeros([1, 1, 1]), 0.0
        if self.noise_scale:
            scale = self._at(batch["step"], self.noise_scale, self.final_noise_scale)
            # Noise of the whole batch: the result is the same for any number of replicas.
            noise = st.distributions.gumbel_noise(
                [self.batch_size, self.n_samples, n, n],
                seeds.stream(self.seed, "noise", batch["step"]),
            )
            noise = tf.gather(noise, batch["position"])
        soft, _ = st.distributions.perturbed_sinkhorn(
            logits,
            noise,
            self._at(batch["step"], self.temperature, self.final_temperature),
            scale,
            self.n_iters,
            jit_compile=self.jit_compile,
        )
        return soft

    def _at(self, step, first, last):
        """The value at a step, on a geometric path from the first to the last."""
        if last is None or last == first:
            return first
        progress = tf.cast(step, tf.float32) / self.steps
        return first * (last / first) ** progress
