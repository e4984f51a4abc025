"""Warm-up requests: what is written, and what is refused before anything is."""

import os
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import sinkhorn_tf as st
from sinkhorn_tf.export import _interface, _signatures

N = 3


@pytest.fixture(scope="module")
def model():
    items = keras.Input((N, 2), name="pieces")
    return keras.Model(items, keras.layers.Dense(N)(items))


def read(path):
    log = pytest.importorskip(
        "tensorflow_serving.apis.prediction_log_pb2",
        reason="needs tensorflow-serving-api",
    )
    name = os.path.join(path, "assets.extra", "tf_serving_warmup_requests")
    for record in tf.data.TFRecordDataset(name):
        request = log.PredictionLog.FromString(record.numpy()).predict_log.request
        inputs = {k: tf.make_ndarray(x) for k, x in request.inputs.items()}
        yield request.model_spec, inputs


def test_items_become_a_request_for_each_signature(model, tmp_path, rng):
    pytest.importorskip("tensorflow_serving", reason="needs tensorflow-serving-api")
    items = rng.normal(size=(5, N, 2)).astype(np.float32)
    path = st.export_solver(
        model, tmp_path / "solver", n_iters=1, warmup_examples=items
    )
    solver = tf.saved_model.load(path).signatures
    requests = {}
    for spec, inputs in read(path):
        assert spec.name == "solver"
        requests[spec.signature_name] = inputs
        answer = solver[spec.signature_name](
            **{k: tf.constant(x) for k, x in inputs.items()}
        )
        assert answer["permutation"].shape == (5, N)
    assert set(requests) == {
        "serving_default",
        "match",
        "match_at_temperature",
        "match_masked",
    }
    np.testing.assert_array_equal(requests["serving_default"]["pieces"], items)


def test_nested_lists_are_items_too(model, rng):
    items = rng.normal(size=(2, N, 2)).astype(np.float32)
    solver = _signatures.Solver(model, _interface.to_interface(model), 1.0, 20)
    actual, expected = (solver.warmup_requests(x) for x in (items.tolist(), items))
    np.testing.assert_array_equal(actual["serving_default"]["pieces"], items)
    np.testing.assert_array_equal(actual["match"]["logits"], model(items))
    np.testing.assert_array_equal(
        expected["match_at_temperature"]["logits"], model(items)
    )


def test_everything_exists_in_the_requests_of_a_model_with_masks(rng):
    present = keras.Input((None,), dtype="bool", name="row_mask")
    items, places = keras.Input((None, 2), name="pieces"), keras.layers.Dense(N)
    model = keras.Model([present, items], places(items))
    solver = _signatures.Solver(model, _interface.to_interface(model), 1.0, 20)
    requests = solver.warmup_requests(rng.normal(size=(2, 5, 2)).astype(np.float32))
    assert requests["serving_default"]["row_mask"].numpy().tolist() == [[True] * 5] * 2
    assert requests["serving_default"]["pieces"].shape == (2, 5, 2)
    shapes = {name: x.shape for name, x in requests["match_masked"].items()}
    assert shapes == {"logits": (2, 5, N), "row_mask": (2, 5), "col_mask": (2, N)}
    masks = [requests["match_masked"][name] for name in ("row_mask", "col_mask")]
    assert all(mask.numpy().all() for mask in masks)


@pytest.mark.parametrize(
    "examples, message",
    [
        ({"nothing": {}}, "Received: 'nothing'"),
        ({"match": {"scores": np.eye(N)[None]}}, "Received: scores"),
        ({"match": {"logits": np.zeros([2, 4, 4], np.float32)}}, r"\(2, 4, 4\)"),
        ({"match": {"logits": np.zeros([0, N, N], np.float32)}}, r"\(0, 3, 3\)"),
        ({"match": {"logits": np.full([1, N, N], "x")}}, "Received: <U1"),
    ],
)
def test_a_request_that_would_keep_the_server_from_loading(
    model, tmp_path, examples, message
):
    pytest.importorskip("tensorflow_serving", reason="needs tensorflow-serving-api")
    with pytest.raises(ValueError, match=message):
        st.export_solver(
            model, tmp_path / "solver", n_iters=1, warmup_examples=examples
        )
    assert not (tmp_path / "solver").exists()


def test_says_what_to_install(model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_serving.apis", None)
    with pytest.raises(ImportError, match=r"pip install 'sinkhorn_tf\[serving\]'"):
        st.export_solver(
            model, tmp_path / "solver", n_iters=1, warmup_examples=tf.zeros([1, N, 2])
        )
    assert not (tmp_path / "solver").exists()
