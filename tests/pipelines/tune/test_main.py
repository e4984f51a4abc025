"""The whole program on short trainings."""

import json
import subprocess
import sys

import pytest

from pipelines.jigsaw import experiment, report
from pipelines.jigsaw.__main__ import main as train
from pipelines.jigsaw.config import JigsawConfig
from pipelines.shared import files, options
from pipelines.shared.errors import UserError
from pipelines.tune import study
from pipelines.tune.__main__ import main
from pipelines.tune.config import TuneConfig
from tests.pipelines.processes import ROOT
from tests.pipelines.programs import run_with

# Keras Tuner asks for the thread in the way of Python 2.
pytestmark = pytest.mark.filterwarnings(
    "ignore:currentThread|getName:DeprecationWarning"
)

QUICK = {
    "network": "paper",
    "filters": 4,
    "batch_size": 8,
    "steps": 30,
    "tuner": "bayesian",
    "trials": 2,
    "space": ["learning_rate=0.001..0.1", "n_iters=5|20"],
}


@pytest.fixture(autouse=True, scope="module")
def few_pictures():
    """Pictures of more take longer than the short trainings."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "_DRAWN", 2)
        yield


def run(workdir, **flags):
    run_with(main, TuneConfig().replace(**QUICK), workdir=str(workdir), **flags)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("tune") / "run"
    run(workdir)
    return workdir


def test_the_best_settings_are_a_config_that_trains(finished, tmp_path, capsys):
    trials = files.read_json(str(finished / "trials.json"), list)
    assert [t["steps"] for t in trials] == [30, 30]
    # The first trial has the settings of the user.
    assert trials[0]["values"] == {"learning_rate": 0.02, "n_iters": 20}
    assert (finished / "trials.png").stat().st_size > 1000
    best = min(trials, key=lambda t: t["score"])
    path = finished / "best.cfg"
    head, *_ = path.read_text().partition("\n--")
    assert head.startswith("# From a search over learning_rate, n_iters:\n# python -m")
    assert f"validation {best['score']:.4f} after 30 steps" in head
    workdir = tmp_path / "run"
    arguments = [f"--flagfile={path}", f"--workdir={workdir}", "--noexport"]
    train(*options.from_arguments(JigsawConfig(), arguments))
    metrics = json.loads((workdir / "metrics.json").read_text())
    expected = {k: v for k, v in QUICK.items() if k in metrics["flags"]}
    assert metrics["flags"].items() >= (expected | best["values"]).items()
    # The trial was this very training.
    line = f"weights of step 30, which validated best: {best['score']:.4f}\n"
    assert line in capsys.readouterr().err


def test_a_finished_search_is_not_run_twice(finished, capsys):
    before = {
        name: (finished / name).read_bytes() for name in ("best.cfg", "trials.json")
    }
    run(finished, resume=True)
    assert "trial 0:" not in capsys.readouterr().err
    assert all((finished / name).read_bytes() == text for name, text in before.items())


@pytest.mark.parametrize(
    "flags, sentence",
    [
        ({}, "already holds a search: pass --resume"),
        (
            {"resume": True, "batch_size": 9},
            "Received: --batch_size=9, the search has 8",
        ),
        ({"resume": True, "factor": 4}, "Received: --factor=4, the search has 3"),
        ({"evaluate": "elsewhere"}, "Received: --evaluate=elsewhere"),
        ({"profile": True}, "Received: --profile=True"),
        ({"distribute": "multiworker"}, "Received: --distribute=multiworker"),
        ({"tuner": "hyperband", "rungs": 9}, "Received: --trial_steps=30"),
        ({"tuner": "hyperband", "trials": 9}, "Received: --trials=9"),
        ({"network": "context", "width": 9, "space": []}, "Received: --width=9"),
        ({"split": "nothing"}, "Received: --split=nothing"),
    ],
)
def test_an_error_that_the_user_can_mend_is_one_sentence(finished, flags, sentence):
    with pytest.raises(UserError, match=sentence):
        run(finished, **flags)


def test_other_images_are_another_search(finished, monkeypatch):
    def load_fewer(*arguments):
        images = load(*arguments)
        return images._replace(images=images.images[:-1])

    load = experiment.load_images
    monkeypatch.setattr(experiment, "load_images", load_fewer)
    with pytest.raises(UserError, match="Received: --training_images="):
        run(finished, resume=True)


def test_the_command_is_recorded_without_places(monkeypatch):
    arguments = [
        "--data_dir",
        "here",
        "--grid=3",
        "--resume",
        "--workdir=there",
        "--mirror",
    ]
    monkeypatch.setattr(sys, "argv", ["tune", *arguments])
    expected = "python -m pipelines.tune --grid=3 --mirror"
    assert study.command(TuneConfig()) == expected


def test_a_run_is_not_searched_over(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints/ckpt-10.index").write_text("")
    with pytest.raises(UserError, match="holds a run: give a search another --workdir"):
        run(tmp_path)


def test_a_missing_package_is_one_sentence(tmp_path, monkeypatch):
    for name in ("search", "keras_tuner_private"):
        monkeypatch.delitem(sys.modules, f"pipelines.tune.{name}", raising=False)
        monkeypatch.delattr(f"pipelines.tune.{name}", raising=False)
    for name in [x for x in sys.modules if x.partition(".")[0] == "keras_tuner"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "keras_tuner", None)
    with pytest.raises(UserError, match="needs keras-tuner: pip install keras-tuner"):
        run(tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["TUNER_ID", "ORACLE_IP", "ORACLE_PORT"])
def test_incomplete_variables_are_one_sentence(name, tmp_path, monkeypatch):
    monkeypatch.setenv(f"KERASTUNER_{name}", "1")
    with pytest.raises(UserError, match="Missing: KERASTUNER_"):
        run(tmp_path / "run")


@pytest.mark.parametrize(
    "arguments", [["--pipeline=cooking"], ["--pipeline", "cooking"]]
)
def test_an_unknown_pipeline_is_one_sentence(arguments):
    ended = subprocess.run(
        [sys.executable, "-m", "pipelines.tune", "--grid=3", *arguments],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 1
    said = ended.stderr
    assert said.startswith("error: ") and "cooking" in said and said.count("\n") == 1
