"""The settings of assembly, and the checks that they fit one another."""

import dataclasses
import os

from pipelines.shared.datasets.sources import SOURCES, source
from pipelines.shared.errors import UserError
from pipelines.shared.options import Options, option
from pipelines.shared.puzzles.config import ImagesConfig, check_heads, check_split
from pipelines.shared.training.config import TrainingConfig

# The kinds of judges, in the order in which --judges takes them.
JUDGES = ("convolutional", "dense", "nearest", "transformer", "strided")
# The default grid, by dataset.
_GRIDS = {"mnist": 10, "digits": 4}


@dataclasses.dataclass(frozen=True)
class AssemblyConfig(Options):
    """All settings of `python -m pipelines.assembly`."""

    grid: int | None = option(
        None,
        "Pieces along a side (default: 10 for mnist, 4 for digits).",
        lower=1,
        upper=32,
    )
    recipe: str = option(
        "template",
        "template: each layer learns to make, of the pieces of any digit, one drawing of "
        "its digit, as bold as these pieces allow. nearest: the image of its digit, among "
        "--candidates, that is most like them in content. own (the paper's): each layer "
        "learns to put back the pieces of its own digit.",
        choices=("template", "nearest", "own"),
    )
    candidates: int = option(
        300, "nearest: images of each digit to choose among.", lower=1
    )
    bold: int = option(
        2,
        "nearest: bolder copies of each image that are candidates, too.",
        lower=0,
        upper=8,
    )
    width: int = option(128, "Size of a piece's vector.", lower=1)
    hidden: int = option(2, "Dense layers that see a piece alone.", lower=1)
    depth: int = option(0, "Blocks of attention among the pieces.", lower=0)
    heads: int = option(8, "Heads of attention.", lower=1)
    decode: str = option(
        "soft",
        "soft: hard assembly matches the pieces with the soft reconstruction. logits "
        "(the paper's): it matches the network's logits.",
        choices=("soft", "logits"),
    )
    judges: int = option(
        5,
        "Judges that say which results they accept: the first so many of "
        f"{', '.join(JUDGES)}. Two of them also choose templates, whatever the number.",
        lower=1,
        upper=len(JUDGES),
        may_change=True,
    )
    judge: str | None = option(
        None,
        "Directory of the first judge; the others are beside it (default: "
        "runs/judge_...).",
        is_recorded=False,
    )
    judge_only: bool = option(
        False,
        "Only train the judges, unless they are there.",
        is_recorded=False,
        replaces_training=True,
    )
    judge_steps: int | None = option(
        None,
        "Steps of each judge's training (default: 6 epochs).",
        lower=1,
        may_change=True,
    )
    images: ImagesConfig = dataclasses.field(default_factory=ImagesConfig)
    # On a CPU the whole step, with attention, takes seven times as long compiled.
    training: TrainingConfig = dataclasses.field(
        default_factory=lambda: TrainingConfig(
            learning_rate=0.004, n_iters=30, noise_scale=0.0, jit_compile="operator"
        )
    )

    def completed(self):
        """The settings with the grid that suits the dataset if it is None."""
        if self.grid is not None:
            return self
        return self.replace(grid=_GRIDS.get(source(self.images.dataset).name))

    def check(self, explicit_names=frozenset()):
        """Raises UserError where settings do not fit one another.

        Args:
            explicit_names: The names of the settings that the command line sets.
        """
        check_split(self.images, explicit_names)
        if not source(self.images.dataset).n_labels:
            known = [name for name, x in SOURCES.items() if x.n_labels]
            raise UserError(
                f"Assembly needs images with labels: {' or '.join(known)}. "
                f"Received: --dataset={self.images.dataset}"
            )
        if self.depth:
            check_heads(self.width, self.heads)

    @property
    def judge_directory(self):
        """The directory of the first judge."""
        name = source(self.images.dataset).file_name
        return os.path.normpath(self.judge or os.path.join("runs", f"judge_{name}"))
