"""A program without its packages says in one sentence what to install."""

import subprocess
import sys

import pytest

from pipelines.shared import program
from tests.pipelines.processes import ROOT

# Runs `pipelines.jigsaw` where some modules cannot be found.
WITHOUT = """
import importlib.abc, importlib.util, runpy, sys

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in absent:
            raise ModuleNotFoundError(name, name=name)

absent = sys.argv.pop(1).split(",")
sys.meta_path.insert(0, Absent())
find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name: None if name in absent else find_spec(name)
runpy.run_module("pipelines.jigsaw", run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize(
    "modules, package",
    [
        ("absl,tensorflow", "absl-py"),
        ("tensorflow,keras", "tensorflow"),
        ("tqdm", "tqdm"),
    ],
)
def test_a_missing_package_is_one_sentence(modules, package, tmp_path):
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT, modules, f"--workdir={tmp_path / 'run'}"],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 1
    assert ended.stderr.strip().splitlines()[-1] == (
        f"error: {package} is not installed: pip install 'sinkhorn_tf[pipelines]'"
    )
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "module, package",
    [("PIL.Image", "pillow"), ("sklearn.datasets", "scikit-learn"), ("grpc", "grpc")],
)
def test_the_sentence_names_the_package_of_a_module(module, package):
    sentence = program._sentence(ModuleNotFoundError(name=module))
    assert sentence.startswith(f"{package} is not installed: ")
