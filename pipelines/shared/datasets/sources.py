"""The sources of images, described without opening them, and their seeded splits."""

import dataclasses
import re
from typing import NamedTuple

import numpy as np

from pipelines.shared.errors import UserError

ROLES = ("train", "validation", "test")

# The seed is a part of the definition of the embedded sources and of folders, not a flag.
SPLIT_SEED = 20180516


class DataError(UserError):
    """Data that cannot be read or downloaded."""


@dataclasses.dataclass(frozen=True)
class Source:
    """A dataset of images, described without opening it.

    Attributes:
        name: The canonical short name.
        native_size: The default side of its square images, in pixels.
        channels: 1 or 3.
        photographs: Whether training may mirror and crop the images at random.
        n_labels: The number of classes of its examples; 0 if they have no labels.
    """

    name: str
    native_size: int
    channels: int
    photographs: bool
    n_labels: int = 0

    @property
    def file_name(self):
        """The name without characters that are unusual in names of files."""
        return re.sub(r"\W", "_", self.name)


class Images(NamedTuple):
    """Square images in file order.

    Attributes:
        images: uint8 `[M, size, size, channels]`.
        file_order: int64 `[M]`, the example's index in file order.
        skipped: The number of broken files that were left out.
        labels: int64 `[M]`, the classes; None for a source without them.
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
    """The source of a name.

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
    """The ascending indices of a split of `count` examples (80, 10, 10 %)."""
    check_role(name, split)
    if split == "all":
        return np.arange(count)
    # The streams of RandomState never change; those of Generator may change with a
    # release of NumPy, and would change the splits.
    order = np.random.RandomState(SPLIT_SEED).permutation(count)
    tenth = count // 10
    parts = np.split(order, [count - 2 * tenth, count - tenth])
    return np.sort(parts[ROLES.index(split)])
