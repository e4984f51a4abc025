"""The whole program on the embedded digits, all of it in one process of its own: two
programs in one would define the same flags."""

import concurrent.futures
import json
import os
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

import sinkhorn_tf as st
from pipelines import acceptance, datasets, judge, puzzles, runs

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAM = """
import json, os, sys
from absl.testing import flagsaver
import numpy as np
import sinkhorn_tf as st
from pipelines import acceptance, assembly, losses
from pipelines.errors import UserError

folder = sys.argv[1]
judge = folder + "/judge"
assembly.FLAGS.mark_as_parsed()

def run(name=None, **flags):
    quick = {
        "steps": 60, "batch_size": 16, "width": 32, "candidates": 20, "n_iters": 10,
        "validate_every": 30, "checkpoint_every": 15, "judge_steps": 12, "judge": judge,
        "export": False, "jit_compile": "none", "workdir": name and folder + "/" + name,
    }
    with flagsaver.flagsaver(**(quick | flags)):
        assembly.main()

run("run", bold=1, export=True, final_temperature=0.5)
made = os.stat(judge + "/network.keras").st_mtime_ns
run(judge_only=True)
run(evaluate=folder + "/run", decode="logits")

def keep_soft(network, *arguments):
    given = np.load(folder + "/given.npz")
    made = acceptance.reconstructions(assembly.assembler(network), **given)
    np.save(f"{folder}/soft_{losses.final_temperature():g}.npy", made["soft"])

assembly.report = keep_soft
run(evaluate=folder + "/run")
run(evaluate=folder + "/run", temperature=2.0)

assembly.report = lambda *arguments: None
run("own", recipe="own", steps=3)
assert os.stat(judge + "/network.keras").st_mtime_ns == made
obtain, assembly.obtain_judge = assembly.obtain_judge, lambda source: None
run("own_alone", recipe="own", steps=3)
assembly.obtain_judge = obtain

os.mkdir(folder + "/other")
st.networks.jigsaw_network(4, (2, 2, 1)).save(folder + "/other/network.keras")
refused = []
for flags in (
    {"dataset": "photos"},
    {"evaluate": folder + "/nowhere"},
    {"evaluate": folder + "/other"},
    {"split": "train"},
    {"image_size": 9},
    {"depth": 1, "heads": 3},
    {"dataset": "mnist", "judge_only": True},
    {"judge": folder + "/run", "name": "no_judge"},
    {"judge_steps": 13, "judge_only": True},
):
    try:
        run(**flags)
    except UserError as error:
        refused.append(str(error))
with open(folder + "/refused.json", "w") as file:
    json.dump(refused, file)
"""


@pytest.fixture(scope="module")
def some():
    """Pieces of images, and digits wanted of them."""
    images = datasets.load("digits", "test", size=8).images[:100] / np.float32(255)
    digit = np.arange(100, dtype=np.int32) % 10
    return {"pieces": puzzles.cut(images, 4).numpy(), "digit": digit}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, some):
    folder = tmp_path_factory.mktemp("assembly")
    np.savez(folder / "given.npz", **some)
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, folder],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    assert "Assembly 4x4, digits test" in ended.stdout
    assert "accuracy 0." in ended.stdout
    return folder


def scores(path):
    found = json.loads(path.read_text())
    return {k: v for k, v in found.items() if k not in ("seconds", "flags")}


def test_a_run_leaves_metrics_picture_network_and_judge(folder):
    found = json.loads((folder / "run" / "metrics.json").read_text())
    assert found["n_examples"] == 179
    assert found["n_pairs"] == 9 * 179
    counts = np.bincount(datasets.load("digits", "test", size=8).labels)
    weights = np.repeat(counts[:, None], 10, axis=1)
    other = ~np.eye(10, dtype=bool)
    for kind in ("hard", "soft"):
        table = np.array(found[kind]["table"])
        mean = (table * weights)[other].sum() / weights[other].sum()
        assert found[kind]["acceptance"] == pytest.approx(mean)
        diagonal = (np.diag(table) * counts).sum() / 179
        assert found[kind]["same_digit"] == pytest.approx(diagonal)
        assert 0 < found[kind]["standard_error"] < 0.05
        assert found[kind]["acceptance"] > 3 * found["chance"]["acceptance"]
    assert found["judge"]["accuracy"] > 0.6
    assert found["judge"]["accuracy"] == pytest.approx(found["accepted_originals"])
    assert found["flags"]["recipe"] == "nearest"
    for name in ("assembly.png", "network.keras", "solver/1/saved_model.pb"):
        assert (folder / "run" / name).exists()


def test_the_solver_takes_pieces_and_the_wanted_digit(folder, some):
    solver = tf.saved_model.load(folder / "run" / "solver" / "1")
    pieces, digit = some["pieces"], some["digit"].copy()
    digit[10] = 10
    answer = solver.signatures["serving_default"](
        pieces=tf.constant(pieces), digit=tf.constant(digit)
    )
    answer = {name: value.numpy() for name, value in answer.items()}
    assert set(answer) == {"permutation", "restored", "plan", "value", "gap"}
    # There is no digit 10.
    np.testing.assert_array_equal(answer["permutation"][10], -1)
    real = np.arange(100) != 10
    perm = answer["permutation"][real]
    np.testing.assert_array_equal(np.sort(perm, axis=1), np.tile(range(16), (99, 1)))
    np.testing.assert_array_equal(
        answer["restored"][real], st.permutations.apply(perm, pieces[real])
    )
    # The plan makes the soft reconstructions that are measured.
    soft = puzzles.join(st.Restore()([answer["plan"][real], pieces[real]]), 4)
    measured = np.load(folder / "soft_0.5.npy")
    np.testing.assert_allclose(soft, measured[real], atol=1e-5)
    extra = folder / "run" / "solver" / "1" / "assets.extra" / "metrics.json"
    assert extra.read_text() == (folder / "run" / "metrics.json").read_text()


def test_evaluate_measures_the_same_again_and_otherwise_decoded(folder):
    first = scores(folder / "run" / "metrics.json")
    again = scores(folder / "run" / "metrics_digits_test_logits.json")
    assert again["soft"]["acceptance"] == pytest.approx(
        first["soft"]["acceptance"], abs=2e-3
    )
    assert again["hard"] != first["hard"]


def test_a_temperature_given_to_an_evaluation_holds(folder):
    assert sorted(path.name for path in folder.glob("soft*")) == [
        "soft_0.5.npy",
        "soft_2.npy",
    ]


def test_a_run_of_the_papers_recipe_is_the_same_with_a_judge_and_without(folder):
    judged, alone = (
        keras.saving.load_model(folder / run / "network.keras").get_weights()
        for run in ("own", "own_alone")
    )
    for a, b in zip(judged, alone, strict=True):
        np.testing.assert_array_equal(a, b)


def test_what_does_not_fit_is_one_sentence(folder):
    expected = [
        "labels: digits or mnist. Received: --dataset=photos",
        "No finished run here",
        "Not a run of pipelines.assembly. Received:",
        "--split goes with --evaluate",
        "--image_size must be a multiple",
        "--heads=3. Received: --width=32",
        "Not a judge of mnist. Received: --judge=",
        "Not a judge of digits. Received: --judge=",
        "was trained for 12 steps; for another one give another --judge. Received: --ju",
    ]
    refused = json.loads((folder / "refused.json").read_text())
    for message, said in zip(expected, refused, strict=True):
        assert message in said and "\n" not in said
    # It is said before the training.
    assert not (folder / "no_judge" / "checkpoints").exists()


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


def test_the_judge_is_the_network_of_the_tutorial():
    network = judge.network(1, 10)
    sizes = [tuple(weight.shape) for weight in network.trainable_weights]
    assert sizes[::2] == [(5, 5, 1, 32), (5, 5, 32, 64), (3136, 1024), (1024, 10)]


def test_the_judge_sees_images_of_other_sizes_at_its_own(rng):
    network = judge.network(1, 10)
    images = rng.random((3, 30, 30, 1), np.float32)
    resized = tf.image.resize(images, [28, 28], method="bilinear", antialias=True)
    expected = network(resized).numpy().argmax(axis=1)
    np.testing.assert_array_equal(judge.judged(network, images), expected)


def test_of_runs_at_once_one_trains_the_judge(tmp_path, monkeypatch):
    trained = []

    def train(workdir, source, load, steps):
        trained.append(steps)
        time.sleep(0.3)
        said = {"dataset": source.name, "judge_steps": steps}
        scores = {"accuracy": 1.0, "n_examples": 2}
        runs.write_metrics(workdir / "metrics.json", scores, said, 0.0)
        judge.network(1, 10).save(workdir / "network.keras")

    monkeypatch.setattr(judge, "_train", train)
    source = datasets.source("digits")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        waiting = [
            pool.submit(judge.obtained, tmp_path / "judge", source, None, 7)
            for _ in range(2)
        ]
    assert [x.result()[1] for x in waiting] == [{"accuracy": 1.0, "n_examples": 2}] * 2
    assert trained == [7]
