"""Models of one layer on logits of N items, and the plans that they should give."""

import keras
import pytest

import sinkhorn_tf as st
from tests.sinkhorn_tf.layers.references import plain_sinkhorn

N = 3
both = pytest.mark.parametrize("layer_class", [st.SinkhornLayer, st.GumbelSinkhorn])


def model_of(layer):
    inputs = keras.Input((N, N))
    model = keras.Model(inputs, layer(inputs))
    model.compile("sgd", "mse", jit_compile=False)
    return model


def plan(x, t, n_iters=2):
    return plain_sinkhorn(x, t, n_iters)


def predict(model, x):
    return model.predict(x, verbose=0)
