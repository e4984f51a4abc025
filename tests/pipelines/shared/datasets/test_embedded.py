import numpy as np

from pipelines.shared import datasets


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
