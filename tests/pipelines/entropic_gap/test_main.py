"""The program `pipelines.entropic_gap`, end to end and small."""

import json

import pytest

from pipelines.entropic_gap.__main__ import main
from pipelines.entropic_gap.config import EntropicGapConfig
from pipelines.shared import options
from pipelines.shared.errors import UserError

QUICK = {"sizes": [8], "network_logits": 2, "instances": 5}


def test_program(tmp_path, capsys):
    main(EntropicGapConfig(workdir=str(tmp_path / "run"), **QUICK))
    scores = json.loads((tmp_path / "run" / "metrics.json").read_text())
    for row in scores["theorem_2"]:
        assert row["lower"] <= row["measured"] <= row["upper"] <= row["slow"]
    for row in scores["random"].values():
        assert row["violations"] == 0
    assert len(scores["networks"]) == 2
    for row in scores["networks"].values():
        assert row["factor"] > 1
    assert scores["flags"].items() >= QUICK.items()
    assert (tmp_path / "run" / "entropic_gap.png").stat().st_size > 10_000
    assert "Theorem 2" in capsys.readouterr().out


def test_missing_networks_are_one_sentence(tmp_path):
    config = EntropicGapConfig(
        workdir=str(tmp_path / "run"), savedmodels=str(tmp_path), **QUICK
    )
    with pytest.raises(UserError, match="Received: --savedmodels="):
        main(config)


def test_the_flag_of_sizes_is_repeated():
    defaults = EntropicGapConfig()
    config, given = options.from_arguments(defaults, ["--sizes=8", "--sizes=16"])
    assert config.sizes == [8, 16] and given == {"sizes"}
    assert options.from_arguments(defaults, [])[0].sizes == defaults.sizes
    for wrong in ("1", "1001", "x", "8,16"):
        with pytest.raises(UserError, match="sizes"):
            options.from_arguments(defaults, [f"--sizes={wrong}"])
    with pytest.raises(UserError, match="--sizes must be from 2 to 1000. Received: 1"):
        EntropicGapConfig(sizes=[8, 1])
