"""The peers that are installed."""

import importlib

import pytest

from pipelines.benchmark import peers


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
