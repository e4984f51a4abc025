"""The whole program on the embedded digits, in processes of its own: two programs in
one would define the same flags."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

import sinkhorn_tf as st
from pipelines import acceptance, datasets, judge, puzzles

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
QUICK = (
    "--steps=60",
    "--batch_size=16",
    "--width=32",
    "--depth=1",
    "--candidates=20",
    "--n_iters=10",
    "--validate_every=30",
    "--checkpoint_every=15",
    "--judge_steps=40",
)


def process(*flags):
    return subprocess.run(
        [sys.executable, "-m", "pipelines.assembly", *flags],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


def scores(workdir, name="metrics.json"):
    found = json.loads((workdir / name).read_text())
    return {k: v for k, v in found.items() if k not in ("seconds", "flags")}


@pytest.fixture(scope="module")
def judge_directory(tmp_path_factory):
    return tmp_path_factory.mktemp("assembly") / "judge"


@pytest.fixture(scope="module")
def finished(judge_directory):
    workdir = judge_directory.parent / "run"
    ended = process(*QUICK, f"--workdir={workdir}", f"--judge={judge_directory}")
    assert ended.returncode == 0, ended.stderr
    assert "Assembly 4x4, digits test" in ended.stdout
    return workdir


def test_a_run_leaves_metrics_picture_network_solver_and_judge(
    finished, judge_directory
):
    found = json.loads((finished / "metrics.json").read_text())
    assert found["n_examples"] == 179
    assert found["n_pairs"] == 9 * 179
    for kind in ("hard", "soft"):
        table = np.array(found[kind]["table"])
        labels = datasets.load("digits", "test", size=8).labels
        counts = np.bincount(labels)
        other = ~np.eye(10, dtype=bool)
        weights = np.repeat(counts[:, None], 10, axis=1)
        mean = (table * weights)[other].sum() / weights[other].sum()
        assert found[kind]["acceptance"] == pytest.approx(mean)
        diagonal = (np.diag(table) * counts).sum() / 179
        assert found[kind]["same_digit"] == pytest.approx(diagonal)
        assert 0 < found[kind]["standard_error"] < 0.05
        assert found[kind]["acceptance"] > 3 * found["chance"]["acceptance"]
    assert found["judge"]["accuracy"] > 0.8
    assert found["judge"]["accuracy"] == pytest.approx(found["accepted_originals"])
    assert found["flags"]["recipe"] == "nearest"
    for name in ("assembly.png", "network.keras", "solver/1/saved_model.pb"):
        assert (finished / name).exists()
    assert (judge_directory / "network.keras").exists()


def test_the_solver_takes_pieces_and_digit_without_the_package(finished, run_python):
    images = datasets.load("digits", "test", size=8).images[:20] / np.float32(255)
    pieces = puzzles.cut(images, 4).numpy()
    np.save(finished / "pieces.npy", pieces)
    code = """
    import sys, numpy as np, tensorflow as tf
    folder = sys.argv[1]
    solver = tf.saved_model.load(folder + "/solver/1")
    pieces = np.load(folder + "/pieces.npy")
    digit = np.arange(20, dtype=np.int32) % 11
    answer = solver.signatures["serving_default"](
        pieces=tf.constant(pieces), digit=tf.constant(digit))
    np.savez(folder + "/answer.npz", **{k: v.numpy() for k, v in answer.items()})
    """
    ended = run_python(code, finished, without_package=True)
    assert ended.returncode == 0, ended.stderr
    with np.load(finished / "answer.npz") as file:
        answer = dict(file)
    assert set(answer) == {"permutation", "restored", "plan", "value", "gap"}
    # There is no digit 10.
    np.testing.assert_array_equal(answer["permutation"][10], -1)
    real = np.arange(20) != 10
    perm = answer["permutation"][real]
    np.testing.assert_array_equal(np.sort(perm, axis=1), np.tile(range(16), (19, 1)))
    np.testing.assert_array_equal(
        answer["restored"][real], st.permutations.apply(perm, pieces[real])
    )
    extra = finished / "solver/1/assets.extra/metrics.json"
    assert extra.read_text() == (finished / "metrics.json").read_text()


def test_evaluate_measures_the_same_again_and_otherwise_decoded(finished):
    ended = process(f"--evaluate={finished}", "--evaluation_batch_size=50")
    assert ended.returncode == 0, ended.stderr
    again, first = scores(finished, "metrics_digits_test_logits.json"), scores(finished)
    assert again["hard"]["acceptance"] == pytest.approx(
        first["hard"]["acceptance"], abs=2e-3
    )
    ended = process(f"--evaluate={finished}", "--decode=soft")
    assert ended.returncode == 0, ended.stderr
    other = scores(finished, "metrics_digits_test_soft.json")
    assert other["soft"] == first["soft"]
    assert other["hard"] != first["hard"]


def test_killed_and_resumed_is_the_same_run_of_the_papers_recipe(
    tmp_path, judge_directory, finished
):
    program = """
import sys, tensorflow as tf
from pipelines import assembly, runs
save = tf.train.CheckpointManager.save
def kill(manager, checkpoint_number):
    if manager.directory.endswith("checkpoints") and checkpoint_number == 45:
        raise KeyboardInterrupt
    return save(manager, checkpoint_number)
if sys.argv.pop(1) == "kill":
    tf.train.CheckpointManager.save = kill
runs.main(assembly.main)
"""
    flags = [*QUICK, "--recipe=own", "--noexport", f"--judge={judge_directory}"]

    def run(mode, *more):
        return subprocess.run(
            [sys.executable, "-c", program, mode, *flags, *more],
            check=False,
            cwd=ROOT,
            capture_output=True,
            text=True,
        )

    whole, cut = tmp_path / "whole", tmp_path / "cut"
    ended = run("run", f"--workdir={whole}")
    assert ended.returncode == 0, ended.stderr
    ended = run("kill", f"--workdir={cut}")
    assert ended.returncode == 1
    assert "Interrupted" in ended.stderr
    ended = run("run", f"--workdir={cut}", "--resume")
    assert ended.returncode == 0, ended.stderr
    assert "resumed at step 30" in ended.stderr
    assert scores(cut) == scores(whole)


def test_judge_only_finds_the_judge_and_says_its_accuracy(finished, judge_directory):
    before = (judge_directory / "network.keras").stat().st_mtime_ns
    ended = process("--judge_only", f"--judge={judge_directory}")
    assert ended.returncode == 0, ended.stderr
    assert "179 examples" in ended.stdout
    assert (judge_directory / "network.keras").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--dataset=photos"], "labels: digits or mnist. Received: --dataset=photos"),
        (["--evaluate=nowhere"], "No finished run here"),
        (["--split=train"], "--split goes with --evaluate"),
        (["--image_size=9"], "--image_size must be a multiple"),
        (["--heads=3"], "--heads=3. Received: --width=128"),
    ],
)
def test_bad_flags_are_one_sentence(flags, message):
    ended = process(*flags)
    assert ended.returncode != 0
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_run_of_another_program_is_refused(tmp_path):
    st.networks.jigsaw_network(4, (2, 2, 1)).save(tmp_path / "network.keras")
    ended = process(f"--evaluate={tmp_path}")
    assert ended.returncode == 1
    assert f"Not a run of pipelines.assembly. Received: {tmp_path}" in ended.stderr


def test_acceptance_counts_pairs_of_other_digits_and_the_diagonal_apart():
    """A judge that reads the label off the first pixel, and an assembler that writes
    it there but for the digit 2."""
    labels = np.array([0, 1, 2, 2])
    images = np.zeros((4, 28, 28, 1), np.uint8)
    held_out = puzzles.evaluation_puzzles(images, np.arange(4), grid=1, batch_size=3)

    def read(image, training):
        return tf.one_hot(tf.cast(image[:, 0, 0, 0], tf.int32), 3)

    def write(pieces, digit):
        value = tf.where(digit == 2, 0, digit)
        image = tf.cast(value, tf.float32)[:, None, None, None]
        image = tf.tile(image, [1, 28, 28, 1])
        return {"hard": image, "soft": image}

    found = acceptance.evaluate(write, read, held_out, labels, 3)
    # Pairs: 0 to 1 and 2, 1 to 0 and 2, twice 2 to 0 and 1.
    assert found["hard"]["acceptance"] == 6 / 8
    assert found["hard"]["same_digit"] == 2 / 4
    assert found["hard"]["table"] == [[1, 1, 0]] * 3
    assert found["n_pairs"] == 8
    assert found["chance"]["acceptance"] == 3 / 8
    assert found["accepted_originals"] == 1 / 4
    assert "0.7500" in acceptance.table(found)


def test_the_judge_is_the_networks_of_the_tutorial():
    network = judge.network(1, 10)
    sizes = [weight.shape for weight in network.weights if weight.shape[1:]]
    assert sizes == [(5, 5, 1, 32), (5, 5, 32, 64), (3136, 1024), (1024, 10)]
    assert judge.judged(network, tf.zeros([2, 30, 30, 1])).shape == (2,)
