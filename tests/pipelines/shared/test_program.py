"""The door of every program, and runs side by side in one process."""

import importlib
import re
import subprocess
import sys

import pytest
import tensorflow as tf

from pipelines.jigsaw import report as jigsaw_report
from pipelines.jigsaw.__main__ import main as jigsaw
from pipelines.jigsaw.config import JigsawConfig
from pipelines.shared import options, program
from pipelines.shared.errors import UserError
from pipelines.sorting import report as sorting_report
from pipelines.sorting.__main__ import main as sorting
from pipelines.sorting.config import SortingConfig
from tests.pipelines.processes import ROOT
from tests.pipelines.programs import run_with

PROGRAMS = sorted(
    path.name
    for path in (ROOT / "pipelines").iterdir()
    if (path / "__init__.py").exists() and path.name != "shared"
)
SLOW = (
    "tensorflow",
    "keras",
    "matplotlib",
    "keras_tuner",
    "tensorflow_datasets",
    "sklearn",
    "jax",
)


def python(code, *arguments):
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


def answer(name, argument):
    """The text with which a program ends, without TensorFlow, after an argument."""
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
    assert "Traceback" not in ended.stderr
    return ended.stdout + ended.stderr


def test_every_folder_but_shared_is_a_program_with_its_settings():
    assert {"assembly", "jigsaw", "sorting", "tune", "solve"} <= set(PROGRAMS)
    for name in PROGRAMS:
        for file in ("__main__.py", "config.py"):
            assert (ROOT / "pipelines" / name / file).exists(), (name, file)


def test_programs_are_imported_without_tensorflow():
    code = """
import importlib, sys
slow, *programs = sys.argv[1:]
for name in programs:
    for module in ("config", "__main__"):
        importlib.import_module(f"pipelines.{name}.{module}")
    loaded = sys.modules.keys() & set(slow.split())
    assert not loaded, f"{name} imports {loaded}"
"""
    ended = python(code, " ".join(SLOW), *PROGRAMS)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_explains_itself_without_tensorflow(name):
    program = importlib.import_module(f"pipelines.{name}.__main__")
    text = answer(name, "--helpshort")
    assert program.__doc__.splitlines()[0] in text
    config = importlib.import_module(f"pipelines.{name}.config")
    (settings,) = (
        value
        for value in vars(config).values()
        if isinstance(value, type) and value.__module__ == config.__name__
    )
    for setting in options.entries(settings()):
        assert re.search(rf"--(\[no\])?{setting}:", text), setting


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_mistyped_flag_is_refused_without_tensorflow(name):
    assert "Unknown command line flag 'nosuchflag'" in answer(name, "--nosuchflag=9")


@pytest.mark.parametrize("name", ["assembly", "jigsaw", "sorting"])
@pytest.mark.parametrize(
    "argument, sentence",
    [
        ("--helpshort", "--learning_rate: "),
        ("--stesp=9", "Unknown command line flag 'stesp'. Did you mean: steps"),
        ("--steps=0", "flag --steps=0"),
    ],
)
def test_a_command_line_is_answered_without_tensorflow(name, argument, sentence):
    assert sentence in answer(name, argument)


def test_flags_are_known_to_programs_and_their_settings_alone():
    for path in (ROOT / "pipelines").glob("**/*.py"):
        if path.name not in ("__main__.py", "config.py"):
            assert "FLAGS" not in path.read_text(), path


def test_two_experiments_run_in_one_process(tmp_path, monkeypatch):
    reports = {}

    def record(network, config, *_):
        reports[type(config)] = options.recorded(config)

    # The measurements of each program are tested beside it.
    for report in (jigsaw_report, sorting_report):
        monkeypatch.setattr(report, "report", record)
    quick = {"steps": 3, "batch_size": 4, "n_iters": 3, "jit_compile": "none"}
    runs = (
        (jigsaw, JigsawConfig(), {"network": "paper", "filters": 2}),
        (sorting, SortingConfig(), {"n": 3}),
    )
    for main, config, flags in runs:
        workdir = str(tmp_path / type(config).__name__)
        run_with(main, config, workdir=workdir, export=False, **quick, **flags)
    for _, config, flags in runs:
        assert reports[type(config)].items() >= (quick | flags).items()
        assert (tmp_path / type(config).__name__ / "network.keras").exists()
    assert "hidden" in reports[SortingConfig]
    assert "hidden" not in reports[JigsawConfig]


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
