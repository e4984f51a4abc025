"""What is known about the sources without opening them, and their seeded splits."""

import dataclasses
import re
from typing import NamedTuple

import numpy as np

from pipelines.shared.errors import UserError

ROLES = ("train", "validation", "test")

# Part of the definition of the embedded sources and of folders, hence no flag.
SPLIT_SEED = 20180516


class DataError(UserError):
    """Data that cannot be had: one sentence for the user, without a traceback."""


@dataclasses.dataclass(frozen=True)
class Source:
    """What is known about a dataset without opening it.

    Attributes:
        name: The canonical short name.
        native_size: The default side of its square images, in pixels.
        channels: 1 or 3.
        photographs: Whether horizontal flips and random crops are sound in training.
        n_labels: How many classes its examples are labelled with, 0 for no labels.
    """

    name: str
    native_size: int
    channels: int
    photographs: bool
    n_labels: int = 0

    @property
    def file_name(self):
        """The name as a part of names of files."""
        return re.sub(r"\W", "_", self.name)


class Images(NamedTuple):
    """Square images in file order.

    Attributes:
        images: uint8 `[M, size, size, channels]`.
        file_order: int64 `[M]`, the example's index in file order.
        skipped: The number of broken files that were left out.
        labels: int64 `[M]`, the classes, or None where there are none.
    """

    images: np.ndarray
    file_order: np.ndarray
    skipped: int
    labels: np.ndarray | None = None


SOURCES = {
    known.name: known
    for known in (
        Source("digits", 8, 1, photographs=False, n_labels=10),
        Source("photos", 64, 3, photographs=True),
        Source("mnist", 28, 1, photographs=False, n_labels=10),
        Source("celeba", 64, 3, photographs=True),
        Source("imagenet", 72, 3, photographs=True),
        Source("folder", 64, 3, photographs=True),
    )
}
_ALIASES = {"celeb_a": "celeba", "imagenet2012": "imagenet"}


def source(name):
    """Finds a source by its name.

    Args:
        name: `digits`, `photos`, `mnist`, `celeba` (or `celeb_a`), `imagenet` (or
            `imagenet2012`), `folder`, or `tfds:NAME` for any dataset of photographs
            that is prepared in a TFDS directory.

    Returns:
        The `Source`.

    Raises:
        DataError: If there is no such source.
    """
    known = SOURCES.get(_ALIASES.get(name, name))
    if known is None and re.fullmatch(r"tfds:\w+(/\w+)?", name):
        return Source(name, 64, 3, photographs=True)
    if known is None:
        raise DataError(
            f"Unknown dataset: choose one of {', '.join(SOURCES)}, or tfds:NAME. "
            f"Received: {name!r}"
        )
    return known


def check_role(name, split):
    """Raises `DataError` unless `split` is a role or `"all"`."""
    if split not in (*ROLES, "all"):
        raise DataError(
            f"{name} has no TFDS splits: give a role ({', '.join(ROLES)}), or all. "
            f"Received: split={split!r}"
        )


def seeded_part(name, split, count):
    """Returns the ascending indices of a split of `count` examples (80, 10, 10 %)."""
    check_role(name, split)
    if split == "all":
        return np.arange(count)
    # RandomState's streams are frozen for good; those of Generator may change with
    # a release of NumPy, and the splits with them.
    order = np.random.RandomState(SPLIT_SEED).permutation(count)
    tenth = count // 10
    parts = np.split(order, [count - 2 * tenth, count - tenth])
    return np.sort(parts[ROLES.index(split)])
