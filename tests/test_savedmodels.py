import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from pipelines import datasets, puzzles

ROOT = pathlib.Path(__file__).parent.parent / "savedmodels"


def test_the_jigsaw_of_digits_scores_what_it_says():
    solver = tf.saved_model.load(ROOT / "jigsaw_digits" / "1")
    found = datasets.load("digits", "test", size=8)
    (puzzle,) = puzzles.evaluation_puzzles(
        found.images, found.file_order, grid=2, batch_size=1000
    )
    answer = solver.serving_default(puzzle["pieces"])
    wrong = (answer["permutation"].numpy() != puzzle["perm"].numpy()).mean()
    record = ROOT / "jigsaw_digits" / "1" / "assets.extra" / "metrics.json"
    said = json.loads(record.read_text())["proportion_wrong"]
    assert wrong == pytest.approx(said, abs=1e-6)
    image = puzzles.join(puzzle["pieces"], 2)
    restored = solver.signatures["solve_image"](image=image)["restored"]
    np.testing.assert_allclose(restored, puzzles.join(answer["restored"], 2), atol=1e-6)
