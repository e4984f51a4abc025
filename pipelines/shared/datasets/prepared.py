"""Sources in the layout of TensorFlow Datasets (TFDS)."""

import contextlib
import hashlib
import logging
import os

import numpy as np
import tensorflow as tf

from pipelines.shared.datasets.decoding import (
    BATCH,
    IN_PARALLEL,
    collect,
    match_channels,
    square,
)
from pipelines.shared.datasets.obtaining import (
    OFFICIAL,
    build_command,
    by_name,
    download,
    newest_version,
    tfds_directory,
)
from pipelines.shared.datasets.sources import ROLES, DataError, Images
from pipelines.shared.errors import first_line, operation_failure

# The number of imagenet's train examples that make the role "validation".
IMAGENET_HELD_OUT = 1000


class Prepared:
    """A dataset in a TFDS directory; it is downloaded first if it is absent.

    The newest version in the directory is opened with the splits that it has, even if
    the installed TFDS would prepare another version.
    """

    def __init__(self, source, data_dir):
        self.source = source
        self.official = OFFICIAL.get(source.name) or by_name(source.name)
        self.data_dir = tfds_directory(data_dir)
        self.version_dir = newest_version(self.official, self.data_dir)
        if self.version_dir is None:
            self.version_dir = download(self.official, self.data_dir)
        self._info_path = os.path.join(self.version_dir, "dataset_info.json")
        if not tf.io.gfile.exists(self._info_path):
            raise self._damaged("the file dataset_info.json is missing")

    @property
    def identity(self):
        """The directory, and a hash of the file that describes the dataset."""
        # That file says the version, and the examples and bytes of every split.
        with tf.io.gfile.GFile(self._info_path, "rb") as file:
            return f"{self.version_dir} {hashlib.sha256(file.read()).hexdigest()}"

    def read(self, split, size):
        """The `Images` of a split, `size` pixels high and wide."""
        with _without_deprecation_warning():
            return self._read(split, size)

    def _read(self, split, size):
        builder = self._open()
        if "image" not in builder.info.features:
            raise DataError(
                f"{self.source.name} has no images: its features are "
                f"{', '.join(builder.info.features)}."
            )
        expression = self.official.roles.get(split, split).removeprefix("tfds:")
        count = self._count(builder, split, expression)
        try:
            file_order = _file_order(builder, expression)
            chosen = np.arange(count)
            if self.source.name == "imagenet" and split in ("train", "validation"):
                chosen = self._part_by_hash(builder, split, expression, count)
            images = self._decode(builder, expression, count, chosen, size)
            labels = None
            if self.source.n_labels and "label" in builder.info.features:
                labels = _labels(builder, expression)[chosen]
        except tf.errors.OpError as error:
            raise self._damaged(operation_failure(error)) from error
        return Images(images, file_order[chosen], 0, labels)

    def _open(self):
        import tensorflow_datasets as tfds

        try:
            return tfds.builder_from_directory(self.version_dir)
        # Spoiled metadata raise exceptions of JSON, of protobuf, of TFDS.
        except Exception as error:
            raise self._damaged("its metadata cannot be read") from error

    def _count(self, builder, split, expression):
        """The number of examples that the expression selects, whose files must exist."""
        try:
            selected = builder.info.splits[expression]
        except (KeyError, ValueError) as error:
            raise self._bad_split(builder, split, str(error)) from error
        if selected.num_examples <= 0:
            raise self._bad_split(builder, split, "It selects no example.")
        for instruction in selected.file_instructions:
            if not tf.io.gfile.exists(instruction.filename):
                name = os.path.basename(instruction.filename)
                raise self._damaged(f"the file {name} is missing")
        return selected.num_examples

    def _part_by_hash(self, builder, split, expression, count):
        """The ascending indices of imagenet's role `train` or `validation`."""
        if count <= IMAGENET_HELD_OUT:
            raise self._bad_split(
                builder,
                split,
                "The roles train and validation divide the TFDS split train, which needs "
                f"more than {IMAGENET_HELD_OUT:,} examples.",
            )
        batches = _raw(builder, expression, "file_name").batch(1024)
        hashes = [
            hashlib.sha1(name).digest()
            for batch in batches.as_numpy_iterator()
            for name in batch["file_name"]
        ]
        order = sorted(range(count), key=lambda index: (hashes[index], index))
        held_out, rest = order[:IMAGENET_HELD_OUT], order[IMAGENET_HELD_OUT:]
        return np.sort(held_out if split == "validation" else rest)

    def _decode(self, builder, expression, count, chosen, size):
        feature = builder.info.features["image"]
        channels = self.source.channels

        def decode(example):
            image = feature.decode_example(example["image"])
            return match_channels(image, channels)

        def resize(images):
            return square(images, size)

        dataset = _raw(builder, expression, "image")
        if len(chosen) < count:
            is_chosen = np.isin(np.arange(count), chosen)
            dataset = tf.data.Dataset.zip(
                dataset, tf.data.Dataset.from_tensor_slices(is_chosen)
            )
            dataset = dataset.filter(lambda _, keep: keep).map(lambda raw, _: raw)
        dataset = dataset.map(decode, **IN_PARALLEL)
        if None in feature.shape:
            batches = dataset.map(resize, **IN_PARALLEL).batch(BATCH)
        else:
            # To resize pictures of one shape together is twice as fast.
            batches = dataset.batch(BATCH).map(resize, **IN_PARALLEL)
        shape = (len(chosen), size, size, channels)
        return collect(batches, shape, self.source.name)

    def _damaged(self, reason):
        return DataError(
            f"The dataset in {self.version_dir} is incomplete or damaged ({reason}): "
            "remove that directory and prepare it again with "
            f"{build_command(self.official, self.data_dir)}."
        )

    def _bad_split(self, builder, split, reason):
        """The error about a role or a TFDS split that cannot be read."""
        splits = builder.info.splits
        present = ", ".join(
            f"{name} ({splits[name].num_examples:,})" for name in splits
        )
        expression = self.official.roles.get(split)
        if expression is None:
            asked = f"There is no TFDS split {split!r} of {self.source.name}"
            advice = (
                "give a TFDS expression, such as 'test[:500]', or a role "
                f"({', '.join(ROLES)})."
            )
        else:
            asked = (
                f"The role {split!r} of {self.source.name} means {expression!r} of the "
                "TFDS splits, but that cannot be read"
            )
            other = split if split in splits else next(iter(splits), "test")
            advice = f"to read the TFDS split {other}, give 'tfds:{other}'."
        return DataError(
            f"{asked} in {self.version_dir}, which has {present} as its TFDS "
            f"splits: {advice} {first_line(reason)}"
        )


@contextlib.contextmanager
def _without_deprecation_warning():
    """Hides a warning of TFDS about an attribute that TFDS itself reads."""
    logger = logging.getLogger("absl")

    def is_other(record):
        return "FeatureConnector.dtype" not in record.getMessage()

    logger.addFilter(is_other)
    try:
        yield
    finally:
        logger.removeFilter(is_other)


def _file_order(builder, expression):
    """The index of every selected example in its TFDS split."""
    start = {}
    for info in builder.info.splits.values():
        lengths = np.cumsum([0, *info.shard_lengths])
        start |= dict(zip(sorted(info.filenames), lengths.tolist(), strict=False))
    parts = []
    for piece in builder.info.splits[expression].file_instructions:
        first = start[os.path.basename(piece.filename)] + piece.skip
        taken = piece.take if piece.take >= 0 else piece.examples_in_shard - piece.skip
        parts.append(first + np.arange(taken))
    return np.concatenate(parts)


def _labels(builder, expression):
    """Reads the label of every selected example, int64."""
    batches = _raw(builder, expression, "label").batch(1024)
    parts = [batch["label"] for batch in batches.as_numpy_iterator()]
    return np.concatenate(parts).astype(np.int64)


def _raw(builder, expression, feature):
    """Reads one feature in file order, images as the bytes of their files."""
    import tensorflow_datasets as tfds

    skip = {"image": tfds.decode.SkipDecoding()} if feature == "image" else None
    return builder.as_dataset(
        split=expression,
        shuffle_files=False,
        decoders=tfds.decode.PartialDecoding({feature: True}, decoders=skip),
        # Files are read one after the other, so that test[:500] is the beginning of test.
        read_config=tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False),
    )
