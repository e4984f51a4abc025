"""Decoded arrays kept on disk."""

import hashlib
import os
import pathlib
import re
import uuid
import zipfile

import numpy as np
from absl import logging

from pipelines.shared.datasets.sources import Images


def load_cached(reader, split, size, cache_dir):
    """Reads a split, from `cache_dir` where it is kept already.

    Two files: NAME.npy holds the images, which are mapped into memory, and NAME.npz
    the rest. NAME carries a hash of the reader's identity, so that other data never
    answer for these. Broken files are written anew.

    Args:
        reader: Has `source`, `identity` and `read(split, size)`.
        split: The split.
        size: Side of the images, in pixels.
        cache_dir: The folder, or None to read without keeping.

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
        # The images last: a reader looks for them first.
        _write(path.with_suffix(".npz"), _save_rest, loaded)
        _write(path, _save_images, loaded)
        return _read(path, size, reader.source)
    except OSError as error:
        logging.warning("Cannot keep the decoded images in %s: %s", folder, error)
    return loaded


def _read(path, size, source):
    images = np.load(path, mmap_mode="r")
    with open(path.with_suffix(".npz"), "rb") as file, np.load(file) as rest:
        file_order, skipped = rest["file_order"], int(rest["skipped"])
        # Files of before there were labels lack the key.
        labels = rest["labels"] if source.n_labels else ()
    shape = (len(file_order), size, size, source.channels)
    if images.dtype != np.uint8 or images.shape != shape:
        raise ValueError(f"it holds {images.dtype} {images.shape}")
    if len(labels) not in (0, len(file_order)):
        raise ValueError(f"it holds {len(labels)} labels")
    return Images(images, file_order, skipped, labels if len(labels) else None)


def _save_images(file, loaded):
    np.save(file, loaded.images)


def _save_rest(file, loaded):
    labels = () if loaded.labels is None else loaded.labels
    np.savez(
        file,
        file_order=loaded.file_order,
        skipped=loaded.skipped,
        labels=np.asarray(labels, np.int64),
    )


def _write(path, save, loaded):
    """Writes under another name first: nobody ever sees half a file."""
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    try:
        with open(partial, "wb") as file:
            save(file, loaded)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
