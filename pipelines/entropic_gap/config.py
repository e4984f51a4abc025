"""The settings of the study of the entropic penalty."""

import dataclasses

from pipelines.shared.files import ROOT
from pipelines.shared.options import Options, option


@dataclasses.dataclass(frozen=True)
class EntropicGapConfig(Options):
    """All settings of `python -m pipelines.entropic_gap`."""

    workdir: str = option("runs/entropic_gap", "Directory of the run.")
    seed: int = option(0, "Seed of the random costs.", lower=0)
    instances: int = option(100, "Random costs of a kind.", lower=1, upper=100_000)
    sizes: list[int] = option(
        [8, 16, 32, 64, 100, 200],
        "N of the matrices of theorem 2.",
        lower=2,
        upper=1000,
    )
    network_logits: int = option(8, "Logits of each network.", lower=1)
    savedmodels: str = option(
        str(ROOT / "savedmodels"),
        "Folder of the trained networks sorting_n120 and jigsaw_digits, or empty.",
    )
