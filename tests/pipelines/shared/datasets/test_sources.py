import pytest

from pipelines.shared import datasets
from pipelines.shared.datasets import DataError


class TestSource:
    def test_names_and_aliases(self):
        assert datasets.source("celeb_a") is datasets.source("celeba")
        assert datasets.source("imagenet2012") is datasets.source("imagenet")
        assert datasets.source("mnist") == datasets.Source("mnist", 28, 1, False, 10)
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
