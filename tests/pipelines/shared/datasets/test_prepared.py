import os
import re
import socket
import threading

import pytest
import tensorflow as tf

from pipelines.shared import datasets
from pipelines.shared.datasets import DataError, obtaining, prepared
from tests.pipelines.shared.datasets.tiny_datasets import values, write_tfds


class TestPrepared:
    def test_an_empty_range_is_a_bad_split_not_damage(self, tmp_path):
        write_tfds(tmp_path, "mnist", train=1, test=20)
        with pytest.raises(DataError, match="It selects no example"):
            datasets.load("mnist", "test[10:5]", size=8, data_dir=tmp_path)

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

    def test_roles_and_tfds_splits_are_told_apart(self, tmp_path):
        directory = write_tfds(tmp_path, "mnist", validation=7)
        with pytest.raises(DataError) as caught:
            datasets.load("mnist", "validation", size=8, data_dir=tmp_path)
        assert str(caught.value).startswith(
            "The role 'validation' of mnist means 'train[55000:]' of the TFDS splits, but "
            f"that cannot be read in {directory}, which has validation (7) as its TFDS "
            "splits: to read the TFDS split validation, give 'tfds:validation'. "
        )
        loaded = datasets.load("mnist", "tfds:validation", size=8, data_dir=tmp_path)
        assert values(loaded) == list(range(7))
        with pytest.raises(DataError, match="The role 'test' .*give 'tfds:validation'"):
            datasets.load("mnist", "test", size=8, data_dir=tmp_path)
        for split in ("dev", "tfds:test", "test[:5]"):
            with pytest.raises(DataError, match="There is no TFDS split .* of mnist"):
                datasets.load("mnist", split, size=8, data_dir=tmp_path)
        with pytest.raises(DataError, match="digits has no TFDS splits: give a role"):
            datasets.load("digits", "test[:5]", size=8)

    @pytest.mark.parametrize("name", ["d[1]", "d*", "d?", r"d\1", "my dätä"])
    def test_the_name_of_the_directory_is_not_a_pattern(self, name, tmp_path):
        write_tfds(tmp_path / "d1", "mnist", test=3)
        write_tfds(tmp_path / name, "mnist", test=5)
        cache = tmp_path / "cache" / name
        for _ in range(2):
            loaded = datasets.load(
                "mnist", "test", size=8, data_dir=tmp_path / name, cache_dir=cache
            )
            assert values(loaded) == list(range(5))

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
        tried = "a download was tried and given up, since no connection to .* opened"
        assert re.search(
            "no download was tried" if name == "imagenet" else tried, message
        )
        assert "\n" not in message

    def test_the_command_can_be_copied(self, tmp_path, offline):
        directory = tmp_path / "my data"
        with pytest.raises(
            DataError, match=f"`tfds build mnist '--data_dir={directory}'`"
        ):
            datasets.load("mnist", "test", size=8, data_dir=directory)

    def test_directories_looked_in(self, tmp_path, offline, monkeypatch):
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.delenv("TFDS_DATA_DIR", raising=False)
        default = tmp_path / "tensorflow_datasets"
        with pytest.raises(DataError, match=f"in {default}:"):
            datasets.load("mnist", "test", size=8)
        monkeypatch.setenv("TFDS_DATA_DIR", "~/elsewhere")
        with pytest.raises(DataError, match=f"in {tmp_path / 'elsewhere'}:"):
            datasets.load("mnist", "test", size=8)

    def test_says_so_while_the_connection_still_hangs(self, tmp_path, monkeypatch):
        released, connected = threading.Event(), threading.Event()

        def hang(*_, **__):
            released.wait()
            connected.set()
            raise OSError

        monkeypatch.setattr(socket, "create_connection", hang)
        monkeypatch.setattr(obtaining, "_CONNECT_SECONDS", 0.2)
        with pytest.raises(DataError, match="No prepared dataset mnist"):
            datasets.load("mnist", "test", size=8, data_dir=tmp_path)
        assert not connected.is_set()
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
        with pytest.raises(
            DataError,
            match="a download was tried and failed .*quota exceeded\\): prepare it",
        ):
            datasets.load("celeba", "test", size=8, data_dir=tmp_path)

    def test_any_other_dataset_by_its_name(self, tmp_path, offline):
        write_tfds(tmp_path, "flowers", shape=(None, None, 3), train=20, test=5)
        for split, expected in {
            "train": range(18),
            "validation": (18, 19),
            "test": range(5),
            "test[:2]": range(2),
        }.items():
            loaded = datasets.load("tfds:flowers", split, size=8, data_dir=tmp_path)
            assert values(loaded) == list(expected)
        assert datasets.source("tfds:flowers").file_name == "tfds_flowers"
        with pytest.raises(DataError, match="tfds build trees.*never downloaded"):
            datasets.load("tfds:trees", "test", size=8, data_dir=tmp_path)
