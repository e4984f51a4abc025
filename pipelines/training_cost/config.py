"""The settings of the study of the cost of a training."""

import dataclasses

from pipelines.shared.options import Options, option

# The values of `--quick` for settings that the command line does not set.
_QUICK = {"repeats": 3, "burst": 0.05}


@dataclasses.dataclass(frozen=True)
class TrainingCostConfig(Options):
    """All settings of `python -m pipelines.training_cost`."""

    workdir: str = option("runs/training_cost", "Directory of the run.")
    quick: bool = option(False, "Few small cases, and few short bursts by default.")
    repeats: int = option(15, "Bursts of each case.", lower=1)
    burst: float = option(
        1.0, "Seconds of a burst; a step of the slowest case takes longer.", lower=0
    )

    def completed(self, explicit_names=frozenset()):
        """The settings with the small values of `--quick` where it is set.

        Args:
            explicit_names: The names of the settings that the command line sets; they
                stay.
        """
        return self.with_defaults(_QUICK, explicit_names) if self.quick else self
