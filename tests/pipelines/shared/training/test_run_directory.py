import json
import os

import pytest
from pipelines.errors import UserError

from pipelines import runs


def values(workdir, **changes):
    return {"workdir": str(workdir), "resume": False, "seed": 1, "grid": 2, **changes}


def test_a_finished_write_replaces_and_a_failed_one_keeps(tmp_path):
    path = tmp_path / "file.json"
    runs.write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        runs.write_json(path, {"a": object()})
    assert json.loads(path.read_text()) == {"a": 1}
    assert os.listdir(tmp_path) == ["file.json"]


def test_a_run_is_neither_overwritten_nor_resumed_with_other_flags(tmp_path):
    workdir = tmp_path / "run"
    assert runs.start(values(workdir), "unused") == str(workdir)
    runs.start(values(workdir, grid=4), "unused")  # Nothing has been saved yet.
    runs.start(values(workdir), "unused")
    (workdir / "checkpoints").mkdir()
    (workdir / "checkpoints" / "ckpt-1.index").write_text("")
    with pytest.raises(UserError, match="already holds a run: pass --resume"):
        runs.start(values(workdir), "unused")
    with pytest.raises(UserError, match="Received: --grid=3, the run has 2"):
        runs.start(values(workdir, resume=True, grid=3), "unused")
    runs.start(values(workdir, resume=True), "unused")


@pytest.mark.parametrize("name", ["network.keras", "metrics.json", "solver/1/x.pb"])
def test_results_without_checkpoints_are_neither_kept_nor_overwritten(tmp_path, name):
    path = tmp_path / "run" / name
    path.parent.mkdir(parents=True)
    path.write_text("")
    for resume in (False, True):
        with pytest.raises(UserError, match="without its checkpoints"):
            runs.start(values(tmp_path / "run", resume=resume), "unused")
    assert path.read_text() == ""


def test_what_a_run_left_before_its_first_checkpoint_is_removed(tmp_path):
    (tmp_path / "logs").mkdir()
    runs.start(values(tmp_path), "unused")
    assert (tmp_path / "logs").exists()  # It was not a run's.
    (tmp_path / "soft").mkdir()
    runs.start(values(tmp_path), "unused")
    assert os.listdir(tmp_path) == ["flags.json"]


def test_a_run_directory_that_cannot_be_made_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="Received: --workdir=.*file/run"):
        runs.start(values(tmp_path / "file" / "run"), "unused")


def test_a_broken_record_says_so(tmp_path):
    (tmp_path / "flags.json").write_text("{")
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "ckpt-1.index").write_text("")
    with pytest.raises(UserError, match="cannot be read as JSON"):
        runs.start(values(tmp_path, resume=True), "unused")


def test_what_a_kill_left_half_written_is_removed(tmp_path):
    for name in (".writing-a", "solver/.writing-b"):
        (tmp_path / name).mkdir(parents=True)
    runs.start(values(tmp_path), "unused")
    assert sorted(os.listdir(tmp_path)) == ["flags.json", "solver"]
    assert os.listdir(tmp_path / "solver") == []
