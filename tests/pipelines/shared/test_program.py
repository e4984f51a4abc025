import json
import subprocess
import sys

import pytest
import tensorflow as tf

from pipelines.jigsaw import report
from pipelines.jigsaw.__main__ import main as jigsaw
from pipelines.jigsaw.config import JigsawConfig
from pipelines.shared import program
from pipelines.shared.errors import UserError
from pipelines.sorting.__main__ import main as sorting
from pipelines.sorting.config import SortingConfig
from tests.pipelines.processes import ROOT
from tests.pipelines.programs import run_with

# Every program whose settings are arguments has this file.
PROGRAMS = sorted(path.parent.name for path in (ROOT / "pipelines").glob("*/config.py"))
SLOW = ("tensorflow", "keras", "matplotlib", "keras_tuner", "tensorflow_datasets")


def python(code, *arguments):
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


def test_programs_are_imported_without_tensorflow():
    assert {"assembly", "jigsaw", "sorting"} <= set(PROGRAMS)
    code = """
import importlib, sys
slow, *programs = sys.argv[1:]
for name in programs:
    importlib.import_module(f"pipelines.{name}.__main__")
    loaded = sys.modules.keys() & set(slow.split())
    assert not loaded, f"{name} imports {loaded}"
"""
    ended = python(code, " ".join(SLOW), *PROGRAMS)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("name", ["assembly", "jigsaw", "sorting"])
@pytest.mark.parametrize(
    "argument, said",
    [
        ("--helpshort", "--learning_rate: "),
        ("--stesp=9", "Unknown command line flag 'stesp'. Did you mean: steps"),
        ("--steps=0", "flag --steps=0"),
    ],
)
def test_a_command_line_is_answered_without_tensorflow(name, argument, said):
    code = """
import runpy, sys
slow, name = sys.argv.pop(1), sys.argv.pop(1)
try:
    runpy.run_module(f"pipelines.{name}", run_name="__main__", alter_sys=True)
except SystemExit as error:
    assert error.code, error.code
else:
    raise AssertionError("It went on.")
loaded = sys.modules.keys() & set(slow.split())
assert not loaded, loaded
"""
    ended = python(code, " ".join(SLOW), name, argument)
    assert ended.returncode == 0, ended.stderr
    assert said in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr


def test_flags_are_known_to_programs_and_their_settings_alone():
    for path in (ROOT / "pipelines").glob("**/*.py"):
        if path.name not in ("__main__.py", "config.py"):
            assert "FLAGS" not in path.read_text(), path


def test_two_experiments_run_in_one_process(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "_DRAWN", 1)
    quick = {"steps": 3, "batch_size": 4, "n_iters": 3, "export": False}
    run_with(
        jigsaw,
        JigsawConfig(),
        network="paper",
        filters=2,
        workdir=str(tmp_path / "jigsaw"),
        **quick,
    )
    run_with(
        sorting,
        SortingConfig(),
        n=3,
        jit_compile="none",
        workdir=str(tmp_path / "sorting"),
        **quick,
    )
    for name, setting in {"jigsaw": "filters", "sorting": "hidden"}.items():
        found = json.loads((tmp_path / name / "metrics.json").read_text())
        assert found["flags"]["steps"] == 3 and setting in found["flags"]
        assert (tmp_path / name / "network.keras").exists()


def test_errors_that_the_user_can_mend_are_one_sentence(monkeypatch):
    say = program._sentence
    assert say(UserError("Received: --n=1")) == "Received: --n=1"
    assert say(FileNotFoundError(2, "No such file", "x")) == (
        "[Errno 2] No such file: 'x'"
    )
    assert say(ModuleNotFoundError(name="keras_tuner")) == (
        "keras-tuner is not installed: pip install 'sinkhorn_tf[pipelines]'"
    )
    wrapped = "{{node map}} UserError: No such file.\nTraceback"
    assert say(tf.errors.UnknownError(None, None, wrapped)) == "No such file."
    full = tf.errors.ResourceExhaustedError(None, None, "Out of memory\nat node x")
    assert say(full) == "ResourceExhaustedError: Out of memory"


def test_errors_of_the_program_itself_are_raised():
    assert program._sentence(KeyError("x")) is None
    assert program._sentence(ModuleNotFoundError(name="pipelines.nothing")) is None
    assert program._sentence(ModuleNotFoundError("no name")) is None
