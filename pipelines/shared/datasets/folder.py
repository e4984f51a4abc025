"""Any directory tree of images as a source."""

import concurrent.futures
import functools
import hashlib
import os
import pathlib

import numpy as np
import tensorflow as tf
from absl import logging

from pipelines.shared import image_files
from pipelines.shared.datasets.decoding import match_channels, square
from pipelines.shared.datasets.sources import DataError, Images, seeded_part
from pipelines.shared.errors import UserError
from pipelines.shared.image_files import shown
from pipelines.shared.image_folders import find_images

# The number of readable images that a folder needs.
_FEWEST = 10
_THREADS = 8
# The way in which images are read. Arrays that were read in another way, and kept, must
# not be taken for these.
_READING = b"\nas a viewer shows them"


class Folder:
    """The images of a directory tree, in the order of their sorted relative paths.

    A file that cannot be decoded is named in the log and skipped. The log also counts
    files of other kinds, and folders that are passed over. Links to folders are
    followed. `shared.image_files` says how an image is read.
    """

    def __init__(self, source, data_dir):
        self.source = source
        if not data_dir:
            raise DataError(
                "The dataset folder needs to know where its images are: give the "
                f"folder as data_dir. Received: data_dir={data_dir!r}"
            )
        self.root = pathlib.Path(data_dir).expanduser().absolute()
        if not self.root.is_dir():
            raise DataError(
                f"No such folder of images: {shown(self.root)}. Give an existing folder as "
                "data_dir."
            )
        try:
            self.names, passed_over, _ = find_images(self.root)
        except UserError as error:
            raise DataError(str(error)) from error
        for sentence in passed_over:
            _warn_once(f"Passed over in {shown(self.root)}: {sentence}")
        if len(self.names) < _FEWEST:
            raise self._too_few(len(self.names), "images")

    @property
    def identity(self):
        """A hash of the folder and of the names, sizes and times of its images."""
        digest = hashlib.sha256(os.fsencode(self.root))
        digest.update(_READING)
        for name in self.names:
            try:
                status = (self.root / name).stat()
                facts = f"\n{name} {status.st_size} {status.st_mtime_ns}"
            except OSError:
                # The link leads nowhere.
                facts = f"\n{name} - -"
            digest.update(os.fsencode(facts))
        return digest.hexdigest()

    def read(self, split, size):
        """The `Images` of a split, `size` pixels high and wide."""
        from tqdm import tqdm

        chosen = seeded_part(self.source.name, split, len(self.names))
        shape = (len(chosen), size, size, self.source.channels)
        images = np.empty(shape, np.uint8)
        is_read = np.zeros(len(chosen), bool)
        with (
            image_files.without_warnings(),
            concurrent.futures.ThreadPoolExecutor(_THREADS) as pool,
        ):
            decoded = pool.map(lambda index: self._decode(index, size), chosen)
            bar = tqdm(decoded, total=len(chosen), desc="folder", disable=None)
            for i, (image, error) in enumerate(bar):
                if image is None:
                    path = self.root / self.names[chosen[i]]
                    logging.warning("Skipped %s: %s", shown(path), error)
                else:
                    images[i], is_read[i] = image, True
        self._check_readable(chosen, is_read)
        return Images(images[is_read], chosen[is_read], int(np.sum(~is_read)))

    def _decode(self, index, size):
        """Returns the square image and None, or None and the error."""
        try:
            image = image_files.read(self.root / self.names[index])
        except UserError as error:
            return None, error
        # Decoding is no work for a GPU.
        with tf.device("CPU"):
            image = match_channels(image, self.source.channels)
            return square(image, size).numpy(), None

    def _check_readable(self, chosen, is_read):
        """Raises `DataError` if the split is empty or the folder has too few images."""
        readable = int(np.sum(is_read))
        for index in np.setdiff1d(np.arange(len(self.names)), chosen):
            if readable >= _FEWEST:
                break
            readable += self._decode(index, 1)[0] is not None
        if readable < _FEWEST:
            raise self._too_few(readable, "readable images")
        if not is_read.any():
            raise DataError(
                f"None of the {len(chosen)} images of this split can be read in "
                f"{shown(self.root)}: replace or remove the broken files."
            )

    def _too_few(self, count, noun):
        return DataError(
            f"A folder of images needs at least {_FEWEST} ({image_files.KINDS}); "
            f"found {count} {noun} in {shown(self.root)} and below."
        )


@functools.cache
def _warn_once(text):
    """Warns only once, though a program reads several splits."""
    logging.warning("%s", text)
