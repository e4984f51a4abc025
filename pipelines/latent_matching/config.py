"""The settings of the study of latent matchings."""

import dataclasses

from pipelines.shared.errors import UserError
from pipelines.shared.options import Options, option

# The names of the bounds of `fitting`, which imports TensorFlow.
BOUNDS = ("closed_form", "tight", "mixture", "enumerated")


@dataclasses.dataclass(frozen=True)
class LatentMatchingConfig(Options):
    """All settings of `python -m pipelines.latent_matching`."""

    workdir: str = option(
        "runs/latent_matching", "Directory of the run.", is_recorded=False
    )
    resume: bool = option(
        False, "Keep the cases that --workdir has.", is_recorded=False
    )
    seed: int = option(0, "Seed of instances, noise and samples.", lower=0)
    instances: int = option(200, "Instances of each sigma.", lower=1, upper=10_000)
    sigmas: list[float] = option(
        [0.1, 0.25, 0.5, 0.75],
        "Standard deviations of the observations.",
        lower=0.01,
        upper=100,
    )
    bounds: list[str] = option(
        list(BOUNDS), f"The bounds to fit by: {', '.join(BOUNDS)}."
    )
    draws: int = option(
        20_000, "Hard permutations of each instance.", lower=1000, upper=10_000_000
    )
    steps: int = option(600, "Steps of a fit.", lower=1)
    learning_rate: float = option(
        0.2, "Of Adam, at the first step; falls to 0.", lower=1e-6
    )
    temperature: float = option(0.5, "Temperature of a fit.", lower=1e-3)
    samples_of_step: int = option(
        10, "Soft permutations in a step of a relaxed bound.", lower=1
    )
    mixture_samples: int = option(
        100, "Samples in a step of a bound with a mixture.", lower=2
    )
    sizes: list[int] = option(
        list(range(4, 13)), "N of the second table.", lower=2, upper=16
    )
    size_sigma: float = option(0.5, "Sigma of the second table.", lower=0.01)
    size_instances: int = option(10, "Instances of each N.", lower=1, upper=10_000)

    def check(self, explicit_names=frozenset()):
        for name in self.bounds:
            if name not in BOUNDS:
                raise UserError(
                    f"--bounds must be among {', '.join(BOUNDS)}. Received: {name}"
                )
