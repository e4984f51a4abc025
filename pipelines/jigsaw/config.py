"""The settings of jigsaw puzzles, and the checks that they fit one another."""

import dataclasses

from pipelines.shared import options
from pipelines.shared.errors import UserError
from pipelines.shared.options import Options, option
from pipelines.shared.puzzles.config import (
    ImagesConfig,
    check_heads,
    check_split,
    image_size,
)
from pipelines.shared.training.config import TrainingConfig

# The values of settings that are None by default, by --network.
_DEFAULTS = {
    "paper": {"loss": "reconstruction", "learning_rate": 0.02, "noise_scale": 1.0},
    "context": {"loss": "cross_entropy", "learning_rate": 0.001, "noise_scale": 0.0},
}


@dataclasses.dataclass(frozen=True)
class JigsawConfig(Options):
    """All settings of `python -m pipelines.jigsaw`."""

    grid: int = option(2, "Pieces along a side.", lower=1, upper=32)
    erode: int = option(
        0, "Pixels taken off each side of a piece: pieces do not meet.", lower=0
    )
    offset: bool = option(False, "In training erode more on some sides than others.")
    crop: bool = option(True, "Training photographs are random crops of larger ones.")
    mirror: bool = option(True, "Half of the training photographs are mirrored.")
    rotation: float = option(
        0.0, "Largest random rotation, in degrees.", lower=0, upper=180, search=""
    )
    color: float = option(
        0.0,
        "Largest random change of brightness, contrast, saturation.",
        lower=0,
        upper=1,
        search="",
    )
    network: str = option(
        "context",
        "context: the pieces see each other (by default --loss=cross_entropy, "
        "--learning_rate=0.001, --noise_scale=0); paper: each piece alone "
        "(reconstruction, 0.02, 1).",
        choices=("context", "paper"),
    )
    filters: int = option(
        64,
        "paper: filters of the convolution.",
        lower=1,
        search="32|64|128",
        only_for="paper",
    )
    kernel_size: int = option(
        7,
        "paper: side of the convolution's kernel.",
        lower=1,
        search="3|5|7|9",
        only_for="paper",
    )
    dropout: float = option(
        0.0,
        "paper: share of a piece's features that is dropped in training.",
        lower=0,
        upper=0.99,
        search="",
        only_for="paper",
    )
    width: int = option(
        64,
        "context: size of a piece's vector.",
        lower=1,
        search="32|64|128",
        only_for="context",
    )
    depth: int = option(
        4, "context: blocks of attention.", lower=0, search="", only_for="context"
    )
    heads: int = option(
        8, "context: heads of attention.", lower=1, search="", only_for="context"
    )
    edge_scales: int = option(
        1,
        "context: compare edges of 1, 2, 4, ... pixels, so many; 0: no edges.",
        lower=0,
        upper=6,
        search="",
        only_for="context",
    )
    loss: str | None = option(
        None,
        "Error of the softly restored image (Mena et al. 2018, eq. 5), or cross-entropy "
        "of the soft permutation with the true one.",
        choices=("reconstruction", "cross_entropy"),
    )
    mirrored: bool = option(
        False,
        "In evaluation average the logits with those of the mirror image.",
        may_change=True,
    )
    profile: bool = option(
        False,
        "Only time the parts of a training step.",
        is_recorded=False,
        replaces_training=True,
    )
    images: ImagesConfig = dataclasses.field(default_factory=ImagesConfig)
    # On a CPU a compiled convolution takes twice the time of a plain one.
    training: TrainingConfig = dataclasses.field(
        default_factory=lambda: TrainingConfig(jit_compile="operator")
    )

    def completed(self):
        """The settings with the values that suit `network` for those that are None."""
        present = options.values(self)
        return self.replace(
            **{k: v for k, v in _DEFAULTS[self.network].items() if present[k] is None}
        )

    def check(self, explicit_names=frozenset()):
        """Raises UserError where settings do not fit one another.

        Args:
            explicit_names: The names of the settings that the command line sets.
        """
        check_split(self.images, explicit_names)
        if self.network == "context":
            check_heads(self.width, self.heads)
        if self.profile and self.training.distribute != "none":
            raise UserError(
                "--profile is for one device. Received: "
                f"--distribute={self.training.distribute}"
            )

    @property
    def size(self):
        """The side of the puzzles in pixels.

        Raises:
            UserError: If the size is no multiple of `grid`, or `erode` leaves no pixel.
        """
        size = image_size(self.images, self.grid)
        if size // self.grid <= 2 * self.erode:
            raise UserError(
                f"--erode leaves nothing of pieces of {size // self.grid} pixels. "
                f"Received: --erode={self.erode}"
            )
        return size
