"""Masses as arguments of layers, and of samples."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import sinkhorn_tf as st

B, N, M = 3, 5, 4
SETTINGS = {"temperature": 0.5, "n_iters": 3}


@pytest.fixture
def logits(rng):
    return rng.normal(size=(B, N, M)).astype(np.float32)


@pytest.fixture
def masses(rng):
    rows, cols = rng.uniform(0.5, 2, (B, N)), rng.uniform(0.5, 2, (B, M))
    cols *= rows.sum(1, keepdims=True) / cols.sum(1, keepdims=True)
    both = {"row_marginals": rows, "col_marginals": cols}
    return {name: x.astype(np.float32) for name, x in both.items()}


def plain(logits, **options):
    return st.sinkhorn(logits, 0.5, 3, jit_compile=False, **options)


@pytest.mark.parametrize("given", [["row_marginals"], ["col_marginals"], "both"])
def test_layers_take_masses_when_they_are_called(logits, masses, given):
    if given != "both":
        masses = {name: masses[name] for name in given}
    expected = plain(logits, **masses)
    plan = tf.function(st.SinkhornLayer(**SETTINGS))(logits, **masses)
    np.testing.assert_allclose(plan, expected, atol=1e-5)
    samples = tf.function(st.GumbelSinkhorn(**SETTINGS, n_samples=2))(logits, **masses)
    assert samples.shape == (B, 2, N, M)
    for sample in range(2):
        np.testing.assert_allclose(samples[:, sample], expected, atol=1e-5)


def test_masses_are_inputs_of_a_model(tmp_path, logits, masses):
    inputs = [keras.Input((N, M)), keras.Input((N,)), keras.Input((M,))]
    arguments = dict(zip(masses, inputs[1:], strict=True))
    outputs = [
        st.SinkhornLayer(**SETTINGS)(inputs[0], **arguments),
        st.GumbelSinkhorn(**SETTINGS, n_samples=2)(inputs[0], **arguments),
        st.SinkhornLayer(**SETTINGS)(inputs[0], col_marginals=np.full(M, N / M)),
    ]
    assert [x.shape for x in outputs] == [(None, N, M), (None, 2, N, M), (None, N, M)]
    model = keras.Model(inputs, outputs)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    plan, samples, balanced = tf.function(loaded)([logits, *masses.values()])
    np.testing.assert_allclose(plan, plain(logits, **masses), atol=1e-5)
    np.testing.assert_allclose(samples[:, 1], plan, atol=1e-5)
    np.testing.assert_allclose(tf.reduce_sum(balanced, 1), np.full([B, M], N / M), 1e-5)


def test_shapes_that_masses_broadcast_to(logits, masses):
    layer = st.GumbelSinkhorn(**SETTINGS, n_samples=2)
    row, cols = masses["row_marginals"][:1], masses["col_marginals"]
    cols = cols * row.sum() / cols.sum(1, keepdims=True)
    plan = layer(logits[:1], row_marginals=row[0], col_marginals=cols)
    expected = plain(logits[:1], row_marginals=row[0], col_marginals=cols)
    np.testing.assert_allclose(plan[:, 0], expected, atol=1e-5)
    shape = layer.compute_output_shape((1, N, M), col_marginals_shape=(B, M))
    assert tuple(shape) == tuple(plan.shape) == (B, 2, N, M)
    shape = st.SinkhornLayer().compute_output_shape(
        (1, N, M), row_marginals_shape=(B, N)
    )
    assert tuple(shape) == (B, N, M)


@pytest.mark.parametrize("layer_class", [st.SinkhornLayer, st.GumbelSinkhorn])
def test_hard_layers_refuse_masses(layer_class, logits, masses):
    layer = layer_class(**SETTINGS, hard=True)
    with pytest.raises(ValueError, match="hard=True and row_marginals and col_m"):
        layer(logits, **masses)
    with pytest.raises(ValueError, match="has no masses.*hard=True and col_marginals"):
        layer(logits, col_marginals=masses["col_marginals"])


def test_all_samples_have_the_same_masses(rng, logits, masses):
    soft, noisy = st.gumbel_sinkhorn(
        logits, 0.5, 2, n_iters=3, seed=5, jit_compile=False, **masses
    )
    for sample in range(2):
        expected = plain(noisy[:, sample], **masses)
        np.testing.assert_allclose(soft[:, sample], expected, atol=1e-5)
    cols = np.broadcast_to(masses["col_marginals"][:, None], (B, 2, M))
    np.testing.assert_allclose(tf.reduce_sum(soft, -2), cols, atol=1e-5)
    assert np.abs(soft[:, 0] - soft[:, 1]).max() > 0.01
    noise = rng.normal(size=(B, 2, N, M)).astype(np.float32)
    mask = np.array([True, True, False, True, True])
    one = {"col_marginals": masses["col_marginals"][0], "row_mask": mask}
    soft, noisy = st.distributions.perturbed_sinkhorn(
        logits, noise, 0.5, 0.7, 3, jit_compile=False, **one
    )
    expected = plain(logits + 0.7 * noise[:, 1], **one)
    np.testing.assert_allclose(soft[:, 1], expected, atol=1e-5)
    assert (soft.numpy()[:, :, 2] == 0).all()


def test_bad_masses_are_one_sentence(logits, masses):
    rows, cols = masses.values()
    with pytest.raises(ValueError, match="same total .* Received: totals") as caught:
        st.gumbel_sinkhorn(logits, row_marginals=2 * rows, col_marginals=cols)
    assert "\n" not in str(caught.value)
    shapes = r"row_marginals.shape=\(3, 4\), logits.shape=\(3, 5, 4\)"
    with pytest.raises(ValueError, match=shapes):
        st.GumbelSinkhorn()(logits, row_marginals=cols)


def test_gradients_reach_the_masses(logits, masses):
    masses = {name: tf.constant(x) for name, x in masses.items()}
    layer = tf.function(st.GumbelSinkhorn(**SETTINGS, n_samples=2))
    with tf.GradientTape() as tape:
        tape.watch(list(masses.values()))
        loss = tf.reduce_sum(layer(logits, **masses) ** 2)
    for gradient in tape.gradient(loss, list(masses.values())):
        assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0
