import numpy as np
import pytest

from pipelines.shared import datasets
from pipelines.shared.datasets import DataError
from tests.pipelines.shared.datasets.tiny_datasets import write_folder


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

    def test_images_are_upright_and_in_their_colours(self, tmp_path):
        from PIL import Image

        write_folder(tmp_path, 8)
        halves = np.zeros([8, 8, 3], np.uint8)
        halves[:4] = 200, 30, 10
        exif = Image.Exif()
        exif[0x0112] = 6
        turned = Image.fromarray(np.ascontiguousarray(np.rot90(halves)))
        turned.save(tmp_path / "x.webp", lossless=True, exif=exif)
        palette = Image.new("P", (8, 8))
        palette.putpalette([200, 30, 10])
        palette.save(tmp_path / "y.bmp")
        grey = Image.fromarray(np.full([8, 8], 90 * 257, np.uint16))
        grey.save(tmp_path / "z.png")
        loaded = datasets.load("folder", "all", size=8, data_dir=tmp_path)
        np.testing.assert_array_equal(loaded.images[-3], halves)
        assert loaded.images[-2:, 0, 0].tolist() == [[200, 30, 10], [90] * 3]

    def test_linked_folders_and_names_that_are_not_utf8(
        self, tmp_path, warnings_logged
    ):
        root, other = tmp_path / "caf\udce9", tmp_path / "other"
        write_folder(root, 10)
        write_folder(other, 10)
        (other / "a00.png").rename(other / "a\udce9\n.png")
        (root / "link").symlink_to(other)
        (root / "broken.png").symlink_to("nowhere")
        (root / "x.heic").write_bytes(b"")
        for _ in range(2):
            loaded = datasets.load(
                "folder", "all", size=4, data_dir=root, cache_dir=tmp_path / "cache"
            )
            assert len(loaded.images) == 20 and loaded.skipped == 1
        shown = f"{tmp_path}/caf\\xe9"
        assert warnings_logged == [
            (
                f"Passed over in {shown}: 1 file of kinds that are not read (1 .heic); "
                "the kinds that are read are JPEG, PNG, BMP, GIF, WebP, TIFF."
            ),
            f"Skipped {shown}/broken.png: No such file or directory",
        ]

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
