"""The program `pipelines.training_cost`, and the old flag that starts it."""

import json
import pathlib
import subprocess
import sys

import pytest

from pipelines.training_cost.config import TrainingCostConfig

ROOT = pathlib.Path(__file__).resolve().parents[3]


def test_quick_changes_what_was_not_given():
    config = TrainingCostConfig(quick=True, repeats=7)
    assert config.completed({"repeats"}).repeats == 7
    assert config.completed({"repeats"}).burst == 0.05
    assert config.completed().repeats == 3
    assert TrainingCostConfig().completed() == TrainingCostConfig()


@pytest.mark.slow
@pytest.mark.parametrize(
    "program", [("pipelines.training_cost",), ("pipelines.benchmark", "--scaling")]
)
def test_the_cost_of_training_is_measured(program, tmp_path):
    result = subprocess.run(
        [sys.executable, "-m", *program, "--quick", "--repeats=2"]
        + [f"--workdir={tmp_path}"],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    hint = "this is python -m pipelines.training_cost" in result.stderr
    assert hint == (len(program) > 1)
    cases = json.loads((tmp_path / "scaling.json").read_text())["cases"]
    assert [(x["group"], x["grown"]) for x in cases] == [
        ("batch", 2),
        ("batch", 4),
        ("workers", 1),
        ("workers", 2),
    ]
    for case in cases:
        assert len(case["seconds_of_bursts"]) == 2
        assert case["seconds"] > 0 and case["memory_mib"] > 0
        # At least a product of every weight with an input, and an addition.
        assert case["forward_flops"] > 2 * case["parameters"]
        assert f"{case['parameters']:,}" in result.stdout
