"""The images of every experiment, as one uint8 array, decoded once.

`load("mnist", "test", size=28)` is all that a program needs. `sources` knows the sources
without opening them; `embedded`, `folder` and `prepared` (TFDS) read the three kinds of
source; `obtaining` finds the TFDS directory and downloads; `decoding` crops and resizes;
`cache` keeps arrays on disk.
"""

import numbers

from pipelines.shared.datasets.sources import (
    ROLES,
    SOURCES,
    DataError,
    Images,
    Source,
    source,
)

__all__ = [
    "ROLES",
    "SOURCES",
    "DataError",
    "Images",
    "Source",
    "load",
    "source",
]


def load(name, split, *, size, data_dir=None, cache_dir=None):
    """Loads one part of a source as square images.

    Networks are fitted on the role `"train"`, weights and settings are chosen on
    `"validation"`, and results are reported on `"test"`. For `mnist` these are
    `train[:55000]`, `train[55000:]` and `test`; for `celeba` the splits of those names;
    for `imagenet` the split `train` without 1,000 examples that a hash of `file_name`
    picks, those 1,000, and `validation`; for the other sources a constant random
    division into 80, 10 and 10 % (`photos`: three regions of each photograph), which no
    seed changes.

    Args:
        name: A name or alias that `source` knows.
        split: A role; `"all"` for `digits`, `photos` and `folder`; for the others any
            TFDS split expression, such as `"test[:500]"`. A TFDS split that is called
            like a role needs a prefix: `"tfds:train"`.
        size: Side of the square images, in pixels.
        data_dir: For `folder` the folder. For the sources of TFDS their directory; by
            default the variable `TFDS_DATA_DIR`, else the default of TFDS.
        cache_dir: A folder that keeps the array; the next call maps it into memory
            (read-only). None keeps nothing.

    Returns:
        `Images`; `digits` and `mnist` have labels. `file_order` is the example's index
        in the whole source for `digits` and `folder`, in the split for `photos`, and in
        the whole TFDS split that holds it for the others.

    Raises:
        DataError: If the name, the split or the size is not valid, or the data are
            damaged, or they are absent and cannot be downloaded.
    """
    known = source(name)
    if not isinstance(split, str):
        raise DataError(f"split must be a string. Received: split={split!r}")
    if not isinstance(size, numbers.Integral) or size < 1:
        raise DataError(
            f"size must be a positive whole number of pixels. Received: size={size!r}"
        )
    # Imported here, so that the settings of a program know the sources without TensorFlow.
    from pipelines.shared.datasets import cache, embedded, folder, prepared

    readers = {
        "digits": embedded.Digits,
        "photos": embedded.Photos,
        "folder": folder.Folder,
    }
    reader = readers.get(known.name, prepared.Prepared)(known, data_dir)
    return cache.load_cached(reader, split, int(size), cache_dir)
