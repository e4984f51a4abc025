"""The whole program on tiny sizes, in processes of its own; its parts here."""

import importlib
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from pipelines.benchmark import cases, figure, peers, projection, table, workers

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TINY = [
    # Without XLA, which takes seconds to compile each.
    "--peers=ours_graph,log_graph,certified_graph,bound,served,scipy,optax",
    "--sizes=4x3",
    "--iterations=2",
    "--scaling_sizes=2x3",
    "--accuracy_size=2x3",
    "--temperatures=1",
    "--solver_n=4",
    "--matching_sizes=4x3",
    "--serving_sizes=4x4",
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


def content(workdir):
    return json.loads((workdir / "benchmark.json").read_text())


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("benchmark") / "run"
    result = process(*TINY, f"--workdir={workdir}")
    assert result.returncode == 0, result.stderr
    return workdir, result


def test_every_section_is_measured_and_right(finished):
    found = content(finished[0])
    measured = found["cases"]
    assert {case["section"] for case in measured.values()} == {
        "operator",
        "scaling",
        "accuracy",
        "solver",
        "matching",
        "serving",
    }
    assert len(measured) == 2 + 2 + 2 + 2 + 2 + 2
    for case in measured.values():
        assert ("served" if case["section"] == "serving" else "ours_graph") in case[
            "peers"
        ]
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
    trained = measured["matching/match/64x4/digits N = 4"]
    assert 0 <= trained["peers"]["certified_graph"]["proven"] <= 1
    assert found["versions"]["tensorflow"] == tf.__version__
    assert found["machine"]["cores"] >= 1
    assert found["flags"]["repeats"] == 1


def test_tables_and_picture(finished):
    workdir, result = finished
    for words in (
        "Operator, forward + backward",
        "ours, XLA",
        "4x3 L2",
        "share proven",
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
    workdir, _ = finished
    result = process(*TINY, f"--workdir={workdir}")
    assert result.returncode == 1
    assert "pass --resume" in result.stderr
    result = process(*TINY, f"--workdir={workdir}", "--resume", "--repeats=2")
    assert result.returncode == 1
    assert "Received: --repeats=2, the run has 1" in result.stderr


@pytest.mark.parametrize(
    "flag, message",
    [
        ("--sizes=64", "error: --sizes takes sizes like 64x9. Received: 64"),
        ("--peers=nobody", "Received: nobody"),
        ("--dataset=cifar", "cifar"),
    ],
)
def test_a_bad_flag_is_one_sentence(tmp_path, flag, message):
    result = process(flag, f"--workdir={tmp_path / 'run'}")
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ") and message in last
    assert not (tmp_path / "run").exists()


def test_the_reference_is_the_log_loop_and_its_derivative():
    case = cases.Case("operator", "backward", 3, 4, 5, 0.3)
    values = cases.inputs(case, seed=0)
    x = tf.constant(values["logits"], tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(x)
        z = x / 0.3
        for _ in range(5):
            z -= tf.reduce_logsumexp(z, 2, keepdims=True)
            z -= tf.reduce_logsumexp(z, 1, keepdims=True)
        loss = tf.reduce_sum(tf.exp(z) * values["weights"])
    judge = cases.Operator(case, values)
    np.testing.assert_allclose(judge.plan, tf.exp(z), atol=1e-14)
    gradient = tape.gradient(loss, x).numpy()
    assert judge.judge({"result": gradient})["error"] < 1e-12
    assert judge.judge({"result": 1.1 * gradient})["error"] > 0.05


def test_what_is_wrong_or_not_finite_beats_nobody():
    case = cases.Case("operator", "forward", 2, 3, 1, 1.0)
    judge = cases.Operator(case, cases.inputs(case, seed=0))
    broken = judge.plan.copy()
    broken[1, 0, 0] = np.nan
    assert judge.judge({"result": broken}) == {"error": None, "broken_examples": 1}
    timed = lambda error, s: {"error": error, "seconds": {"median": s}}
    measured = {
        "ours_xla": timed(1e-7, 2.0),
        "log_xla": timed(None, 1.0),
        "log_graph": timed(0.1, 1.0),
        "torch": timed(1e-7, 3.0),
        "bound": {"seconds": {"median": 0.5}},
    }
    assert table.ratios(case, measured) == {
        "torch / ours_xla": 1.5,
        "ours_xla / bound": 4.0,
    }


def test_the_picture_of_fast_and_slow_peers(tmp_path):
    found = []
    for section, kind in (("operator", "forward"), ("matching", "match")):
        case = cases.Case(section, kind, 2, 3, 1, 1.0)
        ratios = {"torch / ours_xla": 3.0, "scipy / ours_xla": 0.5}
        found.append((case, {"peers": {}, "ratios": ratios}))
    figure.draw(str(tmp_path / "picture.png"), found)
    picture = tf.io.decode_png((tmp_path / "picture.png").read_bytes())
    assert picture.shape[0] > 100


def test_the_matching_is_judged_by_its_value():
    case = cases.Case("matching", "match", 2, 3)
    values = {"logits": np.stack([np.eye(3), np.eye(3)]).astype(np.float32)}
    judge = cases.Matching(case, values)
    best, worse = [[0, 1, 2]] * 2, [[0, 1, 2], [1, 0, 2]]
    assert judge.judge({"result": np.array(best)}) == {"error": 0.0}
    assert judge.judge({"result": np.array(worse)}) == {"error": 2.0}
    assert judge.judge({"result": np.zeros((2, 3), int)}) == {"error": None}


def test_a_worker_that_dies_says_so_and_is_started_anew(tmp_path):
    worker = workers.Worker("scipy", str(tmp_path), patience=60)
    try:
        worker.wait()
        assert set(worker.versions) == {"scipy"}
        worker._process.kill()
        with pytest.raises(workers.Ended, match="the process ended with -9"):
            worker.ask(do="finish")
        assert worker.usable
        assert worker.ask(do="finish")["held_mib"] >= 0
    finally:
        worker.close()


@pytest.mark.parametrize(
    "name", [n for n, peer in peers.PEERS.items() if not peer.missing()]
)
def test_an_installed_peer_has_what_the_list_says(name, monkeypatch):
    known = peers.PEERS[name]
    if known.module == "torch_peers":
        pytest.skip("PyTorch and TensorFlow do not share a process gladly")
    module = importlib.import_module(f"pipelines.benchmark.peers.{known.module}")
    if known.module == "serving_peers":
        # The first of them would disable XLA in this process.
        monkeypatch.setattr(module.c_api, "Runtime", lambda *_, **__: None)
    peer = module.PEERS[name]()
    assert all(callable(getattr(peer, kind)) for kind in (*known.kinds, "arrays"))


@pytest.mark.slow
def test_the_scaling_of_training_is_measured(tmp_path):
    result = process("--scaling", "--quick", "--repeats=2", f"--workdir={tmp_path}")
    assert result.returncode == 0, result.stderr
    found = json.loads((tmp_path / "scaling.json").read_text())["cases"]
    assert [(x["group"], x["grown"]) for x in found] == [
        ("batch", 2),
        ("batch", 4),
        ("workers", 1),
        ("workers", 2),
    ]
    for case in found:
        assert len(case["seconds_of_bursts"]) == 2
        assert case["seconds"] > 0 and case["memory_mib"] > 0
        # At least a product of every weight with an input, and an addition.
        assert case["forward_flops"] > 2 * case["parameters"]
        assert f"{case['parameters']:,}" in result.stdout


def test_an_epoch_of_many_accelerators_is_computed():
    case = {
        "image_size": 10,
        "batch_size": 100,
        "parameters": 1000,
        "forward_flops": 2e6,
    }
    assumed = projection.Assumed(flops=6e8, link=4e4, decoded=50, examples=10)
    one, two = (projection.epoch(case, count, assumed) for count in (1, 2))
    # A second of computing a step; the gradients, 4,000 bytes, a tenth of one.
    assert one["examples per second, by these"] == pytest.approx(100)
    assert two["examples per second, by these"] == pytest.approx(200 / 1.1)
    assert two["all-reduced bytes, a step and accelerator"] == 4000
    assert two["steps"] == pytest.approx(1_281_167 / 200)
    assert one["cores that decode, to keep up"] == pytest.approx(2)
    assert one["cores that make batches, to keep up"] == pytest.approx(10)
    assert one["batch bytes per second, to keep up"] == pytest.approx(100 * 2400)
    assert one["operations"] == two["operations"] == 6e6 * 1_281_167
