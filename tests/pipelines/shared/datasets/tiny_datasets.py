"""Small datasets that the tests write, and what is in them."""

import numpy as np
import tensorflow as tf


def write_tfds(root, name, version="1.0.0", shape=(8, 8, 1), per_shard=4, **splits):
    """Writes a dataset whose example i is filled with the value i.

    The file names of its examples count down, so that no order can be mistaken for
    the order in the files.
    """
    import tensorflow_datasets as tfds

    directory = root / name / version
    directory.mkdir(parents=True)
    identity = tfds.core.dataset_info.DatasetIdentity(
        name=name, version=version, data_dir=str(directory), module_name=name
    )
    features = tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(shape=shape, encoding_format="png"),
            "file_name": tfds.features.Text(),
        }
    )
    info = tfds.core.DatasetInfo(builder=identity, features=features)
    writer = tfds.core.SequentialWriter(info, max_examples_per_shard=per_shard)
    writer.initialize_splits(list(splits))
    # Where the shape leaves height and width open, every example has another one.
    for split, count in splits.items():
        for i in range(count):
            size = [8 + i % 3 if side is None else side for side in shape]
            image = np.full(size, i, np.uint8)
            example = {"image": image, "file_name": f"{count - i:04}.JPEG"}
            writer.add_examples({split: [example]})
    writer.close_all()
    return directory


def values(loaded):
    return loaded.images[:, 0, 0, 0].tolist()


def resized(image, size):
    """Antialiased bilinear resize of a square image: a triangle kernel per row."""
    side = len(image)
    scale = side / size
    centers = (np.arange(size) + 0.5) * scale
    distances = np.abs(np.arange(side) + 0.5 - centers[:, np.newaxis])
    kernel = np.maximum(0, 1 - distances / max(scale, 1))
    kernel /= kernel.sum(axis=1, keepdims=True)
    return np.einsum("ih,jw,hwc->ijc", kernel, kernel, image.astype(float))


def write_folder(root, count=20):
    """Writes images of all kinds, number i filled with 10 * i, and files to ignore."""
    (root / "deep" / "er").mkdir(parents=True)
    encoders = {
        "a.png": lambda image: tf.io.encode_png(image),
        "b.JPG": lambda image: tf.io.encode_jpeg(image, quality=100),
        "deep/c.PNG": lambda image: tf.io.encode_png(image[..., :1]),
        "deep/er/d.jpeg": lambda image: tf.io.encode_jpeg(image[..., :1]),
    }
    names = []
    for i in range(count):
        base, encode = list(encoders.items())[i % len(encoders)]
        stem, suffix = base.rsplit(".", 1)
        names.append(f"{stem}{i:02}.{suffix}")
        image = tf.fill([12 + i, 14, 3], np.uint8(10 * i))
        (root / names[-1]).write_bytes(encode(image).numpy())
    (root / "notes.txt").write_text("not an image")
    return sorted(names)
