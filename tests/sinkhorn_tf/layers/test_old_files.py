"""Files that earlier versions of the library wrote are loaded."""

import pathlib

import keras
import numpy as np
import pytest

import sinkhorn_tf as st
from tests.sinkhorn_tf.layers.one_layer import N

DATA = pathlib.Path(__file__).parent / "data"


@pytest.mark.parametrize("kind", ["keras", "weights.h5"])
def test_files_of_version_0_1_load(kind):
    if kind == "keras":
        model = keras.saving.load_model(DATA / "layers_0_1.keras", safe_mode=True)
    else:
        inputs = keras.Input((N, N), name="logits")
        layers = [
            st.SinkhornLayer(1.0, n_iters=2, name="sinkhorn"),
            st.GumbelSinkhorn(1.0, 0.5, 2, n_iters=1, seed=3, name="gumbel"),
        ]
        for layer in layers:
            layer.temperature = 0.9
        model = keras.Model(inputs, [layer(inputs) for layer in layers])
        model.load_weights(DATA / "layers_0_1.weights.h5")
    temperatures = [
        model.get_layer(name).get_config()["temperature"]
        for name in ("sinkhorn", "gumbel")
    ]
    assert temperatures == [0.4, 0.7]
    x = np.float32([[[0, 1, 2], [2, 0, 1], [1, 1, 0]]])
    sinkhorn, noisy = model(x, training=True)
    # As version 0.1 gave them.
    np.testing.assert_allclose(
        sinkhorn[0, 0], [0.00367262, 0.15587841, 0.8695323], atol=1e-6
    )
    np.testing.assert_allclose(
        noisy[0, :, 0],
        [[0.05351538, 0.1303008, 0.686568], [0.07069656, 0.34455615, 0.6498885]],
        atol=1e-6,
    )
