"""The whole program on short lists; a training is a process of its own."""

import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

import sinkhorn_tf as st
from pipelines.shared import lists
from pipelines.shared.errors import UserError
from pipelines.sorting.__main__ import main
from pipelines.sorting.config import SortingConfig
from tests.pipelines.processes import ROOT
from tests.pipelines.programs import run_with

QUICK = ("--n=6", "--steps=300", "--batch_size=20", "--n_iters=20", "--averaging=.98")


def process(*flags):
    return subprocess.run(
        [sys.executable, "-m", "pipelines.sorting", *flags],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


def evaluate(workdir, **flags):
    run_with(main, SortingConfig(), evaluate=str(workdir), **flags)


def scores(workdir, name="metrics.json"):
    return json.loads((workdir / name).read_text())


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    # Taken for a pattern it would be another directory.
    workdir = tmp_path_factory.mktemp("sorting") / "rün [1]"
    ended = process(*QUICK, f"--workdir={workdir}", "--validate_every=100")
    assert ended.returncode == 0, ended.stderr
    assert "Sorting 6 numbers" in ended.stdout
    # TensorFlow says nothing of itself.
    for line in ("InitializeLog", "oneDNN custom", "cuda drivers", "cuInit"):
        assert line not in ended.stderr
    return workdir


def test_a_run_leaves_metrics_picture_and_network(finished):
    metrics = scores(finished)
    assert set(metrics["intervals"]) == set(lists.INTERVALS)
    for interval in metrics["intervals"].values():
        assert interval["n_examples"] == 1000
    assert metrics["intervals"]["U(0,1)"]["by_content"]["proportion_wrong"] < 0.3
    assert metrics["chance"]["proportion_wrong"] == 1 - 1 / 6
    assert metrics["flags"]["n"] == 6
    for name in ("sorting.png", "network.keras", "solver/1/saved_model.pb"):
        assert (finished / name).exists()
    steps = sorted(int(path.stem) for path in (finished / "soft").iterdir())
    assert steps == [1, 3, 10, 30, 100, 300]


def test_the_solver_sorts_without_the_package(finished, run_python, rng, tmp_path):
    values = rng.uniform(size=(50, 6)).astype(np.float32)
    np.save(finished / "values.npy", values)
    code = """
    import shutil, sys, numpy as np, tensorflow as tf
    folder = sys.argv[1]
    # TensorFlow itself takes the name of the run for a pattern.
    solver = tf.saved_model.load(shutil.copytree(folder + "/solver/1", sys.argv[2]))
    answer = solver.serving_default(tf.constant(np.load(folder + "/values.npy")))
    np.savez(folder + "/answer.npz", **{k: v.numpy() for k, v in answer.items()})
    """
    ended = run_python(code, finished, tmp_path / "solver", without_package=True)
    assert ended.returncode == 0, ended.stderr
    with np.load(finished / "answer.npz") as answer:
        restored, perm = answer["restored"], answer["permutation"]
    moved = np.zeros_like(values)
    np.put_along_axis(moved, perm, values, axis=1)
    np.testing.assert_array_equal(restored, moved)
    wrong = (restored != np.sort(values)).mean()
    assert wrong < 0.3
    extra = finished / "solver/1/assets.extra/metrics.json"
    assert json.loads(extra.read_text()) == scores(finished)


def test_evaluate_measures_again_in_another_precision(finished):
    evaluate(finished, precision="float32")
    again = scores(finished, "metrics_float32.json")
    first = scores(finished)
    assert again["flags"]["precision"] == "float32"
    name = "U(0,1)"
    difference = (
        again["intervals"][name]["by_content"]["proportion_wrong"]
        - first["intervals"][name]["by_content"]["proportion_wrong"]
    )
    assert abs(difference) < 0.01


@pytest.mark.slow
def test_authors_recipe_with_noise_and_falling_temperature_trains(tmp_path, rng):
    ended = process(
        "--n=5",
        "--steps=40",
        "--batch_size=10",
        "--n_iters=10",
        "--schedule=constant",
        "--noise_scale=1",
        "--final_noise_scale=.1",
        "--final_temperature=.5",
        "--n_samples=2",
        "--averaging=0",
        "--precision=float32",
        "--from_least",
        f"--workdir={tmp_path / 'run'}",
    )
    assert ended.returncode == 0, ended.stderr
    # Lists are taken from their least number on in the SavedModel as in the metrics.
    solver = tf.saved_model.load(tmp_path / "run" / "solver" / "1")
    values = rng.integers(0, 64, (20, 5)).astype(np.float32) / 64
    near, far = (solver.serving_default(values + shift) for shift in (0.0, 1024.0))
    np.testing.assert_array_equal(near["plan"], far["plan"])


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--n=1"], "flag --n=1"),
        (["extra"], "Unexpected arguments: extra"),
    ],
)
def test_bad_flags_are_one_sentence(flags, message):
    ended = process(*flags)
    assert ended.returncode != 0
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_run_of_another_program_is_refused(tmp_path):
    st.models.jigsaw_network(4, (2, 2, 1)).save(tmp_path / "network.keras")
    with pytest.raises(UserError, match="Not a run of pipelines.sorting") as caught:
        evaluate(tmp_path)
    assert str(caught.value).endswith(f"Received: {tmp_path}")


def test_an_evaluation_without_a_run_is_refused():
    with pytest.raises(UserError, match="No finished run here"):
        evaluate("nowhere")
