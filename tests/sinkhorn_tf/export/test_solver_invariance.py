"""An example's answer does not depend on its neighbours in the batch."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import sinkhorn_tf as st

N, BATCH = 9, 13


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return st.networks.jigsaw_network(
        N, (3, 3, 1), "context", width=8, depth=1, heads=2
    )


@pytest.fixture(scope="module")
def solver(model, tmp_path_factory):
    path = st.export_solver(model, tmp_path_factory.mktemp("x") / "solver", n_iters=20)
    return tf.saved_model.load(path).signatures


def logits(rng, batch=BATCH):
    """Random ones, some with equal rows, some on a grid of few values."""
    x = rng.normal(size=(batch, N, N)).astype(np.float32)
    x[::3, 4] = x[::3, 7] = x[::3, 2]
    x[1::3] = np.round(x[1::3])
    return x


def pieces(rng, batch=BATCH):
    x = rng.uniform(size=(batch, N, 3, 3, 1)).astype(np.float32)
    x[::3, [1, 5, 6]] = 0
    return x


@pytest.mark.parametrize(
    "signature, name, draw",
    [("match", "logits", logits), ("serving_default", "pieces", pieces)],
)
def test_same_bits_whatever_the_neighbours_are(rng, solver, signature, name, draw):
    solve = lambda x: {
        k: v.numpy() for k, v in solver[signature](**{name: tf.constant(x)}).items()
    }
    mine = draw(rng)
    expected = solve(mine)
    neighbours = [
        draw(rng),
        np.zeros_like(mine),
        np.full_like(mine, np.nan),
        np.full_like(mine, np.inf),
        np.full_like(mine, -np.inf),
        np.full_like(mine, 3e38),
        np.full_like(mine, 1e-44),
        mine[::-1].copy(),
    ]
    for other in neighbours:
        for keep in (np.arange(BATCH) % 2 == 0, np.arange(BATCH) == 5):
            batch = np.where(keep.reshape([-1] + [1] * (mine.ndim - 1)), mine, other)
            for key, value in solve(batch).items():
                np.testing.assert_array_equal(
                    value[keep], expected[key][keep], err_msg=key
                )


def test_other_batch_sizes_agree(rng, model, solver):
    mine = pieces(rng)
    expected = solver["serving_default"](pieces=tf.constant(mine))
    scores = model(mine).numpy().astype(np.float64)
    for size in (1, 2, 5):
        actual = solver["serving_default"](pieces=tf.constant(mine[:size]))
        for key in ("value", "plan", "gap"):
            np.testing.assert_allclose(actual[key], expected[key][:size], atol=1e-5)
        value = np.take_along_axis(
            scores[:size], actual["permutation"].numpy()[..., None], 2
        ).sum((1, 2))
        np.testing.assert_allclose(value, expected["value"][:size], atol=1e-5)
        unique = np.arange(size) % 3 > 0
        np.testing.assert_array_equal(
            actual["permutation"].numpy()[unique],
            expected["permutation"].numpy()[:size][unique],
        )
