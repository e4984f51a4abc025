import numpy as np
import pytest

from pipelines.shared import datasets
from pipelines.shared.datasets import prepared
from tests.pipelines.shared.datasets.tiny_datasets import (
    values,
    write_folder,
    write_tfds,
)


class TestCache:
    def files(self, folder):
        return sorted(path.name for path in folder.iterdir())

    def test_round_trip(self, tmp_path):
        data, cache = tmp_path / "data", tmp_path / "new" / "kept"
        write_folder(data)
        (data / "broken.png").write_text("broken")
        first, second = (
            datasets.load("folder", "all", size=8, data_dir=data, cache_dir=cache)
            for _ in range(2)
        )
        assert isinstance(second.images, np.memmap)
        np.testing.assert_array_equal(first.images, second.images)
        np.testing.assert_array_equal(first.file_order, second.file_order)
        assert first.skipped == second.skipped == 1
        images, rest = self.files(cache)
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
        cache = tmp_path / "kept"
        for size in (4, 8):
            datasets.load("digits", "test", size=size, cache_dir=cache)
        for root, version in ((tmp_path, "1.0.0"), (tmp_path, "1.0.1")):
            write_tfds(root, "mnist", version, test=3)
            datasets.load("mnist", "test", size=8, data_dir=root, cache_dir=cache)
            datasets.load("mnist", "test[:2]", size=8, data_dir=root, cache_dir=cache)
        assert len(self.files(cache)) == 2 * (2 + 4)

    @pytest.mark.parametrize("suffix", [".npy", ".npz"])
    @pytest.mark.parametrize("damage", ["empty", "cut", "garbage", "missing", "other"])
    def test_broken_file_is_rebuilt(self, tmp_path, suffix, damage, warnings_logged):
        # A copy: the images are mapped from the file that is about to be damaged.
        whole = np.array(
            datasets.load("digits", "test", size=8, cache_dir=tmp_path).images
        )
        broken = next(tmp_path.glob(f"*{suffix}"))
        good = broken.read_bytes()
        if damage == "missing":
            broken.unlink()
        elif damage == "other" and suffix == ".npy":
            np.save(broken, whole[:-1])
        elif damage == "other":
            np.savez(broken, skipped=0)
        else:
            broken.write_bytes(
                {"empty": b"", "cut": good[:-99], "garbage": b"\x93NUMPY?" * 99}[damage]
            )
        loaded = datasets.load("digits", "test", size=8, cache_dir=tmp_path)
        np.testing.assert_array_equal(loaded.images, whole)
        assert broken.read_bytes()[-99:] == good[-99:]
        if (suffix, damage) != (".npy", "missing"):
            assert "Rebuilding the broken cache" in warnings_logged[0]

    def test_folder_that_cannot_be_written(self, tmp_path, warnings_logged):
        (tmp_path / "file").write_text("in the way")
        loaded = datasets.load("digits", "test", size=8, cache_dir=tmp_path / "file")
        assert len(loaded.images) == 179
        assert "Cannot keep" in warnings_logged[0]
