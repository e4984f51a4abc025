"""The images that the settings of a program ask for."""

import hashlib
import sys

from pipelines.shared import datasets


def load_images(images, split, size):
    """The images of a split; prints the number of files that are broken.

    Args:
        images: `ImagesConfig`.
        split: A role, or an expression of TFDS.
        size: Pixels along a side.

    Returns:
        `datasets.Images`.
    """
    source = datasets.source(images.dataset)
    loaded = datasets.load(
        source.name,
        split,
        size=size,
        data_dir=images.data_dir,
        cache_dir=images.cache_dir,
    )
    if loaded.skipped:
        print(f"{split}: skipped {loaded.skipped} broken files", file=sys.stderr)
    return loaded


def fingerprint(images):
    """A hash of an array of images: a run is not resumed on other ones."""
    return hashlib.sha256(images).hexdigest()
