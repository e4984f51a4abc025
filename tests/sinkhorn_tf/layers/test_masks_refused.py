"""Masks that layers refuse, when they are called or when a model is built."""

import inspect

import keras
import numpy as np
import pytest

import sinkhorn_tf as st

B, N, M = 3, 5, 4
LAYERS = [st.SinkhornLayer, st.GumbelSinkhorn, st.Matching]


@pytest.fixture
def logits(rng):
    return rng.normal(size=(B, N, M)).astype(np.float32)


def test_a_mask_of_keras_that_is_not_of_the_items_is_an_error(rng):
    x = rng.normal(size=(2, 2, N, M)).astype(np.float32)
    layer = st.SinkhornLayer()
    for shape in [(2, N), (2, 2, M)]:
        with pytest.raises(
            ValueError, match="pass row_mask instead. Received: mask.sh"
        ):
            layer(x, mask=np.ones(shape, bool))
    rows = np.ones((2, 2, N), bool)
    assert layer(x, mask=np.ones((2, N), bool), row_mask=rows).shape == x.shape


def test_bad_masks_are_one_sentence(logits):
    for layer in (make() for make in LAYERS):
        with pytest.raises(ValueError, match="row_mask must have shape .* Received: "):
            layer(logits, row_mask=np.ones((B, M), bool))
        with pytest.raises(TypeError, match="col_mask must be booleans.* Received: "):
            layer(logits, col_mask=np.ones((B, M), np.float32))


@pytest.mark.parametrize("make", LAYERS)
def test_bad_masks_of_a_model_are_refused_when_it_is_built(make):
    logits = keras.Input((N, M))
    for name, size, other in [("row_mask", N, M), ("col_mask", M, N)]:
        with pytest.raises(ValueError) as caught:
            make()(logits, **{name: keras.Input((size + 2,), dtype="bool")})
        message = str(caught.value)
        assert f"{name} must have shape" in message and "swapped" not in message
        assert f"Received: {name}.shape=(None, {size + 2}), logits.shape=" in message
        swapped = (
            f"{name} must have .* \\(row_mask and col_mask swapped\\?\\). Received: "
        )
        with pytest.raises(ValueError, match=swapped):
            make()(logits, **{name: keras.Input((other,), dtype="bool")})
        with pytest.raises(TypeError, match=f"{name} must be booleans.*=float32"):
            make()(logits, **{name: keras.Input((size,))})


@pytest.mark.parametrize("make", LAYERS)
def test_a_mask_for_positions_needs_as_many_as_items(make, logits):
    assert inspect.signature(make).parameters["mask_positions"].default is False
    layer, row_mask = make(mask_positions=True), np.ones((B, N), bool)
    for kwargs, source in [
        ({"mask": row_mask}, "Keras' mask of the items"),
        ({"row_mask": row_mask}, "the row_mask"),
    ]:
        with pytest.raises(ValueError, match=f"takes {source} .*pass a col_mask") as e:
            layer(logits, **kwargs)
        assert "Received: mask_positions=True, logits.shape=(3, 5, 4)" in str(e.value)
    with pytest.raises(ValueError, match="takes Keras' mask of the items for the pos"):
        layer(keras.layers.Masking()(keras.Input((N, M))))
    columns = keras.Input((M,), dtype="bool")
    masked = keras.layers.Masking()(keras.Input((N, M)))
    assert layer(masked, col_mask=columns).shape == (None, N, M)
