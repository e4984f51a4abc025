"""The program `pipelines.entropic_gap`, end to end and small."""

import json

import pytest
from absl.testing import flagsaver

from pipelines import entropic_gap
from pipelines.errors import UserError


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setattr(entropic_gap, "SIZES", (8,))
    monkeypatch.setattr(entropic_gap, "NETWORK_LOGITS", 1)
    if not entropic_gap.FLAGS.is_parsed():
        entropic_gap.FLAGS.mark_as_parsed()

    def run(**flags):
        flags = {"workdir": str(tmp_path / "run"), "instances": 5} | flags
        with flagsaver.flagsaver(**flags):
            entropic_gap.main()
        return json.loads((tmp_path / "run" / "metrics.json").read_text())

    return run


def test_program(run, tmp_path, capsys):
    scores = run()
    for row in scores["theorem_2"]:
        assert row["lower"] <= row["measured"] <= row["upper"] <= row["slow"]
    for row in scores["random"].values():
        assert row["violations"] == 0
    assert len(scores["networks"]) == 2
    for row in scores["networks"].values():
        assert row["factor"] > 1
    assert (tmp_path / "run" / "entropic_gap.png").stat().st_size > 10_000
    assert "Theorem 2" in capsys.readouterr().out


def test_missing_networks_are_one_sentence(run, tmp_path):
    with pytest.raises(UserError, match="Received: --savedmodels="):
        run(savedmodels=str(tmp_path))
