"""Which inputs and outputs of a model are the items, the logits and the plan."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.optimize import linear_sum_assignment

import sinkhorn_tf as st
from sinkhorn_tf.export import _interface
from tests.sinkhorn_tf.export.small_networks import N, draw_items


def ends(make, n=N):
    """A model from pieces to the outputs `make(pieces, logits)`."""
    pieces = keras.Input((n, 3), name="pieces")
    return keras.Model(pieces, make(pieces, keras.layers.Dense(N)(pieces)))


def soft(logits, **options):
    return st.SinkhornLayer(0.1, name="soft", **options)(logits)


def draws(logits):
    return st.GumbelSinkhorn(n_samples=2, name="soft")(logits)


def square(pieces):
    """Items of N numbers each, which could be taken for logits."""
    return keras.layers.Dense(N)(pieces)


def nested(make):
    inner, outer = ends(make), keras.Input((N, 3), name="pieces")
    return keras.Model(outer, inner(outer))


def handed_on(plan):
    """Through an identity, and through a nested model of nothing but identities."""
    entry = keras.Input((N, N))
    through = keras.Model(entry, keras.layers.Activation("linear")(entry))
    return keras.ops.transpose(
        through(through(keras.layers.Identity()(plan))), (0, 2, 1)
    )


WAY = "keras.Model(model.inputs, model.get_layer('soft').input)"


@pytest.mark.parametrize(
    "make, sentence",
    [
        (lambda: ends(lambda _, x: soft(x)), WAY),
        (lambda: ends(lambda _, x: soft(x, hard=True)), WAY),
        (lambda: ends(lambda _, x: {"scores": soft(x)}), WAY),
        (lambda: ends(lambda _, x: [soft(x), x]), WAY),
        (lambda: ends(lambda _, x: {"logits": soft(x), "plan": x}), WAY),
        (lambda: ends(lambda _, x: draws(x)[:, 0]), WAY),
        (lambda: ends(lambda _, x: keras.ops.mean(draws(x), axis=1)), WAY),
        (lambda: ends(lambda _, x: handed_on(soft(x))), WAY),
        (lambda: ends(lambda a, x: st.Restore()([soft(x), a])), WAY),
        (lambda: ends(lambda a, x: st.Restore()([soft(x), square(a)])), WAY),
        (lambda: ends(lambda _, x: st.Matching(name="soft")(x)), WAY),
        (
            lambda: keras.Sequential(
                [*ends(lambda _, x: x).layers, st.SinkhornLayer(name="soft")]
            ),
            WAY,
        ),
        (lambda: nested(lambda _, x: soft(x)), "the output of SinkhornLayer 'soft'"),
        (
            lambda: ends(lambda a, x: [x, st.Restore()([soft(x), square(a)])]),
            "The second output of the model has to be a plan",
        ),
    ],
)
def test_a_permutation_is_not_taken_for_logits(make, sentence, tmp_path):
    model = make()
    with pytest.raises(ValueError, match=re.escape(sentence)) as caught:
        st.export_solver(model, tmp_path / "solver")
    assert "\n" not in str(caught.value)
    if sentence == WAY:
        (tensor,) = model.get_layer("soft")._inbound_nodes[0].input_tensors
        advised = eval(WAY, {"keras": keras, "model": model})
        assert advised.outputs == [tensor]
        assert _interface.to_interface(advised).n == N


@pytest.mark.parametrize(
    "make, sentence",
    [
        (lambda _, x: {"a": x, "b": soft(x)}, "\"plan\". Received: 'a', 'b'"),
        (lambda _, x: {"logits": x, "soft": soft(x)}, "Received: 'logits', 'soft'"),
        (lambda _, x: {"plan": soft(x)}, "Received: 'plan'"),
        (lambda _, x: {"logits": x, "plan": soft(x), "z": x}, "'z': (None, 4, 4)"),
        (lambda _, x: {"a": {"b": x}}, "{'a': {'b': (None, 4, 4)}}"),
        (lambda _, x: [[x], x], "[(None, 4, 4)], (None, 4, 4)"),
    ],
)
def test_outputs_need_names(make, sentence, tmp_path):
    with pytest.raises(ValueError, match=re.escape(sentence)) as caught:
        st.export_solver(ends(make), tmp_path / "solver")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "outputs",
    [
        lambda x, plan: {"scores": x, "plan": plan},
        lambda x, plan: {"plan": plan, "logits": x},
        lambda x, plan: {"zeros": x},
        lambda x, plan: [x],
        lambda x, plan: (x, plan),
    ],
)
@pytest.mark.parametrize(
    "inputs",
    [
        lambda pieces, digit: {"pieces": pieces, "digit": digit},
        lambda pieces, digit: {"digit": digit, "pieces": pieces},
        lambda pieces, digit: [digit, pieces],
        lambda pieces, digit: {"pair": {"pieces": pieces}, "more": (digit,)},
    ],
)
def test_inputs_and_outputs_in_any_structure(rng, inputs, outputs):
    pieces, digit = keras.Input((N, 3), name="pieces"), keras.Input((2,), name="digit")
    logits = square(pieces) * keras.layers.Dense(N)(digit)[:, None]
    plan = soft(logits)
    structure = inputs(pieces, digit)
    model = keras.Model(structure, outputs(logits, plan))
    interface = _interface.to_interface(model)
    names = [spec.name for spec in interface.specs]
    assert names[interface.items] == "pieces" and sorted(names) == ["digit", "pieces"]
    if isinstance(structure, dict) and "digit" in structure:
        assert names == list(structure)
    values = {"pieces": draw_items(rng, 2), "digit": tf.ones([2, 2])}
    actual = interface.logits_and_plan(model, [values[name] for name in names])
    alone = keras.Model([pieces, digit], [logits, plan])
    expected = alone([values["pieces"], values["digit"]])
    np.testing.assert_array_equal(actual[0], expected[0])
    if len(model.outputs) == 2:
        np.testing.assert_array_equal(actual[1], expected[1])
    else:
        assert actual[1] is None


def test_names_decide_what_is_matched_and_what_is_restored(rng, tmp_path):
    pieces, digit = keras.Input((N, 3), name="pieces"), keras.Input((N,), name="digit")
    scores = square(pieces) + digit[:, None]
    # Both fit [B, N, ...], and Keras sorts the keys.
    model = keras.Model(
        {"pieces": pieces, "digit": digit}, {"scores": scores, "plan": soft(scores)}
    )
    path = st.export_solver(model, tmp_path / "solver", n_iters=1)
    solver = tf.saved_model.load(path).signatures["serving_default"]
    inputs = {"pieces": draw_items(rng), "digit": tf.range(5 * N, delta=1.0)}
    inputs["digit"] = tf.reshape(inputs["digit"], [5, N])
    actual, expected = solver(**inputs), model(inputs)
    logits = expected["scores"].numpy().astype(np.float64)
    perm = np.array([linear_sum_assignment(-x)[1] for x in logits])
    np.testing.assert_array_equal(actual["permutation"], perm)
    value = np.take_along_axis(logits, perm[..., None], -1).sum((1, 2))
    np.testing.assert_allclose(actual["value"], value, rtol=1e-6)
    np.testing.assert_allclose(actual["plan"], expected["plan"], atol=1e-6)
    np.testing.assert_array_equal(
        actual["restored"], st.permutations.apply(perm, inputs["pieces"])
    )


@pytest.mark.parametrize(
    "make, sentence",
    [
        (
            lambda: keras.Sequential(
                [
                    keras.Input((3,)),
                    keras.layers.Dense(N * N),
                    keras.layers.Reshape((N, N)),
                ]
            ),
            "Received: inputs of the shapes (None, 3)",
        ),
        (
            lambda: keras.Sequential(
                [keras.Input((N, 3), name="die Größe"), keras.layers.Dense(N)]
            ),
            "Received: 'die Größe'",
        ),
    ],
)
def test_inputs_have_names_and_hold_the_items(make, sentence, tmp_path):
    with pytest.raises(ValueError, match=re.escape(sentence)) as caught:
        st.export_solver(make(), tmp_path / "solver")
    assert "\n" not in str(caught.value)


class OwnModel(keras.Model):
    """A model whose history ends at itself."""

    def __init__(self):
        super().__init__()
        self.plan = st.SinkhornLayer(0.1)

    def call(self, inputs):
        return self.plan(inputs)


@pytest.mark.parametrize(
    "end", [OwnModel(), keras.layers.Lambda(lambda x: st.sinkhorn(x, 0.1))]
)
def test_a_plan_without_a_history_is_told_by_its_numbers(tmp_path, end):
    scores = keras.Input((3, 3))
    model = keras.Model(scores, end(scores))
    with pytest.raises(ValueError, match="columns that sum to 1"):
        st.export_solver(model, tmp_path / "solver")
    assert not (tmp_path / "solver").exists()
