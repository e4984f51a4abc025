"""Start-up messages of TensorFlow, from a stand-in that says the same in an instant."""

import os
import subprocess
import sys

import pytest

from tests.pipelines.processes import ROOT

QUIETEN = """
import os, sys
from pipelines.shared import startup
startup.quieten()
"""
NOISE = """\
WARNING: All log messages before absl::InitializeLog() is called are written to STDERR
I0000 00:00:1795641440.310279    9112 port.cc:153] oneDNN custom operations are on.
I0000 00:00:1795641440.310674    9112 cudart_stub.cc:31] Could not find cuda drivers.
I0000 00:00:1795641440.355111    9112 cpu_feature_guard.cc:227] This TensorFlow binary
To enable the following instructions: AVX2 FMA, in other operations, rebuild TensorFlow
"""
NO_GPU = """\
E0000 00:00:1795641443.9584    9112 cuda_platform.cc:52] failed call to cuInit: INTERNAL: \
CUDA error: Failed call to cuInit: UNKNOWN ERROR (303)
"""
TROUBLE = """\
W0000 00:00:1795641443.9584    9112 gpu_device.cc:2341] Cannot dlopen some libraries
E0000 00:00:1795641443.9584    9112 cuda_platform.cc:52] failed call to cuInit: INTERNAL: \
CUDA error: Failed call to cuInit: CUDA_ERROR_OUT_OF_MEMORY
F0000 00:00:1795641443.9584    9112 cpu.cc:9] compiled to use AVX instructions
"""
STAND_IN = f"""
import contextlib, os, types

def say(text):
    with contextlib.suppress(OSError):
        os.write(2, text.encode())

say({NOISE + TROUBLE!r})
VERSION = "stand-in"
config = types.SimpleNamespace(list_physical_devices=lambda: say({NO_GPU!r}))
"""


@pytest.fixture
def run(tmp_path):
    """Runs code after `quieten`, where TensorFlow is the stand-in."""

    def run(code, more="", level=None):
        package = tmp_path / "tensorflow" / "__init__.py"
        package.parent.mkdir()
        package.write_text(STAND_IN + more)
        environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}"}
        environment.pop("TF_CPP_MIN_LOG_LEVEL", None)
        if level is not None:
            environment["TF_CPP_MIN_LOG_LEVEL"] = level
        return subprocess.run(
            [sys.executable, "-c", QUIETEN + code],
            cwd=tmp_path,
            env=environment,
            check=False,
            capture_output=True,
            text=True,
        )

    return run


@pytest.mark.parametrize("level", [None, "1", "2", "3"])
def test_start_up_lines_are_hidden_and_trouble_is_not(level, run):
    code = "import tensorflow as tf; print(tf.VERSION); os.write(2, b'I0000 later\\n')"
    ended = run(code, level=level)
    assert ended.returncode == 0
    assert ended.stderr == TROUBLE + "I0000 later\n"
    assert ended.stdout == "stand-in\n"


def test_who_asks_for_all_lines_gets_them(run):
    ended = run("import tensorflow", level="0")
    assert ended.stderr == NOISE + TROUBLE
    # The look for GPUs is not moved.
    assert "cuInit: UNKNOWN" not in ended.stderr


def test_nothing_is_imported_before_it_is_asked_for(run):
    ended = run("assert 'tensorflow' not in sys.modules")
    assert (ended.returncode, ended.stderr) == (0, "")


def test_the_last_words_of_a_process_that_aborts_are_shown(run):
    ended = run("import tensorflow", "os.abort()")
    assert ended.returncode < 0
    assert ended.stderr == TROUBLE


def test_an_import_that_fails_shows_its_traceback(run):
    ended = run("import tensorflow", "raise ImportError('no such library')")
    assert ended.returncode == 1
    assert ended.stderr.startswith(TROUBLE)
    assert ended.stderr.endswith("ImportError: no such library\n")


def test_the_import_works_without_stderr(run):
    ended = run("os.close(2); sys.stderr = None; import tensorflow; print('done')")
    assert (ended.returncode, ended.stdout) == (0, "done\n")


def test_tensorflow_is_found_as_without(run):
    code = (
        "import importlib.util, tensorflow\n"
        "spec = importlib.util.find_spec('tensorflow')\n"
        "print(type(spec.loader).__name__, tensorflow.__file__)"
    )
    ended = run(code)
    name, path = ended.stdout.split()
    assert name == "SourceFileLoader"
    assert path.endswith("tensorflow/__init__.py")
