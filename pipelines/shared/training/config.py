"""The settings of every training."""

import dataclasses

from pipelines.shared.options import Options, option


@dataclasses.dataclass(frozen=True)
class TrainingConfig(Options):
    """The settings of a training, whatever it trains.

    A program replaces the defaults that do not suit it.
    """

    steps: int = option(1000, "Training steps.", lower=1)
    batch_size: int = option(
        64, "Examples of a step, over all replicas.", lower=1, search=""
    )
    learning_rate: float | None = option(
        None,
        "Highest rate of Adam, after the warm-up; --schedule says how it goes on.",
        lower=0,
        upper=1e6,
        search="0.0003..0.03",
    )
    schedule: str = option(
        "cosine",
        "How the rate goes on after the warm-up: as a cosine down to 0, or constant.",
        choices=("cosine", "constant"),
    )
    warmup_steps: int = option(
        100, "Steps until the highest rate is reached.", lower=0, search=""
    )
    averaging: float = option(
        0.99,
        "Decay of the average of the weights; 0 takes no average.",
        lower=0,
        upper=0.999999,
        search="",
    )
    weight_decay: float = option(
        0.0,
        "Weight decay of Adam, relative to the rate (AdamW).",
        lower=0,
        upper=1e3,
        search="",
    )
    validate_every: int = option(500, "Steps between validations.", lower=1)
    checkpoint_every: int = option(250, "Steps between checkpoints.", lower=1)
    temperature: float = option(
        1.0,
        "Temperature of the Sinkhorn operator.",
        lower=1e-6,
        upper=1e6,
        search="0.3..3",
    )
    final_temperature: float | None = option(
        None,
        "Temperature at the end, reached geometrically.",
        lower=1e-6,
        upper=1e6,
        search="",
    )
    noise_scale: float | None = option(
        None,
        "Scale of the Gumbel noise in training.",
        lower=0,
        upper=1e6,
        search="0..1",
    )
    final_noise_scale: float | None = option(
        None,
        "Scale of the noise at the end, reached geometrically.",
        lower=1e-6,
        upper=1e6,
        search="",
    )
    n_iters: int = option(
        20, "Iterations of the Sinkhorn operator.", lower=1, search="5|10|20|50"
    )
    n_samples: int = option(
        1, "Samples of Gumbel noise for each example.", lower=1, search=""
    )
    seed: int = option(
        0, "Seed of everything random in training.", lower=0, upper=2**32 - 1
    )
    workdir: str | None = option(
        None, "Directory of the run (default: runs/...).", is_recorded=False
    )
    resume: bool = option(False, "Go on with the run in --workdir.", is_recorded=False)
    export: bool = option(
        True, "Write a SavedModel for TensorFlow Serving.", is_recorded=False
    )
    jit_compile: str = option(
        "operator",
        "What XLA compiles in training: the whole step (on one device; the operator "
        "on several), the Sinkhorn operator, or nothing.",
        choices=("step", "operator", "none"),
    )
    distribute: str = option(
        "none",
        "mirrored: all devices of this machine. multiworker: those of all machines that "
        "TF_CONFIG names, each of which runs this command; all share --workdir.",
        choices=("none", "mirrored", "multiworker"),
        may_change=True,
    )
    startup_timeout: float = option(
        600.0,
        "Seconds to wait for the other workers, and for batches of --data_service.",
        lower=1,
        upper=1e6,
        is_recorded=False,
    )
    data_service: str | None = option(
        None,
        "grpc://host:port of a dispatcher (python -m pipelines.data_service), whose "
        "workers make the batches; these are the same as without it, in the same order, "
        "also when a run is resumed. If one of its workers ends, its batches are lost: "
        "the training ends too, with an error, and goes on with --resume. The workers "
        "read images in --cache_dir; without that, up to 1 GiB of them is sent.",
        is_recorded=False,
    )

    @property
    def last_temperature(self):
        """The temperature at the end of the training."""
        return self.final_temperature or self.temperature


@dataclasses.dataclass(frozen=True)
class EvaluationConfig(Options):
    """The setting of programs that can evaluate a finished run instead of training."""

    evaluate: str | None = option(
        None,
        "Only evaluate the run in this directory.",
        may_change=True,
        replaces_training=True,
    )
