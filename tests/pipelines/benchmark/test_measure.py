"""Peers take turns: here they are functions of this process."""

import numpy as np
import pytest

from pipelines.benchmark import cases
from pipelines.benchmark.config import BenchmarkConfig
from pipelines.benchmark.measure import measure
from pipelines.benchmark.worker_pool import Ended


class Peer:
    """A worker that knows the answer, and ends at its burst number `last`."""

    is_usable = True

    def __init__(self, name, plan, log, last=None):
        self.name = name
        self._plan = plan
        self._log = log
        self._last = last

    def start(self):
        pass

    def close(self):
        self._log.append((self.name, "close"))

    def ask(self, do, kind=None, folder=None, seconds=None):
        self._log.append((self.name, do))
        if do == "prepare":
            if self._plan is None:
                return {"unsupported": "it is too old"}
            if kind != "bound":
                np.savez(f"{folder}/{self.name}.npz", result=self._plan)
            return {"first_call_seconds": 1.0, "memory_mib": 2.0}
        if do == "burst":
            if self._log.count((self.name, do)) == self._last:
                raise Ended("the process ended with -9")
            return {"seconds": [1.0, 2.0, 4.0]}
        return {"held_mib": 300 if self.name == "bound" else 0}


@pytest.fixture
def case():
    return cases.Case("operator", "forward", 2, 3, 4, 1.0)


def measured(case, peers, folder, **settings):
    values = cases.inputs(case, seed=0)
    plan = cases.Operator(case, values).plan
    log = []
    workers = {
        name: Peer(name, plan if is_able else None, log, last)
        for name, (is_able, last) in peers.items()
    }
    config = BenchmarkConfig(burst=0.0, **settings)
    return measure(case, values, workers, str(folder), config), log


def test_peers_take_turns(case, tmp_path):
    peers = {"ours_xla": (True, None), "bound": (True, None), "torch": (False, None)}
    result, log = measured(case, peers, tmp_path, repeats=2)
    assert log == [
        ("ours_xla", "prepare"),
        ("bound", "prepare"),
        ("torch", "prepare"),
        *[("ours_xla", "burst"), ("bound", "burst")] * 2,
        ("ours_xla", "finish"),
        ("bound", "finish"),
        # It kept more memory than its next case should find.
        ("bound", "close"),
        ("torch", "finish"),
    ]
    seconds = {
        "median": 2.0,
        "lower_quartile": 2.0,
        "upper_quartile": 2.0,
        "p99_of_calls": pytest.approx(4.0),
        "bursts": 2,
    }
    assert list(result.peers["ours_xla"]) == [
        "first_call_seconds",
        "memory_mib",
        "error",
        "residual",
        "seconds",
    ]
    assert result.peers["ours_xla"]["error"] == 0
    assert result.peers["ours_xla"]["seconds"] == seconds
    assert result.peers["bound"].keys() == {
        "first_call_seconds",
        "memory_mib",
        "seconds",
    }
    assert result.peers["torch"] == {"unsupported": "it is too old"}
    assert result.reference.keys() == {"reference_residual"}


def test_a_peer_that_ends_has_no_other_result(case, tmp_path, capsys):
    peers = {"ours_xla": (True, None), "torch": (True, 2)}
    result, log = measured(case, peers, tmp_path, repeats=3)
    assert result.peers["torch"] == {"failed": "the process ended with -9"}
    assert log.count(("torch", "burst")) == 2
    assert log.count(("ours_xla", "burst")) == 3
    assert result.peers["ours_xla"]["seconds"]["bursts"] == 3
    said = capsys.readouterr().err
    assert said == f"peer torch, {case.key}: the process ended with -9\n"


def test_a_slow_peer_has_three_bursts(case, tmp_path):
    peers = {"ours_xla": (True, None)}
    result, _ = measured(case, peers, tmp_path, repeats=9, budget=0.0)
    assert result.peers["ours_xla"]["seconds"]["bursts"] == 3


def test_accuracy_is_not_timed(tmp_path):
    case = cases.Case("accuracy", "forward", 2, 3, 4, 1.0)
    result, log = measured(case, {"ours_xla": (True, None)}, tmp_path)
    assert "seconds" not in result.peers["ours_xla"]
    assert ("ours_xla", "burst") not in log
