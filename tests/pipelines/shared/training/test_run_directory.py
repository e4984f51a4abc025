import dataclasses
import os

import pytest

from pipelines.shared.errors import UserError
from pipelines.shared.options import Options, option
from pipelines.shared.training import run_directory


@dataclasses.dataclass(frozen=True)
class Settings(Options):
    """The settings that tell one run from another here."""

    workdir: str | None = option(None, "Directory.", is_recorded=False)
    resume: bool = option(False, "Go on.", is_recorded=False)
    seed: int = option(1, "A seed.")
    grid: int = option(2, "Pieces.")


def start(workdir, **changes):
    return run_directory.start(Settings(str(workdir), **changes), "unused")


def test_a_run_is_neither_overwritten_nor_resumed_with_other_flags(tmp_path):
    workdir = tmp_path / "run"
    assert start(workdir) == str(workdir)
    start(workdir, grid=4)  # Nothing has been saved yet.
    start(workdir)
    (workdir / "checkpoints").mkdir()
    (workdir / "checkpoints" / "ckpt-1.index").write_text("")
    with pytest.raises(UserError, match="already holds a run: pass --resume"):
        start(workdir)
    with pytest.raises(UserError, match="Received: --grid=3, the run has 2"):
        start(workdir, resume=True, grid=3)
    start(workdir, resume=True)


@pytest.mark.parametrize("name", ["network.keras", "metrics.json", "solver/1/x.pb"])
def test_results_without_checkpoints_are_neither_kept_nor_overwritten(tmp_path, name):
    path = tmp_path / "run" / name
    path.parent.mkdir(parents=True)
    path.write_text("")
    for resume in (False, True):
        with pytest.raises(UserError, match="without its checkpoints"):
            start(tmp_path / "run", resume=resume)
    assert path.read_text() == ""


def test_what_a_run_left_before_its_first_checkpoint_is_removed(tmp_path):
    (tmp_path / "logs").mkdir()
    start(tmp_path)
    assert (tmp_path / "logs").exists()  # It was not a run's.
    (tmp_path / "soft").mkdir()
    start(tmp_path)
    assert os.listdir(tmp_path) == ["flags.json"]


def test_a_run_directory_that_cannot_be_made_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="Received: --workdir=.*file/run"):
        start(tmp_path / "file" / "run")


def test_a_path_that_is_no_utf_8_says_so(tmp_path):
    with pytest.raises(
        UserError, match=r"valid UTF-8.*Received: b'.*caf\\xe9'"
    ) as caught:
        start(tmp_path / "caf\udce9")
    str(caught.value).encode()
    assert os.listdir(tmp_path) == []


def test_a_broken_record_says_so(tmp_path):
    (tmp_path / "flags.json").write_text("{")
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "ckpt-1.index").write_text("")
    with pytest.raises(UserError, match="cannot be read as JSON"):
        start(tmp_path, resume=True)


def test_what_a_kill_left_half_written_is_removed(tmp_path):
    for name in (".writing-a", "solver/.writing-b", "best/.writing-c"):
        (tmp_path / name).mkdir(parents=True)
    start(tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["best", "flags.json", "solver"]
    assert os.listdir(tmp_path / "solver") == os.listdir(tmp_path / "best") == []


@pytest.mark.parametrize("name", ["run[1]", "run*", "run?", "run"])
def test_what_is_removed_is_that_of_the_run_alone(name, tmp_path):
    for run in (name, "run1"):
        for folder in (".writing-a", "checkpoints/ckpt-1_temp", "best/ckpt-1_temp"):
            (tmp_path / run / folder).mkdir(parents=True)
    start(tmp_path / name)
    left = {run: os.listdir(tmp_path / run) for run in (name, "run1")}
    assert sorted(left[name]) == ["best", "checkpoints", "flags.json"]
    assert os.listdir(tmp_path / name / "best") == []
    assert sorted(left["run1"]) == [".writing-a", "best", "checkpoints"]
    assert os.listdir(tmp_path / "run1" / "checkpoints") == ["ckpt-1_temp"]
