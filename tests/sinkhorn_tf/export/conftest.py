"""A small network, and a solver made of it, in two versions."""

import keras
import pytest
import tensorflow as tf

import sinkhorn_tf as st
from tests.sinkhorn_tf.export.small_networks import N, network


@pytest.fixture(scope="package")
def model():
    keras.utils.set_random_seed(0)
    return network()


@pytest.fixture(scope="package")
def path(model, tmp_path_factory):
    """The model directory, with two versions."""
    # A test expects this name in an error, whatever other tests call their directories.
    path = tmp_path_factory.mktemp("versions") / "solver0"
    twice = (
        lambda solve, pieces: {"twice": 2 * solve(pieces)["restored"]},
        tf.TensorSpec([None, N, 3], name="pieces"),
    )
    for _ in range(2):
        st.export_solver(
            model,
            path,
            temperature=0.5,
            n_iters=3,
            signatures={"twice": twice},
            assets_extra={"metrics.json": '{"proportion_wrong": 0.1}'},
        )
    return path


@pytest.fixture(scope="package")
def solver(path):
    return tf.saved_model.load(str(path / "1")).signatures
