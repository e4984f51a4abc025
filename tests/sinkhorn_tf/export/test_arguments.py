"""A model or an argument that cannot be exported is one sentence, before a file is."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf

import sinkhorn_tf as st
from sinkhorn_tf.export import _servable
from tests.sinkhorn_tf.export.small_networks import N, network


def unbuilt():
    return keras.Sequential([keras.layers.Dense(N)])


def of_outputs(*functions):
    pieces = keras.Input((N, 3), name="pieces")
    logits = keras.layers.Dense(N)(pieces)
    return keras.Model(pieces, [function(logits) for function in functions])


SPEC = tf.TensorSpec([None, N, 3], name="pieces")
SAME = lambda x: x


@pytest.mark.parametrize(
    "make, options, sentence",
    [
        (unbuilt, {}, "Received: <Sequential"),
        (lambda: "model", {}, "Received: 'model'"),
        (lambda: of_outputs(lambda x: x[:, :2]), {}, "with N = 2 as in the logits"),
        (lambda: of_outputs(lambda x: x[:, 0]), {}, "(None, 4)"),
        (lambda: of_outputs(SAME, lambda x: x[:, :, :1]), {}, "(None, 4, 1)"),
        (lambda: of_outputs(SAME, SAME, SAME), {}, "(None, 4, 4), (None, 4, 4), "),
        (network, {"version": -1}, "Received: -1"),
        (network, {"version": 2.5}, "Received: 2.5"),
        (network, {"signatures": {"match": (SAME, SPEC)}}, "Received: 'match'"),
        (
            network,
            {"signatures": {"bare": (lambda solve, x: x, SPEC)}},
            "signature bare has to return a dict",
        ),
    ],
)
def test_what_cannot_be_exported_is_one_sentence(make, options, sentence, tmp_path):
    with pytest.raises((TypeError, ValueError), match=re.escape(sentence)) as caught:
        st.export_solver(make(), tmp_path / "solver", **options)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "solver").exists()


def signature(function=lambda solve, x: {"y": x}, spec=None, name="more"):
    return {"signatures": {name: (function, spec or tf.TensorSpec([None], name="x"))}}


TWICE = [tf.TensorSpec([None], name="a.b"), tf.TensorSpec([None], name="a/b")]


@pytest.mark.parametrize(
    "options, sentence",
    [
        ({"version": True}, "version must be an int >= 0. Received: True"),
        ({"version": "1"}, "Received: '1'"),
        ({"version": np.int64(-1)}, "Received: np.int64(-1)"),
        ({"temperature": "a"}, "Received: temperature='a'"),
        ({"temperature": 2 + 1j}, "Received: temperature=(2+1j)"),
        ({"temperature": True}, "Received: temperature=True"),
        ({"temperature": float("nan")}, "Received: temperature=nan"),
        ({"temperature": [0.1, 0.2]}, "Received: temperature=[0.1, 0.2]"),
        ({"temperature": np.zeros(())}, "Received: temperature=array(0.)"),
        ({"n_iters": 1.5}, "Received: n_iters=1.5"),
        ({"n_iters": -1}, "Received: n_iters=-1"),
        ({"jit_variant": "no"}, "Received: 'no'"),
        ({"assets_extra": ["x"]}, "Received: ['x']"),
        ({"assets_extra": {"a": 1}}, "Received: 'a': int"),
        ({"assets_extra": {"../a": "x"}}, "Received: '../a'"),
        ({"signatures": [1]}, "Received: [1]"),
        ({"signatures": {"more": 1}}, "Received: 1"),
        (signature(name="variables"), "Received: 'variables'"),
        (signature(name="weights"), "Received: 'weights'"),
        (signature(spec=3), "Received: (<function"),
        (signature(function=3), "Received: (3, TensorSpec"),
        (signature(spec=TWICE), "Received: a_b, a_b"),
        (signature(spec=tf.TensorSpec([None], name="größe")), "Received: 'größe'"),
        (
            {"warmup_examples": [[[1, 2, 3], [1]]]},
            "Received: lists of different lengths",
        ),
        ({"warmup_examples": [[["a"]]]}, "Received: <U1"),
        ({"path": 3}, "Received: 3"),
        ({"path": ""}, "Received: ''"),
    ],
)
def test_a_bad_argument_is_one_sentence(
    model, options, sentence, tmp_path, monkeypatch
):
    # Nothing of this needs what a signature computes.
    nothing = lambda functions: _servable.Resources([], [])
    monkeypatch.setattr(_servable, "resources", nothing)
    options = {"path": tmp_path / "solver", **options}
    with pytest.raises((TypeError, ValueError), match=re.escape(sentence)) as caught:
        st.export_solver(model, **options)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "solver").exists()
