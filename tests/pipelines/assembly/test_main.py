"""The whole program on the embedded digits."""

import contextlib
import io
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import sinkhorn_tf as st
from pipelines.assembly import acceptance, report, templates
from pipelines.assembly.__main__ import main
from pipelines.assembly.config import AssemblyConfig
from pipelines.assembly.experiment import AssemblyExperiment
from pipelines.shared import datasets
from pipelines.shared.errors import UserError
from pipelines.shared.puzzles import cutting
from tests.pipelines.programs import run_with

QUICK = {
    "steps": 60,
    "batch_size": 16,
    "width": 32,
    "candidates": 20,
    "n_iters": 10,
    "validate_every": 30,
    "checkpoint_every": 15,
    "judges": 2,
    "judge_steps": 12,
    "export": False,
    "jit_compile": "none",
}


@pytest.fixture(scope="module")
def some():
    """Pieces of images, and digits wanted of them."""
    images = datasets.load("digits", "test", size=8).images[:100] / np.float32(255)
    digit = np.arange(100, dtype=np.int32) % 10
    return {"pieces": cutting.cut(images, 4).numpy(), "digit": digit}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, some):
    """A directory with the runs of `train_and_evaluate` and of `train_by_own_pieces`."""
    folder = tmp_path_factory.mktemp("assembly")
    said = io.StringIO()
    with contextlib.redirect_stdout(said), pytest.MonkeyPatch.context() as patch:
        # Fewer candidates are tried, with fewer pieces.
        patch.setattr(templates, "_EXAMPLES", 2)
        patch.setattr(templates, "_SOURCES", 10)
        patch.setattr(templates, "_FIRST_SOURCES", 4)
        train_and_evaluate(folder, some)
    assert "Assembly 4x4, digits test" in said.getvalue()
    assert "accuracy 0." in said.getvalue()
    train_by_own_pieces(folder)
    return folder


def run(folder, name=None, **flags):
    known = {"judge": f"{folder}/judge", "workdir": name and f"{folder}/{name}"}
    run_with(main, AssemblyConfig(), **(QUICK | known | flags))


def train_and_evaluate(folder, some):
    run(folder, "run", export=True, final_temperature=0.5)
    run(folder, judge_only=True)
    run(folder, evaluate=f"{folder}/run", decode="logits")

    def keep_soft(network, config, *arguments):
        network = report.assembler(network, config)
        images = acceptance.reconstructions(network, **some)
        np.save(
            folder / f"soft_{config.training.last_temperature:g}.npy", images["soft"]
        )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "_measure", keep_soft)
        run(folder, evaluate=f"{folder}/run")
        run(folder, evaluate=f"{folder}/run", temperature=2.0)


def train_by_own_pieces(folder):
    written = (folder / "judge" / "network.keras").stat().st_mtime_ns
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "report", lambda *arguments: None)
        run(folder, "nearest", recipe="nearest", bold=1, steps=3)
        run(folder, "own", recipe="own", steps=3)
        assert (folder / "judge" / "network.keras").stat().st_mtime_ns == written
        patch.setattr(AssemblyExperiment, "load_judges", lambda experiment: None)
        run(folder, "own_alone", recipe="own", steps=3)


def scores(path):
    metrics = json.loads(path.read_text())
    return {k: v for k, v in metrics.items() if k not in ("seconds", "flags")}


def test_a_run_leaves_metrics_picture_network_and_judge(folder):
    metrics = json.loads((folder / "run" / "metrics.json").read_text())
    assert metrics["n_examples"] == 179
    assert metrics["n_pairs"] == 9 * 179
    counts = np.bincount(datasets.load("digits", "test", size=8).labels)
    weights = np.repeat(counts[:, None], 10, axis=1)
    other = ~np.eye(10, dtype=bool)
    for kind in ("hard", "soft"):
        table = np.array(metrics[kind]["table"])
        mean = (table * weights)[other].sum() / weights[other].sum()
        assert metrics[kind]["acceptance"] == pytest.approx(mean)
        diagonal = (np.diag(table) * counts).sum() / 179
        assert metrics[kind]["same_digit"] == pytest.approx(diagonal)
        assert 0 < metrics[kind]["standard_error"] < 0.05
        assert metrics[kind]["acceptance"] > 3 * metrics["chance"]["acceptance"]
    assert {judge["name"] for judge in metrics["judges"]} == {"convolutional", "dense"}
    for judge in metrics["judges"]:
        # What a judge says of the whole images of the test is its accuracy.
        assert judge["accepted_originals"] == pytest.approx(judge["accuracy"])
        assert len(judge["hard"]["by_target"]) == 10
    shares = [judge["hard"]["acceptance"] for judge in metrics["judges"]]
    assert shares == sorted(shares)
    assert metrics["hard"]["acceptance"] == pytest.approx(np.mean(shares))
    assert metrics["judge"]["accuracy"] > 0.6
    assert metrics["flags"]["recipe"] == "template"
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
    soft = cutting.join(st.Restore()([answer["plan"][real], pieces[real]]), 4)
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


def test_an_evaluation_has_the_judges_of_its_run_or_those_that_are_asked_for(folder):
    metrics = json.loads(
        (folder / "run" / "metrics_digits_test_logits.json").read_text()
    )
    assert metrics["flags"]["judges"] == len(metrics["judges"]) == 2


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
    (folder / "other").mkdir()
    st.models.jigsaw_network(4, (2, 2, 1)).save(folder / "other" / "network.keras")
    for message, flags in {
        "labels: digits or mnist. Received: --dataset=photos": {"dataset": "photos"},
        "No finished run here": {"evaluate": f"{folder}/nowhere"},
        "Not a run of pipelines.assembly. Received:": {"evaluate": f"{folder}/other"},
        "--split goes with --evaluate": {"split": "train"},
        "--image_size must be a multiple": {"image_size": 9},
        "--heads=3. Received: --width=32": {"depth": 1, "heads": 3},
        "Not a judge of mnist. Received: --judge=": {
            "dataset": "mnist",
            "judge_only": True,
        },
        "Not a judge of digits. Received: --judge=": {
            "judge": f"{folder}/run",
            "name": "no_judge",
        },
        "was trained for 12 steps; for another one give another --judge. Received: --ju": {
            "judge_steps": 13,
            "judge_only": True,
        },
    }.items():
        with pytest.raises(UserError) as caught:
            run(folder, **flags)
        assert message in str(caught.value) and "\n" not in str(caught.value)
    # It is said before the training.
    assert not (folder / "no_judge" / "checkpoints").exists()
