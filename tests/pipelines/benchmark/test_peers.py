"""The peers that are installed."""

import importlib
import types

import pytest

from pipelines.benchmark import cases, peers


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
    if kind in peer.kinds and kind not in ("serve", "solve")
]


# OTT imports it.
@pytest.mark.filterwarnings("ignore:JAXopt is no longer:DeprecationWarning")
@pytest.mark.parametrize("m, smallest", [(5, None), (2, None), (5, 1)])
@pytest.mark.parametrize("name, kind", OTHERS)
def test_a_peer_solves_sets_of_different_sizes_or_says_why_not(name, kind, m, smallest):
    numbers = {} if kind == "match" else {"iterations": 20, "temperature": 1.0}
    case = cases.Case("shapes", kind, 3, 4, **numbers, m=m, smallest=smallest)
    values = cases.inputs(case, seed=0)
    module = importlib.import_module(
        f"pipelines.benchmark.peers.{peers.PEERS[name].module}"
    )
    peer = module.PEERS[name]()
    try:
        result = getattr(peer, kind)(types.SimpleNamespace(**values))()
    except peers.Unsupported as reason:
        assert "no sets of different sizes" in str(reason)
        return
    error = cases.JUDGES[kind](case, values).judge(peer.arrays(result))["error"]
    if (name, kind, smallest) == ("ott_kernel", "backward", 1):
        # Masses of 0 make its gradient NaN.
        assert error is None
    else:
        assert error < 1e-5
