"""The settings of a search, and the checks that they fit one another."""

import dataclasses

from pipelines.jigsaw.config import JigsawConfig
from pipelines.shared import options
from pipelines.shared.errors import UserError
from pipelines.shared.options import Options, option
from pipelines.sorting.config import SortingConfig

PROGRAMS = {"jigsaw": JigsawConfig, "sorting": SortingConfig}


@dataclasses.dataclass(frozen=True)
class TuneConfig(Options):
    """All settings of `python -m pipelines.tune`, those of the program among them."""

    pipeline: str = option(
        "jigsaw",
        "The program whose training is searched for.",
        choices=tuple(PROGRAMS),
        may_change=True,
    )
    tuner: str = option(
        "hyperband",
        "hyperband: many short trials, the best of which start again with more steps; "
        "bayesian: each trial is where a Gaussian process of the earlier ones promises "
        "most.",
        choices=("hyperband", "bayesian"),
    )
    space: list[str] = option(
        [],
        "Settings to search: NAME, NAME=LOW..HIGH or NAME=A|B|C; by default the rate, "
        "the temperature, noise, iterations and widths that the network has.",
    )
    trial_steps: int | None = option(
        None, "Steps of the longest trials (default: --steps).", lower=1
    )
    trials: int = option(20, "bayesian: number of trials.", lower=2, may_change=True)
    factor: int = option(
        3, "hyperband: factor of the steps from a rung to the next.", lower=2
    )
    rungs: int = option(
        3, "hyperband: rungs, each with its number of steps.", lower=1, upper=20
    )
    program: Options = dataclasses.field(default_factory=JigsawConfig)

    def completed(self):
        """The settings with those of the program complete."""
        return dataclasses.replace(self, program=self.program.completed())

    def check(self, explicit_names=frozenset()):
        """Raises UserError where a search cannot do what the settings ask for.

        Args:
            explicit_names: The names of the settings that the command line sets.
        """
        values = options.values(self)
        for name in sorted(options.names(self, "replaces_training")):
            if values[name]:
                raise UserError(
                    f"A search does not take --{name}. Received: --{name}={values[name]}"
                )
        if values["distribute"] == "multiworker":
            raise UserError(
                "The workers of a search have a trial each: give them the variables "
                "KERASTUNER_TUNER_ID, KERASTUNER_ORACLE_IP and KERASTUNER_ORACLE_PORT. "
                f"Received: --distribute={values['distribute']}"
            )
        if self.tuner == "hyperband":
            self._check_hyperband(explicit_names)
        self.program.check(explicit_names)

    def _check_hyperband(self, explicit_names):
        if "trials" in explicit_names:
            raise UserError(
                "--trials is for --tuner=bayesian; with hyperband --factor and --rungs "
                f"say how many there are. Received: --trials={self.trials}"
            )
        if self.steps < self.factor ** (self.rungs - 1):
            raise UserError(
                f"The shortest of the trials would have no step with --rungs={self.rungs}"
                f" and --factor={self.factor}. Received: --trial_steps={self.steps}"
            )

    @property
    def steps(self):
        """The steps of the longest trials."""
        return self.trial_steps or self.program.training.steps


def defaults(arguments):
    """The default settings of the program that `--pipeline` names.

    Args:
        arguments: The command line, without the name of the program; flag files in it
            are read.

    Raises:
        UserError: If there is no such program.
    """
    from absl import flags

    early = flags.FlagValues()
    only = TuneConfig(program=Options())
    options.define_flags(only, early)
    try:
        early(["program", *arguments], known_only=True)
    except (flags.Error, ValueError) as error:
        raise UserError(str(error)) from error
    return TuneConfig(program=PROGRAMS[early["pipeline"].value]())
