"""The peers that are installed."""

import importlib
import re
import types

import pytest

from pipelines.benchmark import cases, peers, plan
from pipelines.benchmark.config import BenchmarkConfig
from pipelines.benchmark.peers import eager_peers


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


# The processes of the program cover ours, and XLA takes seconds to compile each.
OTHERS = [
    (name, kind)
    for name, peer in peers.PEERS.items()
    if name == "log_graph" or peer.module in ("numpy_peers", "jax_peers")
    if not peer.missing()
    for kind in cases.JUDGES
    if kind in peer.kinds and kind not in ("serve", "solve", "match_sizes")
]

SHAPES = [
    {"m": 2},
    {"m": 5, "smallest": 1},
    {"m": 5, "problem": "masses"},
    {"m": 5, "problem": "dustbins"},
    {"m": 5, "problem": "balanced"},
    {"m": 2, "problem": "balanced"},
]


# OTT imports it.
@pytest.mark.filterwarnings("ignore:JAXopt is no longer:DeprecationWarning")
@pytest.mark.parametrize(
    "name, kind, fields",
    [
        (name, kind, fields)
        for name, kind in OTHERS
        for fields in SHAPES
        if not (kind == "match" and "problem" in fields)
        # To the peers in JAX, which compile for seconds, these are masses too.
        if not (
            "jax" in peers.PEERS[name].module and fields.get("problem") == "balanced"
        )
    ],
)
def test_a_peer_solves_a_problem_or_says_why_not(name, kind, fields):
    numbers = {} if kind == "match" else {"iterations": 20, "temperature": 1.0}
    case = cases.Case("shapes", kind, 3, 4, **numbers, **fields)
    values = cases.inputs(case, seed=0)
    module = importlib.import_module(
        f"pipelines.benchmark.peers.{peers.PEERS[name].module}"
    )
    peer = module.PEERS[name]()
    try:
        result = getattr(peer, kind)(types.SimpleNamespace(**values))()
    except peers.Unsupported as reason:
        assert re.search("has no (sets of different sizes|masses)", str(reason))
        return
    arrays = peer.arrays(result)
    is_pygmtools_with_dustbins = name == "pygmtools" and "unmatched_score" in values
    assert ("free_dustbins" in arrays) == is_pygmtools_with_dustbins
    error = cases.JUDGES[kind](case, values).judge(arrays)["error"]
    if (name, kind, "smallest" in fields) == ("ott_kernel", "backward", True):
        # Masses of 0 make its gradient NaN.
        assert error is None
    else:
        assert error < 1e-5


@pytest.mark.parametrize("kind", ["forward_sizes", "match_sizes", "certify_sizes"])
def test_calls_of_many_sizes_are_right_and_without_a_warning(kind):
    settings = {"eager_sizes": ["2x2x9"], "sections": ["eager"]}
    planned = plan.planned_cases(BenchmarkConfig(**settings))
    (case,) = [case for case in planned if case.kind == kind]
    values = cases.inputs(case, seed=0)
    assert values["row_mask"].sum(1).tolist() == sorted(2 * [*range(2, 10)])
    peer = eager_peers.PEERS["ours_eager_graph"]()
    run = getattr(peer, kind)(types.SimpleNamespace(**values))
    assert run.calls == 8
    arrays = peer.arrays(run())
    assert arrays["warnings"] == 0
    assert cases.JUDGES[kind](case, values).judge(arrays)["error"] < 1e-5
