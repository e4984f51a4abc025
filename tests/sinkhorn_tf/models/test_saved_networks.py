"""Whole networks in `.keras` files: those of version 0.1, and those of today."""

import pathlib

import keras
import numpy as np

import sinkhorn_tf as st
import sinkhorn_tf.networks
from sinkhorn_tf.networks import jigsaw_network

DATA = pathlib.Path(__file__).parent / "data"
# What version 0.1 answered for `pieces()`, the first piece of each puzzle.
FIRST_ROWS = [
    [1.7879846, -1.9068029, -0.1601066, 1.7375687],
    [2.3953819, -1.1116612, 0.2171218, 1.7605152],
]


def pieces():
    values = np.arange(2 * 4 * 4 * 4, dtype=np.float32) % 7 / 7
    return values.reshape(2, 4, 4, 4, 1)


def small_network():
    return jigsaw_network(4, (4, 4, 1), "context", width=8, depth=1, heads=2)


def test_a_network_of_version_0_1_loads():
    path = DATA / "jigsaw_context_0_1.keras"
    network = keras.saving.load_model(path, safe_mode=True)
    assert isinstance(network.get_layer("edges"), st.layers.EdgeFeatures)
    assert isinstance(network.get_layer("attention_1"), st.layers.PairAttention)
    logits = network(pieces())
    np.testing.assert_allclose(logits[:, 0], FIRST_ROWS, atol=1e-5)
    # Its weights fit the network that is built today.
    today = small_network()
    today.set_weights(network.get_weights())
    np.testing.assert_array_equal(today(pieces()), logits)


def test_a_network_of_today_loads(tmp_path):
    network = small_network()
    network.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras", safe_mode=True)
    np.testing.assert_array_equal(loaded(pieces()), network(pieces()))


def test_the_former_name_of_models_stays():
    assert sinkhorn_tf.networks is st.networks
    for name in st.models.__all__:
        assert getattr(st.networks, name) is getattr(st.models, name)


def test_a_network_loads_where_only_the_former_name_is_imported(tmp_path, run_python):
    network = small_network()
    network.save(tmp_path / "network.keras")
    np.save(tmp_path / "pieces.npy", pieces())
    result = run_python(
        """
        import sys
        import keras, numpy as np
        import sinkhorn_tf.networks

        network = keras.saving.load_model(sys.argv[1] + "/network.keras")
        np.save(sys.argv[1] + "/logits.npy", network(np.load(sys.argv[1] + "/pieces.npy")))
        """,
        tmp_path,
    )
    assert result.returncode == 0, result.stderr
    logits = np.load(tmp_path / "logits.npy")
    np.testing.assert_allclose(logits, network(pieces()), atol=1e-6)
