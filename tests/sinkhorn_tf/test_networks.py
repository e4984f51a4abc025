import keras
import numpy as np
import pytest

from sinkhorn_tf import networks


@pytest.fixture(scope="module")
def network():
    return networks.jigsaw_network(9, (6, 5, 3), filters=8, kernel_size=3)


def draw_pieces(rng, batch=2):
    return rng.random((batch, 9, 6, 5, 3)).astype(np.float32)


def test_shapes(rng, network):
    assert network.input_shape == (None, 9, 6, 5, 3)
    assert network.output_shape == (None, 9, 9)
    for batch in (1, 4):
        assert network(draw_pieces(rng, batch)).shape == (batch, 9, 9)


def test_scrambling_pieces_permutes_rows_of_the_logits_and_nothing_else(rng, network):
    pieces, order = draw_pieces(rng), rng.permutation(9)
    logits = network(pieces).numpy()
    scrambled = network(pieces[:, order]).numpy()
    np.testing.assert_allclose(scrambled, logits[:, order], atol=1e-6)
    assert np.abs(scrambled - logits).max() > 1e-3


def test_one_convolution_and_one_dense_layer(network):
    parameters = 8 * (3 * 3 * 3 + 1) + 9 * (3 * 3 * 8 + 1)
    assert network.count_params() == parameters


def test_unknown_kind_is_an_error():
    with pytest.raises(ValueError, match="Received: kind='deep'"):
        networks.jigsaw_network(9, (6, 5, 3), kind="deep")


def test_save_and_load_in_safe_mode(rng, network, tmp_path):
    network.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras", safe_mode=True)
    pieces = draw_pieces(rng)
    np.testing.assert_array_equal(loaded(pieces), network(pieces))
    assert loaded.inputs[0].name == "pieces"
