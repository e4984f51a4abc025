"""The settings of every training."""

import dataclasses

from pipelines.shared.options import Options, option


@dataclasses.dataclass(frozen=True)
class TrainingConfig(Options):
    """The settings of a training, whatever it trains.

    The defaults are those of no program in particular: each has its own.
    """

    steps: int = option(1000, "Training steps.", lower=1)
    batch_size: int = option(
        64, "Examples of a step, over all replicas.", lower=1, search=""
    )
    learning_rate: float | None = option(
        None,
        "Highest rate of Adam; warmed up, then as --schedule.",
        lower=0,
        upper=1e6,
        search="0.0003..0.03",
    )
    schedule: str = option(
        "cosine",
        "How the rate goes on: down to 0 as a cosine, or constant.",
        choices=("cosine", "constant"),
    )
    warmup_steps: int = option(
        100, "Steps until the highest rate is reached.", lower=0, search=""
    )
    averaging: float = option(
        0.99,
        "Decay of the average of the weights; 0: none.",
        lower=0,
        upper=0.999999,
        search="",
    )
    weight_decay: float = option(
        0.0, "Of Adam, relative to the rate (AdamW).", lower=0, upper=1e3, search=""
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
        "Its scale at the end, reached geometrically.",
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
        "TF_CONFIG names, each of which runs this command; --workdir is shared.",
        choices=("none", "mirrored", "multiworker"),
        may_change=True,
    )
    startup_timeout: float = option(
        600.0,
        "Seconds to wait for the other workers, and for what --data_service owes.",
        lower=1,
        upper=1e6,
        is_recorded=False,
    )
    data_service: str | None = option(
        None,
        "grpc://host:port of a dispatcher (python -m pipelines.data_service), whose "
        "workers make the batches: the same, in the same order as without, resumed as "
        "without, each example once an epoch. If one of its workers ends, its batches "
        "are lost: the training ends too, with an error, and goes on with --resume. "
        "Its workers read images in --cache_dir; without, up to 1 GiB is sent.",
        is_recorded=False,
    )

    @property
    def last_temperature(self):
        """The temperature that the training ends with."""
        return self.final_temperature or self.temperature
