import os
import socket
import threading
import time

import numpy as np
import pytest
import tensorflow as tf
from absl import logging

from pipelines import datasets
from pipelines.datasets import DataError, obtaining, prepared


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


@pytest.fixture
def offline(monkeypatch):
    monkeypatch.setattr(obtaining, "reachable", lambda host: False)


@pytest.fixture
def warnings_logged(monkeypatch):
    lines = []
    monkeypatch.setattr(logging, "warning", lambda text, *a: lines.append(text % a))
    return lines


class TestSource:
    def test_names_and_aliases(self):
        assert datasets.source("celeb_a") is datasets.source("celeba")
        assert datasets.source("imagenet2012") is datasets.source("imagenet")
        assert datasets.source("mnist") == datasets.Source("mnist", 28, 1, False)
        sizes = {name: known.native_size for name, known in datasets.SOURCES.items()}
        assert sizes == {
            "digits": 8,
            "photos": 64,
            "mnist": 28,
            "celeba": 64,
            "imagenet": 72,
            "folder": 64,
        }

    def test_unknown_name_lists_the_choices(self):
        with pytest.raises(DataError, match="digits, photos, .*folder.*'cifar'"):
            datasets.source("cifar")

    @pytest.mark.parametrize("size", [0, -1, 2.5, None])
    def test_bad_size(self, size):
        with pytest.raises(DataError, match=f"size={size}"):
            datasets.load("digits", "test", size=size)

    @pytest.mark.parametrize("split", ["dev", "test[:5]", "tfds:test", None])
    @pytest.mark.parametrize("name", ["digits", "photos"])
    def test_bad_split(self, name, split):
        with pytest.raises(DataError, match=f"split={split!r}".replace("[", r"\[")):
            datasets.load(name, split, size=8)


class TestSquare:
    @pytest.mark.parametrize(
        "shape", [(21, 32, 3), (40, 25, 1), (9, 9, 3), (64, 64, 1)]
    )
    @pytest.mark.parametrize("size", [9, 16, 50])
    def test_equals_numpy(self, shape, size):
        image = np.random.RandomState(0).randint(0, 256, shape).astype(np.uint8)
        side = min(shape[:2])
        top, left = (shape[0] - side) // 2, (shape[1] - side) // 2
        expected = resized(image[top : top + side, left : left + side], size)
        result = datasets.square(image, size)
        assert result.dtype == tf.uint8
        assert result.shape == (size, size, shape[2])
        assert np.max(np.abs(result.numpy() - expected)) <= 0.5 + 1e-3

    def test_own_size_is_unchanged(self):
        image = np.random.RandomState(1).randint(0, 256, (8, 8, 3)).astype(np.uint8)
        np.testing.assert_array_equal(datasets.square(image, 8), image)

    def test_unknown_shape_and_batch(self):
        images = np.random.RandomState(2).randint(0, 256, (3, 12, 17, 3), np.uint8)
        spec = tf.TensorSpec([None, None, None], tf.uint8)
        function = tf.function(lambda image: datasets.square(image, 6), [spec])
        batch = datasets.square(images, 6)
        for image, expected in zip(images, batch, strict=True):
            np.testing.assert_array_equal(function(image), expected)


class TestEmbedded:
    def test_digits_are_the_scanned_ones(self):
        from sklearn.datasets import load_digits

        loaded = datasets.load("digits", "all", size=8)
        assert loaded.images.shape == (1797, 8, 8, 1)
        assert loaded.images.dtype == np.uint8
        assert (loaded.images.min(), loaded.images.max()) == (0, 255)
        grey = np.round(loaded.images[..., 0] / (255 / 16))
        np.testing.assert_array_equal(grey, load_digits().images)

    def test_digits_are_split_in_80_10_10_percent(self):
        whole = datasets.load("digits", "all", size=8)
        parts = [datasets.load("digits", role, size=8) for role in datasets.ROLES]
        assert [len(part.images) for part in parts] == [1439, 179, 179]
        for part in parts:
            assert part.file_order.dtype == np.int64
            assert np.all(np.diff(part.file_order) > 0)
            np.testing.assert_array_equal(part.images, whole.images[part.file_order])
        together = np.sort(np.concatenate([part.file_order for part in parts]))
        np.testing.assert_array_equal(together, whole.file_order)

    def test_splits_are_constant(self):
        # Other numbers here would make every earlier result another one.
        test = datasets.load("digits", "test", size=8)
        np.testing.assert_array_equal(test.file_order[:5], [1, 4, 9, 11, 13])

    def test_photos(self):
        parts = [datasets.load("photos", role, size=16) for role in datasets.ROLES]
        assert [part.images.shape for part in parts] == [
            (1600, 16, 16, 3),
            (200, 16, 16, 3),
            (200, 16, 16, 3),
        ]
        again = datasets.load("photos", "test", size=16)
        np.testing.assert_array_equal(again.images, parts[2].images)
        np.testing.assert_array_equal(again.file_order, np.arange(200))
        whole = datasets.load("photos", "all", size=16)
        together = np.concatenate([part.images for part in parts])
        np.testing.assert_array_equal(whole.images, together)

    def test_photos_share_no_pixel_between_splits(self, monkeypatch):
        import sklearn.datasets

        columns = np.tile(np.arange(640) * (255 / 639), (2, 427, 1))
        photographs = np.repeat(np.round(columns)[..., np.newaxis], 3, axis=-1)
        bunch = sklearn.utils.Bunch(images=list(photographs.astype(np.uint8)))
        monkeypatch.setattr(sklearn.datasets, "load_sample_images", lambda: bunch)
        ranges = []
        for role in datasets.ROLES:
            images = datasets.load("photos", role, size=48).images
            ranges.append((images.min(), images.max()))
        bounds = [np.round(c * 255 / 639) for c in (0, 511, 512, 575, 576, 639)]
        for (low, high), first, last in zip(
            ranges, bounds[::2], bounds[1::2], strict=True
        ):
            assert first <= low < high <= last


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


class TestFolder:
    def test_reads_a_tree_in_the_order_of_its_paths(self, tmp_path):
        names = write_folder(tmp_path)
        loaded = datasets.load("folder", "all", size=8, data_dir=tmp_path)
        assert loaded.images.shape == (20, 8, 8, 3)
        assert loaded.skipped == 0
        np.testing.assert_array_equal(loaded.file_order, np.arange(20))
        numbers = np.array([int(name.split(".")[0][-2:]) for name in names])
        expected = np.broadcast_to(10 * numbers[:, None, None, None], (20, 8, 8, 3))
        np.testing.assert_allclose(loaded.images, expected, atol=1)

    def test_splits(self, tmp_path):
        write_folder(tmp_path)
        whole = datasets.load("folder", "all", size=8, data_dir=tmp_path)
        parts = [
            datasets.load("folder", role, size=8, data_dir=tmp_path)
            for role in datasets.ROLES
        ]
        assert [len(part.images) for part in parts] == [16, 2, 2]
        together = np.sort(np.concatenate([part.file_order for part in parts]))
        np.testing.assert_array_equal(together, np.arange(20))
        for part in parts:
            np.testing.assert_array_equal(part.images, whole.images[part.file_order])

    def test_bitmaps_and_animations(self, tmp_path):
        from PIL import Image

        write_folder(tmp_path, 8)
        frames = [Image.new("RGB", (9, 9), (value,) * 3) for value in (40, 200)]
        frames[0].save(tmp_path / "x.gif", save_all=True, append_images=frames[1:])
        Image.new("RGBA", (9, 9), (60, 70, 80, 90)).save(tmp_path / "y.bmp")
        Image.new("L", (9, 9), 50).save(tmp_path / "z.bmp")
        loaded = datasets.load("folder", "all", size=4, data_dir=tmp_path)
        assert loaded.images[-3:, 0, 0].tolist() == [[40] * 3, [60, 70, 80], [50] * 3]

    def test_broken_files_are_named_skipped_and_counted(
        self, tmp_path, warnings_logged
    ):
        names = write_folder(tmp_path)
        whole = tmp_path / next(name for name in names if name.endswith("JPG"))
        truncated = tmp_path / "deep" / "truncated.jpg"
        truncated.write_bytes(whole.read_bytes()[:-200])
        (tmp_path / "text.jpg").write_text("no image either")
        (tmp_path / "empty.png").write_bytes(b"")
        loaded = datasets.load("folder", "all", size=8, data_dir=tmp_path)
        assert loaded.skipped == 3
        assert len(loaded.images) == 20
        broken = ["deep/truncated.jpg", "empty.png", "text.jpg"]
        names = sorted([*names, *broken])
        expected = [i for i, name in enumerate(names) if name not in broken]
        np.testing.assert_array_equal(loaded.file_order, expected)
        for line, name in zip(warnings_logged, broken, strict=True):
            assert f"Skipped {tmp_path / name}: " in line
            assert "\n" not in line
            assert "{{" not in line

    @pytest.mark.parametrize("split", ["all", "train", "test"])
    def test_too_few_readable_images(self, tmp_path, split, warnings_logged):
        write_folder(tmp_path, 9)
        for i in range(6):
            (tmp_path / f"broken{i}.png").write_text("broken")
        with pytest.raises(DataError, match="at least 10 .*found 9 readable images"):
            datasets.load("folder", split, size=8, data_dir=tmp_path)

    def test_unusable_folders(self, tmp_path):
        with pytest.raises(DataError, match="data_dir=None"):
            datasets.load("folder", "test", size=8)
        with pytest.raises(DataError, match="No such folder .*nowhere"):
            datasets.load("folder", "test", size=8, data_dir=tmp_path / "nowhere")
        with pytest.raises(DataError, match="found 0 images"):
            datasets.load("folder", "test", size=8, data_dir=tmp_path)


class TestPrepared:
    def test_roles_and_expressions(self, tmp_path):
        write_tfds(
            tmp_path, "celeb_a", shape=(12, 8, 3), train=10, validation=3, test=9
        )
        for split, expected in {
            "train": range(10),
            "validation": range(3),
            "test": range(9),
            "test[:6]": range(6),
            "tfds:train": range(10),
            "train[50%:]": range(5, 10),
            "validation+test[:1]": [0, 1, 2, 0],
        }.items():
            loaded = datasets.load("celeba", split, size=4, data_dir=tmp_path)
            assert loaded.images.shape[1:] == (4, 4, 3)
            assert loaded.skipped == 0
            assert values(loaded) == list(expected)
            # The pixels are the index in the TFDS split.
            assert loaded.file_order.tolist() == list(expected)

    def test_roles_of_mnist(self, tmp_path, monkeypatch):
        monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
        write_tfds(tmp_path, "mnist", train=6, test=3)
        roles = obtaining.OFFICIAL["mnist"].roles
        assert roles == {
            "train": "train[:55000]",
            "validation": "train[55000:]",
            "test": "test",
        }
        assert values(datasets.load("mnist", "test", size=8)) == [0, 1, 2]
        with pytest.raises(DataError, match=r"has train \(6\), test \(3\)"):
            datasets.load("mnist", "train", size=8)

    def test_channels_are_those_of_the_source(self, tmp_path):
        write_tfds(tmp_path, "mnist", shape=(8, 8, 3), test=3)
        loaded = datasets.load("mnist", "test", size=8, data_dir=tmp_path)
        assert loaded.images.shape == (3, 8, 8, 1)

    def test_directory_with_a_test_split_only(self, tmp_path):
        write_tfds(tmp_path, "celeb_a", shape=(8, 8, 3), test=5)
        loaded = datasets.load("celeb_a", "test", size=8, data_dir=tmp_path)
        assert values(loaded) == [0, 1, 2, 3, 4]
        for split in (
            "train",
            "validation",
            "train[:3]",
            "nonsense",
            "test[",
            "test[9:]",
        ):
            with pytest.raises(DataError, match=r"which has test \(5\)") as caught:
                datasets.load("celeb_a", split, size=8, data_dir=tmp_path)
            assert "\n" not in str(caught.value)

    def test_newest_version_is_opened(self, tmp_path):
        for version, count in {"2.1.0": 3, "10.0.0": 5, "3.0.1": 4}.items():
            write_tfds(tmp_path, "mnist", version, test=count)
        (tmp_path / "mnist" / "11.0.0.incompleteABC").mkdir()
        loaded = datasets.load("mnist", "test", size=8, data_dir=tmp_path)
        assert len(loaded.images) == 5

    def test_imagenet_holds_out_by_hash(self, tmp_path, monkeypatch):
        import hashlib

        monkeypatch.setattr(prepared, "IMAGENET_HELD_OUT", 5)
        write_tfds(
            tmp_path, "imagenet2012", shape=(None, None, 3), train=23, validation=7
        )
        train, validation, test = (
            datasets.load("imagenet", role, size=8, data_dir=tmp_path)
            for role in datasets.ROLES
        )
        names = [f"{23 - i:04}.JPEG".encode() for i in range(23)]
        order = sorted(range(23), key=lambda i: hashlib.sha1(names[i]).hexdigest())
        assert validation.file_order.tolist() == sorted(order[:5])
        assert train.file_order.tolist() == sorted(order[5:])
        assert values(validation) == validation.file_order.tolist()
        assert values(train) == train.file_order.tolist()
        assert values(test) == list(range(7))
        monkeypatch.setattr(prepared, "IMAGENET_HELD_OUT", 23)
        with pytest.raises(DataError, match="more than 23 examples"):
            datasets.load("imagenet", "train", size=8, data_dir=tmp_path)

    @pytest.mark.parametrize("damage", ["missing", "short", "cut", "empty"])
    def test_damaged_shard(self, tmp_path, damage):
        directory = write_tfds(tmp_path, "mnist", train=6, test=6)
        shard = max(directory.glob("mnist-test*"))
        records = [record.numpy() for record in tf.data.TFRecordDataset(str(shard))]
        if damage == "missing":
            shard.unlink()
        elif damage == "cut":
            shard.write_bytes(shard.read_bytes()[:-10])
        else:
            with tf.io.TFRecordWriter(str(shard)) as writer:
                for record in records[:1] if damage == "short" else []:
                    writer.write(record)
        with pytest.raises(DataError, match="incomplete or damaged") as caught:
            datasets.load("mnist", "test", size=8, data_dir=tmp_path)
        assert "tfds build mnist" in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_damaged_image(self, tmp_path):
        directory = write_tfds(tmp_path, "mnist", test=1)
        shard = str(*directory.glob("mnist-test*"))
        record = next(iter(tf.data.TFRecordDataset(shard))).numpy()
        with tf.io.TFRecordWriter(shard) as writer:
            writer.write(record.replace(b"PNG", b"GNP"))
        with pytest.raises(DataError, match="incomplete or damaged"):
            datasets.load("mnist", "test", size=8, data_dir=tmp_path)

    @pytest.mark.parametrize("name", ["dataset_info.json", "features.json"])
    @pytest.mark.parametrize("content", [None, "", "{"])
    def test_damaged_metadata(self, tmp_path, name, content):
        path = write_tfds(tmp_path, "mnist", test=1) / name
        if content is None:
            path.unlink()
        else:
            path.write_text(content)
        with pytest.raises(DataError, match="incomplete or damaged"):
            datasets.load(
                "mnist", "test", size=8, data_dir=tmp_path, cache_dir=tmp_path / "kept"
            )

    @pytest.mark.parametrize(
        ("name", "official", "hint"),
        [
            ("mnist", "mnist", "storage.googleapis.com"),
            ("celeba", "celeb_a", "Google Drive"),
            ("imagenet", "imagenet2012", "only be downloaded by hand"),
        ],
    )
    def test_not_prepared(self, tmp_path, offline, name, official, hint):
        with pytest.raises(DataError, match=hint) as caught:
            datasets.load(name, "test", size=8, data_dir=tmp_path)
        message = str(caught.value)
        assert f"No prepared dataset {official} in {tmp_path}" in message
        assert f"`tfds build {official} --data_dir={tmp_path}`" in message
        assert "\n" not in message

    def test_directories_looked_in(self, tmp_path, offline, monkeypatch):
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.delenv("TFDS_DATA_DIR", raising=False)
        default = tmp_path / "tensorflow_datasets"
        with pytest.raises(DataError, match=f"in {default}:"):
            datasets.load("mnist", "test", size=8)
        monkeypatch.setenv("TFDS_DATA_DIR", "~/elsewhere")
        with pytest.raises(DataError, match=f"in {tmp_path / 'elsewhere'}:"):
            datasets.load("mnist", "test", size=8)

    def test_says_so_quickly_when_the_network_hangs(self, tmp_path, monkeypatch):
        released = threading.Event()

        def hang(*_, **__):
            released.wait(60)
            raise OSError

        monkeypatch.setattr(socket, "create_connection", hang)
        monkeypatch.setattr(obtaining, "_CONNECT_SECONDS", 0.2)
        start = time.monotonic()
        with pytest.raises(DataError, match="No prepared dataset mnist"):
            datasets.load("mnist", "test", size=8, data_dir=tmp_path)
        assert time.monotonic() - start < 3
        released.set()

    def test_reachable_opens_a_connection_or_that_of_the_proxy(self, monkeypatch):
        for variable in [name for name in os.environ if name.lower().endswith("proxy")]:
            monkeypatch.delenv(variable)
        tried = []

        def connect(address, timeout):
            tried.append(address)
            return socket.socket()

        monkeypatch.setattr(socket, "create_connection", connect)
        assert obtaining.reachable("data.example")
        monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
        assert obtaining.reachable("data.example")
        assert tried == [("data.example", 443), ("proxy.example", 3128)]

    def test_downloads_when_the_host_answers(self, tmp_path, monkeypatch):
        import tensorflow_datasets as tfds

        class Builder:
            def __init__(self, name, data_dir):
                self.name, self.root = name, data_dir

            def download_and_prepare(self):
                self.data_dir = write_tfds(tmp_path, self.name, test=2)

        monkeypatch.setattr(obtaining, "reachable", lambda host: True)
        monkeypatch.setattr(tfds, "builder", Builder)
        loaded = datasets.load("mnist", "test", size=8, data_dir=tmp_path)
        assert values(loaded) == [0, 1]

    def test_failed_download(self, tmp_path, monkeypatch):
        import tensorflow_datasets as tfds

        def fail(*_, **__):
            raise RuntimeError("quota exceeded\nand more")

        monkeypatch.setattr(obtaining, "reachable", lambda host: True)
        monkeypatch.setattr(tfds, "builder", fail)
        with pytest.raises(DataError, match="failed .*quota exceeded\\): prepare it"):
            datasets.load("celeba", "test", size=8, data_dir=tmp_path)


class TestCache:
    def files(self, folder):
        return sorted(path.name for path in folder.iterdir())

    def test_round_trip(self, tmp_path):
        data, kept = tmp_path / "data", tmp_path / "new" / "kept"
        write_folder(data)
        (data / "broken.png").write_text("broken")
        first, second = (
            datasets.load("folder", "all", size=8, data_dir=data, cache_dir=kept)
            for _ in range(2)
        )
        assert isinstance(second.images, np.memmap)
        np.testing.assert_array_equal(first.images, second.images)
        np.testing.assert_array_equal(first.file_order, second.file_order)
        assert first.skipped == second.skipped == 1
        images, rest = self.files(kept)
        assert images.startswith("folder-all-8-") and images.endswith(".npy")
        assert rest == images.replace(".npy", ".npz")

    def test_is_not_read_again(self, tmp_path, monkeypatch):
        write_tfds(tmp_path, "mnist", train=3, test=3)
        arguments = {"size": 8, "data_dir": tmp_path, "cache_dir": tmp_path / "kept"}
        datasets.load("mnist", "test", **arguments)
        monkeypatch.delattr(prepared.Prepared, "read")
        assert values(datasets.load("mnist", "test", **arguments)) == [0, 1, 2]
        with pytest.raises(AttributeError):
            datasets.load("mnist", "tfds:train", **arguments)

    def test_other_data_are_kept_apart(self, tmp_path):
        kept = tmp_path / "kept"
        for size in (4, 8):
            datasets.load("digits", "test", size=size, cache_dir=kept)
        for root, version in ((tmp_path, "1.0.0"), (tmp_path, "1.0.1")):
            write_tfds(root, "mnist", version, test=3)
            datasets.load("mnist", "test", size=8, data_dir=root, cache_dir=kept)
            datasets.load("mnist", "test[:2]", size=8, data_dir=root, cache_dir=kept)
        assert len(self.files(kept)) == 2 * (2 + 4)

    @pytest.mark.parametrize("suffix", [".npy", ".npz"])
    @pytest.mark.parametrize("damage", ["empty", "cut", "garbage", "missing", "other"])
    def test_broken_file_is_rebuilt(self, tmp_path, suffix, damage, warnings_logged):
        whole = datasets.load("digits", "test", size=8, cache_dir=tmp_path)
        broken = next(tmp_path.glob(f"*{suffix}"))
        good = broken.read_bytes()
        if damage == "missing":
            broken.unlink()
        elif damage == "other" and suffix == ".npy":
            np.save(broken, whole.images[:-1])
        elif damage == "other":
            np.savez(broken, skipped=0)
        else:
            broken.write_bytes(
                {"empty": b"", "cut": good[:-99], "garbage": b"\x93NUMPY?" * 99}[damage]
            )
        loaded = datasets.load("digits", "test", size=8, cache_dir=tmp_path)
        np.testing.assert_array_equal(loaded.images, whole.images)
        assert broken.read_bytes()[-99:] == good[-99:]
        if (suffix, damage) != (".npy", "missing"):
            assert "Rebuilding the broken cache" in warnings_logged[0]

    def test_folder_that_cannot_be_written(self, tmp_path, warnings_logged):
        (tmp_path / "file").write_text("in the way")
        loaded = datasets.load("digits", "test", size=8, cache_dir=tmp_path / "file")
        assert len(loaded.images) == 179
        assert "Cannot keep" in warnings_logged[0]


def test_no_progress_bar_outside_a_terminal(tmp_path, capfd):
    write_folder(tmp_path)
    datasets.load("folder", "all", size=8, data_dir=tmp_path)
    datasets.load("digits", "all", size=8)
    captured = capfd.readouterr()
    assert "\r" not in captured.err + captured.out
    assert "images" not in captured.err + captured.out
