"""Runs that end early and go on."""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

import keras
import numpy as np
import pytest

import sinkhorn_tf as st
from pipelines.jigsaw.config import JigsawConfig
from pipelines.jigsaw.experiment import JigsawExperiment
from pipelines.shared.errors import UserError
from pipelines.shared.training import run_directory, strategy
from pipelines.shared.training.checkpoints import Checkpoints
from pipelines.shared.training.trainer import Trainer
from tests.pipelines.jigsaw.runs import QUICK, command, process, run, scores
from tests.pipelines.processes import ROOT

# A run of version 0.1.0 that was killed after step 20 of 30.
EARLIER = pathlib.Path(__file__).parent / "data" / "run_0_1"


@pytest.mark.slow
def test_killed_and_resumed_is_the_same_run(tmp_path):
    flags = [f"--{k}={v}" for k, v in (QUICK | {"steps": 200}).items()]
    flags += ["--noexport", "--seed=5"]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    result = process(*flags, f"--workdir={whole}")
    assert result.returncode == 0, result.stderr
    with subprocess.Popen(
        command(*flags, f"--workdir={killed}"),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as running:
        while len(list((killed / "checkpoints").glob("*.index"))) < 2:
            assert running.poll() is None
            time.sleep(0.01)
        running.send_signal(signal.SIGKILL)
    assert not (killed / "metrics.json").exists()
    result = process(*flags, f"--workdir={killed}", "--resume")
    assert result.returncode == 0, result.stderr
    assert re.search(r"resumed at step [1-9]", result.stderr)
    assert scores(killed) == scores(whole)
    networks = [
        keras.saving.load_model(workdir / "network.keras")
        for workdir in (whole, killed)
    ]
    for a, b in zip(*(network.get_weights() for network in networks), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_interrupted_saves_and_a_spoiled_checkpoint_are_the_same_run(
    tmp_path, monkeypatch
):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    run(whole)

    class Killed(Exception):
        pass

    def kill(*_, **__):
        raise Killed

    with monkeypatch.context() as patch:
        # Between the best weights of step 20 and the state of that step.
        save = Checkpoints.save

        def save_all_but_step_20(checkpoints, step):
            if checkpoints._folder.endswith("checkpoints") and step == 20:
                raise Killed
            return save(checkpoints, step)

        patch.setattr(Checkpoints, "save", save_all_but_step_20)
        with pytest.raises(Killed):
            run(cut)
    with monkeypatch.context() as patch:
        patch.setattr(st, "export_solver", kill)
        with pytest.raises(Killed):
            run(cut, resume=True)
    assert not (cut / "solver").exists()
    for part in (cut / "checkpoints").glob("ckpt-30.*"):
        part.write_bytes(part.read_bytes()[:50])
    run(cut, resume=True)
    assert scores(cut) == scores(whole)
    run(cut, resume=True)
    assert os.listdir(cut / "solver") == ["1"]
    assert scores(cut) == scores(whole)


def test_a_run_that_found_no_data_does_not_block_the_next(tmp_path):
    with pytest.raises(UserError):
        run(tmp_path / "run", dataset="folder", data_dir="nowhere")
    run(tmp_path / "run", steps=1, export=False)
    with pytest.raises(UserError, match="already holds a run"):
        run(tmp_path / "run", steps=1)


def test_a_run_of_an_earlier_version_goes_on(tmp_path, capsys):
    workdir = str(tmp_path / "run")
    shutil.copytree(EARLIER, workdir)
    config = JigsawConfig().replace(**QUICK, workdir=workdir, resume=True)
    experiment = JigsawExperiment(config)
    run_directory.start(experiment.config, workdir, experiment.identity())
    joined = strategy.join(experiment.config)
    trainer = Trainer(experiment, experiment.training, joined, workdir)
    trainer.run()
    assert "resumed at step 20" in capsys.readouterr().err
    # The earlier version ended with this score; machines differ in the last digits.
    assert trainer.best_score == pytest.approx(0.3659, abs=0.02)
    other = experiment.config.replace(filters=5)
    with pytest.raises(UserError, match="--filters=5, the run has 4"):
        run_directory.start(other, workdir, experiment.identity())
