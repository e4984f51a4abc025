"""The SavedModels in the repository: they answer, and score what they say."""

import json

import numpy as np
import pytest
import tensorflow as tf

from pipelines.shared import datasets, lists
from pipelines.shared.puzzles import batches, cutting
from tests.serving.runner import SAVED


def test_the_jigsaw_of_digits_scores_what_it_says():
    solver = tf.saved_model.load(SAVED / "jigsaw_digits" / "1")
    held_out = datasets.load("digits", "test", size=8)
    (puzzle,) = batches.evaluation_puzzles(
        held_out.images, held_out.file_order, grid=2, batch_size=1000
    )
    answer = solver.serving_default(puzzle["pieces"])
    wrong = (answer["permutation"].numpy() != puzzle["perm"].numpy()).mean()
    record = SAVED / "jigsaw_digits" / "1" / "assets.extra" / "metrics.json"
    said = json.loads(record.read_text())["proportion_wrong"]
    assert wrong == pytest.approx(said, abs=1e-6)
    image = cutting.join(puzzle["pieces"], 2)
    restored = solver.signatures["solve_image"](image=image)["restored"]
    np.testing.assert_allclose(restored, cutting.join(answer["restored"], 2), atol=1e-6)


def test_the_sorting_solver_scores_what_it_says():
    solver = tf.saved_model.load(SAVED / "sorting_n120" / "1")
    record = SAVED / "sorting_n120" / "1" / "assets.extra" / "metrics.json"
    said = json.loads(record.read_text())["intervals"]
    for name in lists.INTERVALS:
        held_out = lists.evaluation_lists(120, name, "test", 100)
        answer = solver.serving_default(held_out["values"])
        wrong = (answer["restored"].numpy() != held_out["sorted"].numpy()).mean()
        assert wrong == said[name]["by_content"]["proportion_wrong"] == 0


def test_solvers_run_without_the_package(run_python):
    code = """
    import sys, tensorflow as tf
    for path in sys.argv[1:]:
        solver = tf.saved_model.load(path)
        signature = solver.signatures["serving_default"]
        inputs = {
            key: tf.cast(
                tf.random.stateless_uniform([2, *spec.shape[1:]], [0, 1]), spec.dtype
            )
            for key, spec in signature.structured_input_signature[1].items()
        }
        perm = tf.sort(signature(**inputs)["permutation"], axis=1)
        assert tf.reduce_all(perm == tf.range(perm.shape[1])), (path, perm)
        print(path)
    """
    paths = [str(path / "1") for path in sorted(SAVED.iterdir())]
    ended = run_python(code, *paths, without_package=True)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines() == paths


def test_the_jigsaw_of_mnist_answers_for_an_image_and_says_its_metrics():
    solver = tf.saved_model.load(SAVED / "jigsaw_mnist_3x3" / "1")
    answer = solver.signatures["solve_image"](image=tf.zeros([2, 27, 27, 1]))
    assert answer["restored"].shape == (2, 27, 27, 1)
    record = SAVED / "jigsaw_mnist_3x3" / "1" / "assets.extra" / "metrics.json"
    said = json.loads(record.read_text())
    assert said["n_examples"] == 10_000 and said["proportion_wrong"] < 0.09
    assert said["flags"]["network"] == "context"


def test_the_assembly_of_mnist_answers_for_a_digit_and_says_its_metrics():
    solver = tf.saved_model.load(SAVED / "assembly_mnist" / "1")
    pieces = np.random.default_rng(0).random((2, 100, 3, 3, 1), np.float32)
    answer = solver.signatures["serving_default"](
        pieces=tf.constant(pieces), digit=tf.constant([3, 8])
    )
    assert set(answer) == {"permutation", "restored", "plan", "value", "gap"}
    permutation, restored = (answer[k].numpy() for k in ("permutation", "restored"))
    for b in range(2):
        np.testing.assert_array_equal(restored[b, permutation[b]], pieces[b])
    record = SAVED / "assembly_mnist" / "1" / "assets.extra" / "metrics.json"
    said = json.loads(record.read_text())
    assert said["n_pairs"] == 90_000 and said["hard"]["acceptance"] > 0.95
