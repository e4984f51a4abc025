import numpy as np
import pytest
from PIL import Image

from pipelines.shared import figures


@pytest.mark.parametrize("channels", [1, 3])
def test_values_outside_of_0_and_1_are_black_and_white(
    tmp_path, rng, caplog, capsys, channels
):
    images = rng.uniform(-0.2, 1.2, (2, 6, 6, channels)).astype(np.float32)
    pictures = []
    for name, shown in (("raw", images), ("clipped", np.clip(images, 0, 1))):
        rows, tables = tmp_path / f"{name}_rows.png", tmp_path / f"{name}_tables.png"
        figures.image_rows(rows, {"a": shown, "b": shown})
        figures.image_tables(tables, {"t": shown[None]}, ["row"])
        pictures.append([np.asarray(Image.open(path)) for path in (rows, tables)])
    for raw, clipped in zip(*pictures, strict=True):
        np.testing.assert_array_equal(raw, clipped)
    assert caplog.text == ""
    assert capsys.readouterr().err == ""
