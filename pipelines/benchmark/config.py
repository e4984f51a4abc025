"""The settings of the benchmark."""

import dataclasses
import math

from pipelines.benchmark.peers import PEERS
from pipelines.shared.errors import UserError
from pipelines.shared.options import Options, option

SECTIONS = (
    "operator",
    "scaling",
    "accuracy",
    "solver",
    "matching",
    "serving",
    "shapes",
    "eager",
    "large",
    "spread",
)

# The problems of the section shapes beside sets of different sizes.
PROBLEMS = ("masses", "balanced", "dustbins")

# The values of `--quick` for settings that the command line does not set.
_QUICK = {
    "sizes": ["64x9"],
    "iterations": ["20"],
    "scaling_sizes": ["4x16", "4x256"],
    "accuracy_size": "4x9",
    "temperatures": ["0.01"],
    "solver_n": 10,
    "matching_sizes": ["64x36"],
    "serving_sizes": ["64x9"],
    "shapes": ["64x6x9", "64x9x9:3", "64x9x9:dustbins"],
    "eager_sizes": ["8x5x9"],
    "large_sizes": ["1x512"],
    "spread_sizes": ["64x9"],
    "grids": ["3"],
    "training_steps": 200,
    "repeats": 3,
    "burst": 0.05,
}


@dataclasses.dataclass(frozen=True)
class BenchmarkConfig(Options):
    """All settings of `python -m pipelines.benchmark`."""

    workdir: str = option("runs/benchmark", "Directory of the run.")
    resume: bool = option(False, "Keep the cases that --workdir has.")
    quick: bool = option(False, "Small sizes and few repeats by default.")
    scaling: bool = option(
        False, "The same as python -m pipelines.training_cost, instead of sections."
    )
    sections: list[str] = option(list(SECTIONS), "The sections to measure.")
    peers: list[str] = option(list(PEERS), "The peers to measure.")
    sizes: list[str] = option(["64x9", "64x36", "64x100", "16x256"], "Batch x N.")
    iterations: list[str] = option(["20", "100"], "Iterations of the operator.")
    temperature: float = option(
        1.0, "Temperature of the sections operator and scaling.", lower=1e-6
    )
    scaling_sizes: list[str] = option(
        [f"4x{2**k}" for k in range(4, 11)], "Batch x N, at the fewest iterations."
    )
    accuracy_size: str = option("64x36", "Batch x N, at the most iterations.")
    temperatures: list[str] = option(
        ["1", "0.1", "0.03", "0.01", "0.001"], "Temperatures of the section accuracy."
    )
    solver_n: int = option(100, "N of the tight instance.", lower=2)
    matching_sizes: list[str] = option(
        ["64x9", "64x36", "64x100", "64x256"], "Batch x N of random logits."
    )
    serving_sizes: list[str] = option(
        [f"{batch}x{n}" for n in (9, 36, 100) for batch in (1, 8, 64)],
        "Batch x N of requests.",
    )
    shapes: list[str] = option(
        [
            "64x30x50",
            "8x1024x8",
            "8x1024x8:balanced",
            "64x100x100:20",
            "64x100x100:masses",
            "64x100x100:dustbins",
        ],
        "Batch x N x M of the section shapes; with :K sets of K to N items and K to M "
        "positions; with :balanced items of mass 1 and positions that share their total; "
        "with :masses random masses; with :dustbins a score for those without a partner.",
    )
    eager_sizes: list[str] = option(
        ["8x5x24"],
        "Batch x smallest N x largest N of the section eager, which calls each size once.",
    )
    large_sizes: list[str] = option(
        ["1x512", "1x1024", "1x2048"], "Batch x N of the section large."
    )
    large_temperatures: list[str] = option(
        ["1", "0.05"], "Temperatures of the section large."
    )
    spread_sizes: list[str] = option(
        ["64x36", "64x100", "16x256"], "Batch x N of the section spread."
    )
    grids: list[str] = option(["3", "6"], "Puzzles to train for, pieces along a side.")
    training_steps: int = option(1000, "Steps of the training for puzzles.", lower=1)
    dataset: str = option("digits", "Images of the puzzles, as in pipelines.jigsaw.")
    data_dir: str | None = option(None, "TFDS directory, or the folder of images.")
    cache_dir: str | None = option(None, "Keeps decoded images for the next run.")
    repeats: int = option(15, "Bursts of each peer and case.", lower=1)
    burst: float = option(0.1, "Seconds of a burst.", lower=0)
    budget: float = option(
        10.0,
        "Seconds of a peer's bursts in a case; once they are spent, three are enough.",
        lower=0,
    )
    patience: float = option(300.0, "Seconds to wait for a peer.", lower=1)
    seed: int = option(0, "Seed of the inputs.", lower=0)

    def completed(self, explicit_names=frozenset()):
        """The settings with the small values of `--quick` where it is set.

        Args:
            explicit_names: The names of the settings that the command line sets; they
                stay.
        """
        return self.with_defaults(_QUICK, explicit_names) if self.quick else self

    def check(self, explicit_names=frozenset()):
        """Raises UserError if a list is empty or holds an unknown name."""
        for flag, known in (("sections", SECTIONS), ("peers", PEERS)):
            for name in getattr(self, flag):
                if name not in known:
                    raise UserError(
                        f"--{flag} takes {', '.join(known)}. Received: {name}"
                    )
        for flag in ("iterations", "sections", "peers"):
            if not getattr(self, flag):
                raise UserError(f"--{flag} is empty.")


def parse_sizes(flag, texts):
    """A list of pairs of batch and N, from texts such as `64x9`.

    Args:
        flag: The name of the flag, for the error.
        texts: List of strings.
    """
    return [parse_size(flag, text) for text in texts]


def parse_size(flag, text):
    """The pair of batch and N, from a text such as `64x9`."""
    parts = text.lower().split("x")
    if len(parts) != 2:
        raise UserError(f"--{flag} takes sizes like 64x9. Received: {text}")
    batch, n = (parse_count(flag, part) for part in parts)
    return batch, n


def parse_shape(flag, text):
    """The fields of a case, a dict, from a text such as `64x9x9:3`.

    Args:
        flag: The name of the flag, for the error.
        text: Batch, N and M; after a colon the smallest size or the name of a problem.
    """
    shape, colon, kind = text.partition(":")
    parts = shape.lower().split("x")
    if len(parts) != 3:
        raise UserError(
            f"--{flag} takes shapes like 64x6x9, 64x9x9:3 for sets of 3 to 9 members, or "
            f"64x9x9:{PROBLEMS[0]}. Received: {text}"
        )
    batch, n, m = (parse_count(flag, part) for part in parts)
    fields = {"batch": batch, "n": n, "m": m}
    if not colon:
        return fields
    if kind in PROBLEMS:
        return fields | {"problem": kind}
    if not kind.isdecimal():
        raise UserError(
            f"--{flag} takes a smallest size or {', '.join(PROBLEMS)} after the colon. "
            f"Received: {text}"
        )
    smallest = parse_count(flag, kind)
    if smallest > min(n, m):
        raise UserError(
            f"--{flag} takes a smallest size that is at most N and M. Received: {text}"
        )
    return fields | {"smallest": smallest}


def parse_range(flag, text):
    """The triple of batch, smallest and largest N, from a text such as `8x5x24`."""
    parts = text.lower().split("x")
    if len(parts) != 3:
        raise UserError(
            f"--{flag} takes a batch and two sizes, like 8x5x24. Received: {text}"
        )
    batch, smallest, largest = (parse_count(flag, part) for part in parts)
    if smallest > largest:
        raise UserError(
            f"--{flag} takes the smaller size before the larger one. Received: {text}"
        )
    return batch, smallest, largest


def parse_count(flag, text):
    """A whole number from 1, from a text."""
    if not text.isdecimal() or int(text) < 1:
        raise UserError(f"--{flag} takes whole numbers from 1. Received: {text}")
    return int(text)


def parse_temperature(flag, text):
    """A positive number, from a text."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise UserError(f"--{flag} takes positive numbers. Received: {text}")
    return value
