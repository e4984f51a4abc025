"""The whole program on tiny sizes, in processes of its own."""

import json
import pathlib
import subprocess
import sys

import pytest
import tensorflow as tf

from pipelines.benchmark import peers
from pipelines.benchmark.__main__ import main
from pipelines.benchmark.config import BenchmarkConfig
from pipelines.shared import options
from pipelines.shared.errors import UserError

ROOT = pathlib.Path(__file__).resolve().parents[3]
TINY = [
    # Without XLA, which takes seconds to compile each.
    "--peers=ours_graph,ours_eager_graph,log_graph,certified_graph,bound,served,scipy,optax",
    "--sizes=4x3",
    "--iterations=2",
    "--scaling_sizes=2x3",
    "--accuracy_size=2x3",
    "--temperatures=1",
    "--solver_n=4",
    "--matching_sizes=4x3",
    "--serving_sizes=4x4",
    "--shapes=4x3x3:1,4x2x3:masses,4x3x3:dustbins",
    "--eager_sizes=2x3x4",
    "--large_sizes=1x5",
    "--large_temperatures=1",
    "--spread_sizes=4x3",
    "--grids=2",
    "--training_steps=10",
    "--repeats=1",
    "--burst=0",
]


def process(*flags):
    return subprocess.run(
        [sys.executable, "-m", "pipelines.benchmark", *flags],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


def run(*arguments):
    """As `process`, in this process."""
    main(*options.from_arguments(BenchmarkConfig(), arguments))


def content(workdir):
    return json.loads((workdir / "benchmark.json").read_text())


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("benchmark") / "run"
    result = process(*TINY, f"--workdir={workdir}")
    assert result.returncode == 0, result.stderr
    return workdir, result


def test_every_section_is_measured_and_right(finished):
    record = content(finished[0])
    measured = record["cases"]
    assert {case["section"] for case in measured.values()} == {
        "operator",
        "scaling",
        "accuracy",
        "solver",
        "matching",
        "serving",
        "shapes",
        "eager",
        "large",
        "spread",
    }
    assert len(measured) == 2 + 2 + 2 + 2 + 2 + 2 + 7 + 5 + 2 + 2
    ours = {"serving": "served", "eager": "ours_eager_graph"}
    for case in measured.values():
        assert ours.get(case["section"], "ours_graph") in case["peers"]
        for name, peer in case["peers"].items():
            if "unsupported" in peer:
                continue
            assert "failed" not in peer, (case, name)
            assert (peer.get("seconds", {"median": 1})["median"]) > 0
            assert peer["memory_mib"] >= 0
            if name != "bound" and case["section"] != "solver":
                assert peer["error"] < 1e-5
            if case["section"] == "solver":
                assert peer["residual"] <= 1.1e-3
        assert all(ratio > 0 for ratio in case["ratios"].values())
    forward = measured["operator/forward/4x3/L2/t1/normal"]
    assert set(forward["peers"]) == {"ours_graph", "log_graph", "bound"}
    assert set(forward["ratios"]) == {
        "log loop / ours_graph",
        "ours_graph / bound",
    }
    ragged = measured["shapes/match/4x3x3:1/normal"]
    assert {"scipy / scipy", "ours_graph / scipy"} & ragged["ratios"].keys() == {
        "ours_graph / scipy"
    }
    trained = measured["matching/match/64x4/digits N = 4"]
    assert 0 <= trained["peers"]["certified_graph"]["proven"] <= 1
    assert record["versions"]["tensorflow"] == tf.__version__
    assert record["machine"]["cores"] >= 1
    assert record["flags"]["repeats"] == 1


def test_tables_and_picture(finished):
    workdir, result = finished
    for words in (
        "Operator, forward + backward",
        "ours, XLA",
        "4x3 L2",
        "share proven",
        "Sets of any size and masses, forward + backward",
        "4x3x3:1",
        "4x3x3:dustbins",
    ):
        assert words in result.stdout
    assert tf.io.decode_png((workdir / "benchmark.png").read_bytes()).shape[0] > 100


def test_a_peer_that_is_not_installed_costs_one_line(finished):
    line = "peer optax: not installed (pip install optax)"
    missing = peers.PEERS["optax"].missing()
    assert (line.split("(")[0] in finished[1].stderr) == bool(missing)


def test_resume_keeps_finished_cases_and_the_trained_network(finished):
    workdir, _ = finished
    before = content(workdir)["cases"]
    result = process(*TINY, f"--workdir={workdir}", "--resume")
    assert result.returncode == 0, result.stderr
    assert f"{len(before)} cases are kept" in result.stderr
    assert "training for" not in result.stderr
    assert content(workdir)["cases"] == before


def test_a_run_is_neither_overwritten_nor_resumed_with_other_flags(finished):
    arguments = [*TINY, f"--workdir={finished[0]}"]
    with pytest.raises(UserError, match="pass --resume"):
        run(*arguments)
    with pytest.raises(UserError, match="Received: --repeats=2, the run has 1"):
        run(*arguments, "--resume", "--repeats=2")


@pytest.mark.parametrize(
    "flag, message",
    [
        ("--sizes=64", "--sizes takes sizes like 64x9. Received: 64"),
        ("--peers=nobody", "Received: nobody"),
        ("--dataset=cifar", "cifar"),
    ],
)
def test_a_bad_flag_is_one_sentence(tmp_path, flag, message):
    with pytest.raises(UserError, match=message) as caught:
        run(flag, f"--workdir={tmp_path / 'run'}")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_command_line_shows_no_traceback(tmp_path):
    result = process("--sizes=64", f"--workdir={tmp_path / 'run'}")
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    last = result.stderr.strip().splitlines()[-1]
    assert last == "error: --sizes takes sizes like 64x9. Received: 64"
