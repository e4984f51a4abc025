"""One model of all layers, saved and loaded."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

import sinkhorn_tf as st
from tests.sinkhorn_tf.layers.not_default import SINKHORN

N = 4


@pytest.fixture(scope="module")
def whole_model():
    """Every layer in one model, with a temperature changed after construction."""
    items, t = keras.Input((N, 3), name="items"), keras.Input((), name="t")
    logits = keras.layers.Dense(N)(items)
    gumbel = st.GumbelSinkhorn(0.2, 0.5, n_samples=2, n_iters=1, seed=3)
    gumbel.temperature.assign(0.7)
    outputs = [
        st.SinkhornLayer(**SINKHORN)(logits),
        st.SinkhornLayer(n_iters=2)(logits, temperature=t),
        gumbel(logits),
        st.Matching()(logits),
        st.PartialSinkhorn(0.3, trainable_temperature=True, n_iters=2)(logits)[1],
        st.SoftTopK(2, 0.6)(logits),
    ]
    outputs.append(st.Restore()([outputs[1], items]))
    return keras.Model([items, t], outputs)


@pytest.fixture(scope="module")
def whole_inputs():
    rng = np.random.default_rng(1)
    items = rng.normal(size=(3, N, 3)).astype(np.float32)
    return {"items": items, "t": np.float32([0.3, 0.5, 1])}


def answers(model, inputs):
    outputs = tf.function(model)([inputs["items"], inputs["t"]])
    return [output.numpy() for output in outputs]


def test_keras_file_loads_in_safe_mode(tmp_path, whole_model, whole_inputs):
    whole_model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    temperatures = sorted(
        float(layer.temperature.numpy())
        for layer in loaded.layers
        if hasattr(layer, "temperature")
    )
    assert temperatures == pytest.approx([0.4, 0.6, 0.7, 1.0, 1.0])
    expected = answers(whole_model, whole_inputs)
    for a, e in zip(answers(loaded, whole_inputs), expected, strict=True):
        np.testing.assert_allclose(a, e, atol=1e-6)


def test_keras_file_loads_in_a_fresh_process(
    tmp_path, run_python, whole_model, whole_inputs
):
    whole_model.save(tmp_path / "model.keras")
    np.savez(tmp_path / "inputs.npz", **whole_inputs)
    done = run_python("""
        import keras, numpy as np, tensorflow as tf, sinkhorn_tf

        model = keras.saving.load_model("model.keras", safe_mode=True)
        inputs = np.load("inputs.npz")
        outputs = tf.function(model)([inputs["items"], inputs["t"]])
        np.savez("outputs.npz", *[output.numpy() for output in outputs])
    """)
    assert done.returncode == 0, done.stderr
    outputs = np.load(tmp_path / "outputs.npz")
    expected = answers(whole_model, whole_inputs)
    for i, e in enumerate(expected):
        np.testing.assert_allclose(outputs[f"arr_{i}"], e, atol=1e-6)


def test_export_runs_without_the_package_and_without_xla(
    tmp_path, run_python, whole_model, whole_inputs
):
    whole_model.export(tmp_path / "exported", verbose=False)
    saved = saved_model_pb2.SavedModel()
    saved.ParseFromString((tmp_path / "exported" / "saved_model.pb").read_bytes())
    functions = saved.meta_graphs[0].graph_def.library.function
    assert len(functions) > 0
    assert not any(f.attr["_XlaMustCompile"].b for f in functions)
    np.savez(tmp_path / "inputs.npz", **whole_inputs)
    done = run_python(
        """
        import numpy as np, tensorflow as tf

        try:
            import sinkhorn_tf
        except ModuleNotFoundError:
            pass
        else:
            raise SystemExit("the package could be imported")
        model = tf.saved_model.load("exported")
        inputs = np.load("inputs.npz")
        outputs = model.serve([tf.constant(inputs["items"]), tf.constant(inputs["t"])])
        np.savez("outputs.npz", *[output.numpy() for output in outputs])
        """,
        without_package=True,
    )
    assert done.returncode == 0, done.stderr
    outputs = np.load(tmp_path / "outputs.npz")
    for i, e in enumerate(answers(whole_model, whole_inputs)):
        np.testing.assert_allclose(outputs[f"arr_{i}"], e, atol=1e-6)
