"""The settings of sorting."""

import dataclasses
from typing import ClassVar

from pipelines.shared.options import option
from pipelines.shared.training.config import EvaluationConfig, TrainingConfig


@dataclasses.dataclass(frozen=True)
class SortingConfig(EvaluationConfig):
    """All settings of `python -m pipelines.sorting`."""

    n: int = option(50, "Numbers in a list.", lower=2, upper=10_000)
    hidden: int = option(32, "Units of the hidden layer.", lower=1, search="16|32|64")
    precision: str = option(
        "float64",
        "Precision of the logits in evaluation.",
        choices=("float32", "float64"),
    )
    from_least: bool = option(
        False, "Subtract each list's least number first, in evaluation."
    )
    training: TrainingConfig = dataclasses.field(
        default_factory=lambda: TrainingConfig(
            batch_size=50,
            learning_rate=0.1,
            warmup_steps=0,
            averaging=0.999,
            checkpoint_every=500,
            n_iters=100,
            noise_scale=0.0,
            jit_compile="step",
        )
    )

    # Sorting needs other values than those that most trainings are searched for.
    searched: ClassVar[dict[str, str]] = {
        "learning_rate": "0.01..1",
        "temperature": "0.1..10",
        "n_iters": "20|50|100|200",
    }
