"""The picture."""

import tensorflow as tf

from pipelines.benchmark import cases, figure


def test_the_picture_of_fast_and_slow_peers(tmp_path):
    results = []
    for section, kind in (("operator", "forward"), ("matching", "match")):
        case = cases.Case(section, kind, 2, 3, 1, 1.0)
        ratios = {"torch / ours_xla": 3.0, "scipy / ours_xla": 0.5}
        results.append((case, {"peers": {}, "ratios": ratios}))
    figure.draw(str(tmp_path / "picture.png"), results)
    picture = tf.io.decode_png((tmp_path / "picture.png").read_bytes())
    assert picture.shape[0] > 100
