"""The images of every experiment, as one uint8 array, decoded once.

`load("mnist", "test", size=28)` is all that a pipeline needs. The modules hold one
concern each: `sources` what is known without opening anything; `embedded`, `folder`
and `prepared` (TFDS) the kinds of source; `obtaining` the TFDS directory and the
download; `decoding` the geometry; `cache` the arrays kept on disk.
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

    The roles `"train"`, `"validation"` and `"test"` mean: fitted on, chosen on (best
    weights, tuning) and reported on. For `mnist` these are `train[:55000]`,
    `train[55000:]` and `test`; for `celeba` the splits of that name; for `imagenet`
    train but for 1,000 examples drawn by a hash of `file_name`, those 1,000, and
    `validation`; for the other sources a constant draw of 80, 10 and 10 % (`photos`:
    three regions of each photograph), never touched by any seed.

    Args:
        name: A name or alias that `source` knows.
        split: A role; `"all"` for `digits`, `photos` and `folder`; for the others any
            TFDS split expression, such as `"test[:500]"`. A TFDS split that is called
            like a role is had with a prefix: `"tfds:train"`.
        size: Side of the square images, in pixels.
        data_dir: For `folder` the folder. For `mnist`, `celeba` and `imagenet` the
            TFDS directory, else the variable `TFDS_DATA_DIR`, else TFDS' default.
        cache_dir: A folder that keeps the array, which is mapped into memory
            (read-only) when asked for again. None keeps nothing.

    Returns:
        `Images`: `images` uint8 `[M, size, size, channels]`; `file_order` int64 `[M]`;
        `skipped`, the number of broken files left out; `labels` int64 `[M]` of `digits`
        and `mnist`, or None. `file_order` is the example's index in the whole source
        for `digits` and `folder`, in the split for `photos`, in the TFDS split that
        holds it for the others, whatever part is asked for.

    Raises:
        DataError: If the name, the split or the size is not valid, the data are
            neither there nor to be downloaded, or they are damaged.
    """
    known = source(name)
    if not isinstance(split, str):
        raise DataError(f"split must be a string. Received: split={split!r}")
    if not isinstance(size, numbers.Integral) or size < 1:
        raise DataError(
            f"size must be a positive whole number of pixels. Received: size={size!r}"
        )
    # Here, so that the settings of a program know the sources without TensorFlow.
    from pipelines.shared.datasets import cache, embedded, folder, prepared

    readers = {
        "digits": embedded.Digits,
        "photos": embedded.Photos,
        "folder": folder.Folder,
    }
    reader = readers.get(known.name, prepared.Prepared)(known, data_dir)
    return cache.load_cached(reader, split, int(size), cache_dir)
