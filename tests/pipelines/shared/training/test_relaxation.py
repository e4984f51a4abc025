import numpy as np
import pytest
import tensorflow as tf

import sinkhorn_tf as st
from pipelines.shared.input_pipeline import seeds
from pipelines.shared.training.config import TrainingConfig
from pipelines.shared.training.relaxation import Relaxation


@pytest.fixture
def logits(rng):
    return tf.constant(rng.normal(size=(4, 5, 5)), tf.float32)


def batch(step=0, position=range(4)):
    return {"step": tf.constant(step, tf.int64), "position": tf.constant([*position])}


def relaxation(**settings):
    known = {"batch_size": 4, "steps": 100, "noise_scale": 0.0, "jit_compile": "none"}
    return Relaxation.from_config(TrainingConfig(**(known | settings)))


def test_it_takes_what_the_settings_of_a_training_say():
    config = TrainingConfig(
        steps=7,
        batch_size=3,
        temperature=0.5,
        final_temperature=0.25,
        noise_scale=1.0,
        final_noise_scale=0.1,
        n_iters=9,
        n_samples=2,
        seed=11,
        jit_compile="operator",
    )
    assert Relaxation.from_config(config) == Relaxation(
        steps=7,
        batch_size=3,
        temperature=0.5,
        final_temperature=0.25,
        noise_scale=1.0,
        final_noise_scale=0.1,
        n_iters=9,
        n_samples=2,
        seed=11,
        jit_compile=True,
    )
    assert relaxation(jit_compile="none").jit_compile is None
    assert relaxation(jit_compile="step").jit_compile is True


@pytest.mark.parametrize(
    "step, temperature", [(0, 2.0), (50, 1.0), (75, 2**-0.5), (100, 0.5)]
)
def test_the_temperature_falls_geometrically(step, temperature, logits):
    softened = relaxation(temperature=2.0, final_temperature=0.5, n_iters=7)
    soft = softened.soft_permutations(logits, batch(step))
    expected = st.sinkhorn(logits, temperature, 7)
    np.testing.assert_allclose(soft[:, 0], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("final, scale", [(None, 0.8), (0.2, 0.4)])
def test_noise_is_of_the_seed_and_the_step_and_its_scale_falls(final, scale, logits):
    softened = relaxation(
        noise_scale=0.8, final_noise_scale=final, n_samples=3, seed=5, n_iters=7
    )
    soft = softened.soft_permutations(logits, batch(50))
    assert soft.shape == (4, 3, 5, 5)
    noise = st.distributions.gumbel_noise([4, 3, 5, 5], seeds.stream(5, "noise", 50))
    expected = st.sinkhorn(logits[:, None] + scale * noise, 1.0, 7)
    np.testing.assert_allclose(soft, expected, rtol=1e-4, atol=1e-6)
    again = softened.soft_permutations(logits, batch(50))
    np.testing.assert_array_equal(again, soft)
    other = softened.soft_permutations(logits, batch(51))
    assert np.abs(other - soft).max() > 0.01


def test_replicas_draw_what_one_process_would(logits):
    softened = relaxation(noise_scale=1.0, n_samples=2)
    whole = softened.soft_permutations(logits, batch(3))
    for part in ([0, 1], [2, 3]):
        share = softened.soft_permutations(
            tf.gather(logits, part), batch(3, position=part)
        )
        np.testing.assert_allclose(share, tf.gather(whole, part), rtol=1e-5, atol=1e-6)


def test_it_makes_the_same_in_a_compiled_graph(logits):
    softened = relaxation(
        noise_scale=1.0, final_temperature=0.5, jit_compile="operator"
    )
    step = tf.function(softened.soft_permutations, jit_compile=True, autograph=False)
    np.testing.assert_allclose(
        step(logits, batch(9)),
        softened.soft_permutations(logits, batch(9)),
        rtol=1e-4,
        atol=1e-6,
    )
