import numpy as np
import pytest
import tensorflow as tf

from pipelines.shared.datasets import decoding
from tests.pipelines.shared.datasets.tiny_datasets import resized


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
        result = decoding.square(image, size)
        assert result.dtype == tf.uint8
        assert result.shape == (size, size, shape[2])
        assert np.max(np.abs(result.numpy() - expected)) <= 0.5 + 1e-3

    def test_own_size_is_unchanged(self):
        image = np.random.RandomState(1).randint(0, 256, (8, 8, 3)).astype(np.uint8)
        np.testing.assert_array_equal(decoding.square(image, 8), image)

    def test_unknown_shape_and_batch(self):
        images = np.random.RandomState(2).randint(0, 256, (3, 12, 17, 3), np.uint8)
        spec = tf.TensorSpec([None, None, None], tf.uint8)
        function = tf.function(lambda image: decoding.square(image, 6), [spec])
        batch = decoding.square(images, 6)
        for image, expected in zip(images, batch, strict=True):
            np.testing.assert_array_equal(function(image), expected)


def test_greys_that_are_stored_as_colours_stay_as_they_are():
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    colours = decoding.match_channels(grey, 3)
    np.testing.assert_array_equal(decoding.match_channels(colours, 1), grey)
    red = np.full([1, 1, 3], [255, 0, 0], np.uint8)
    assert decoding.match_channels(red, 1).numpy().tolist() == [[[76]]]
