"""The program `pipelines.entropic_gap`, end to end and small, in a process of its own:
two programs in one would define the same flags."""

import json
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
QUICK = ("--sizes=8", "--network_logits=2", "--instances=5")


def process(workdir, *flags):
    return subprocess.run(
        [sys.executable, "-m", "pipelines.entropic_gap", f"--workdir={workdir}"]
        + [*QUICK, *flags],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


def test_program(tmp_path):
    ended = process(tmp_path / "run")
    assert ended.returncode == 0, ended.stderr
    scores = json.loads((tmp_path / "run" / "metrics.json").read_text())
    for row in scores["theorem_2"]:
        assert row["lower"] <= row["measured"] <= row["upper"] <= row["slow"]
    for row in scores["random"].values():
        assert row["violations"] == 0
    assert len(scores["networks"]) == 2
    for row in scores["networks"].values():
        assert row["factor"] > 1
    assert (tmp_path / "run" / "entropic_gap.png").stat().st_size > 10_000
    assert "Theorem 2" in ended.stdout


def test_missing_networks_are_one_sentence(tmp_path):
    ended = process(tmp_path / "run", f"--savedmodels={tmp_path}")
    assert ended.returncode == 1
    assert "Received: --savedmodels=" in ended.stderr
    assert "Traceback" not in ended.stderr
