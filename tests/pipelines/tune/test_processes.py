"""Searches in processes of their own: killed, shared by workers, of another program."""

import itertools
import json
import re
import shlex

import pytest

from tests.pipelines.processes import free_ports

pytestmark = pytest.mark.slow

COMMAND = (
    "-m",
    "pipelines.tune",
    "--network=paper",
    "--filters=8",
    "--batch_size=8",
    "--steps=200",
    "--checkpoint_every=20",
    "--rungs=2",
    "--space=learning_rate=0.001..0.1,n_iters=5|20",
)


def started_trials(program):
    """The names of the trials that a process said it begins."""
    return re.findall(r"^trial (\d+): \d+ steps", program.said(), re.MULTILINE)


def read_trials(workdir):
    return json.loads((workdir / "trials.json").read_text())


def best_settings(workdir):
    """The flags of the config that a search leaves, without its comments."""
    return (workdir / "best.cfg").read_text().partition("\n--")[2]


@pytest.mark.parametrize("tuner", ["hyperband", "bayesian"])
def test_a_search_that_was_killed_goes_on(tuner, start, tmp_path):
    command = (*COMMAND, f"--tuner={tuner}")
    if tuner == "bayesian":
        command += ("--trials=5",)
    whole = start(*command, f"--workdir={tmp_path / 'whole'}")
    workdir = tmp_path / "killed"
    for number in (1, 3):
        program = start(*command, f"--workdir={workdir}", "--resume")
        digits = 4 if tuner == "hyperband" else 1
        trial = workdir / "trials" / f"{number:0{digits}}"
        program.wait_for(trial / "checkpoints" / "ckpt-20.index")
        program.process.kill()
        program.ended()
        assert not (workdir / "best.cfg").exists()
    last = start(*command, f"--workdir={workdir}", "--resume")
    last.succeeded()
    # It goes on within the trial, from its checkpoint, and repeats none before.
    assert re.search("resumed at step [1-9]", last.said())
    assert started_trials(last)[0] == trial.name
    whole.succeeded()
    assert read_trials(workdir) == read_trials(tmp_path / "whole")
    assert best_settings(workdir) == best_settings(tmp_path / "whole")


@pytest.fixture
def start_search(start):
    """Starts a process of a search with a chief on loopback, by its name."""
    (port,) = free_ports(1)

    def start_search(name, *arguments):
        variables = {
            "KERASTUNER_TUNER_ID": name,
            "KERASTUNER_ORACLE_IP": "localhost",
            "KERASTUNER_ORACLE_PORT": str(port),
        }
        return start(*COMMAND, *arguments, environment=variables)

    return start_search


def test_a_chief_and_two_workers_share_the_trials(start_search, start, tmp_path):
    workdir = f"--workdir={tmp_path / 'run'}"
    chief = start_search("chief", workdir)
    workers = [start_search(f"worker{number}", workdir) for number in range(2)]
    for program in (*workers, chief):
        program.succeeded()
    trials = read_trials(tmp_path / "run")
    assert {t["status"] for t in trials} == {"COMPLETED"}
    parts = [started_trials(worker) for worker in workers]
    assert all(parts) and not started_trials(chief)
    assert sorted(itertools.chain(*parts)) == [t["trial"] for t in trials]
    assert "best so far" in chief.said()
    # The first trial scores as a training of its own with the same values.
    first = trials[0]
    config = (tmp_path / "run" / "best.cfg").read_text()
    lines = [x for x in config.splitlines() if not x.startswith("#")]
    flags = [
        x for x in lines if x.split("=")[0] not in ("--learning_rate", "--n_iters")
    ]
    values = [f"--{name}={value}" for name, value in first["values"].items()]
    alone = start(
        "-m",
        "pipelines.jigsaw",
        *flags,
        *values,
        f"--steps={first['steps']}",
        f"--workdir={tmp_path / 'alone'}",
        "--noexport",
    )
    alone.succeeded()
    assert f"validation {first['score']:.4f}" in alone.said()
    # One process goes on with the search of a chief.
    again = start(*COMMAND, workdir, "--resume")
    again.succeeded()
    assert not started_trials(again) and read_trials(tmp_path / "run") == trials


def test_a_worker_that_was_killed_takes_up_its_trial(start_search, tmp_path):
    workdir = tmp_path / "run"
    chief = start_search("chief", f"--workdir={workdir}")
    worker = start_search("worker", f"--workdir={workdir}")
    worker.wait_for(workdir / "trials/0001/checkpoints/ckpt-20.index")
    worker.process.kill()
    worker.ended()
    again = start_search("worker", f"--workdir={workdir}", "--resume")
    again.succeeded()
    chief.succeeded()
    assert re.search("resumed at step [1-9]", again.said())
    assert started_trials(again)[0] == "0001"
    assert {t["status"] for t in read_trials(workdir)} == {"COMPLETED"}


def test_workers_with_other_flags_or_without_a_chief_end(start_search, tmp_path):
    workdir = f"--workdir={tmp_path / 'run'}"
    alone = start_search("worker", workdir, "--startup_timeout=5")
    alone.failed("The chief of the search does not answer")
    chief = start_search("chief", workdir)
    other = start_search("worker", workdir, "--filters=4")
    other.failed("Received: --filters=4, the search has 8")
    chief.process.kill()
    second = start_search("chief", f"--workdir={tmp_path / 'other'}", "--filters=0")
    assert second.ended() != 0 and "filters" in second.said()


def test_sorting_is_searched_too(start, tmp_path):
    flags = ("--n=6", "--steps=60", "--batch_size=20", "--averaging=.9", "--rungs=2")
    program = start(
        "-m",
        "pipelines.tune",
        "--pipeline=sorting",
        *flags,
        f"--workdir={tmp_path / 'search'}",
        "--space=learning_rate,hidden=8|16",
    )
    program.succeeded()
    config = tmp_path / "search" / "best.cfg"
    assert "\n--hidden=" in config.read_text()
    (command,) = re.findall("# Command: (.*)", config.read_text())
    run = start(*shlex.split(command)[1:], f"--workdir={tmp_path / 'run'}")
    run.succeeded()
    assert (tmp_path / "run" / "metrics.json").exists()
