"""Decoded arrays kept on disk."""

import functools
import hashlib
import pathlib
import re
import zipfile

import numpy as np
from absl import logging

from pipelines.shared.datasets.sources import Images
from pipelines.shared.files import write_whole


def load_cached(reader, split, size, cache_dir):
    """Reads a split, from `cache_dir` where it holds the split already.

    Of two files, NAME.npy holds the images, which are mapped into memory, and NAME.npz
    the rest. NAME contains a hash of the reader's identity, so that the arrays of other
    data are never taken for these. Broken files are written again.

    Args:
        reader: An object with the attributes `source` and `identity` and the method
            `read(split, size)`.
        split: The split.
        size: Side of the images, in pixels.
        cache_dir: The folder, or None to keep nothing.

    Returns:
        `Images`.
    """
    if cache_dir is None:
        return reader.read(split, size)
    name = reader.source.file_name
    digest = hashlib.sha256(f"{split}\n{reader.identity}".encode()).hexdigest()[:12]
    slug = re.sub(r"\W+", "_", split).strip("_")
    folder = pathlib.Path(cache_dir).expanduser()
    path = folder / f"{name}-{slug}-{size}-{digest}.npy"
    if path.exists():
        try:
            return _read(path, size, reader.source)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            logging.warning("Rebuilding the broken cache %s: %s", path, error)
    loaded = reader.read(split, size)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # The images are written last, since a reader looks for them first.
        write_whole(path.with_suffix(".npz"), functools.partial(_save_rest, loaded))
        write_whole(path, lambda name: np.save(name, loaded.images))
        return _read(path, size, reader.source)
    except OSError as error:
        logging.warning("Cannot keep the decoded images in %s: %s", folder, error)
    return loaded


def _read(path, size, source):
    """Reads the `Images` of two files; raises an exception where they are broken."""
    images = np.load(path, mmap_mode="r")
    with open(path.with_suffix(".npz"), "rb") as file, np.load(file) as rest:
        file_order, skipped = rest["file_order"], int(rest["skipped"])
        # Caches that were written before labels were added lack this key.
        labels = rest["labels"] if source.n_labels else ()
    shape = (len(file_order), size, size, source.channels)
    if images.dtype != np.uint8 or images.shape != shape:
        raise ValueError(f"it holds {images.dtype} {images.shape}")
    if len(labels) not in (0, len(file_order)):
        raise ValueError(f"it holds {len(labels)} labels")
    return Images(images, file_order, skipped, labels if len(labels) else None)


def _save_rest(loaded, name):
    """Writes all of `Images` but the images."""
    labels = () if loaded.labels is None else loaded.labels
    np.savez(
        name,
        file_order=loaded.file_order,
        skipped=loaded.skipped,
        labels=np.asarray(labels, np.int64),
    )
