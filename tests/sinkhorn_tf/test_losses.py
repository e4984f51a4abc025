import keras
import numpy as np
import pytest
import tensorflow as tf

import sinkhorn_tf as st
from sinkhorn_tf import losses


@pytest.fixture
def soft(rng):
    plan = rng.random((2, 3, 4, 4)).astype(np.float32)
    return plan / plan.sum(axis=2, keepdims=True)


@pytest.fixture
def perm(rng):
    return np.stack([rng.permutation(4) for _ in range(2)]).astype(np.int32)


def test_cross_entropy_against_a_loop(soft, perm):
    expected = [
        -np.mean(
            [np.log(soft[b, s, i, perm[b, i]]) for s in range(3) for i in range(4)]
        )
        for b in range(2)
    ]
    actual = losses.cross_entropy(tf.constant(soft), tf.constant(perm))
    np.testing.assert_allclose(actual, expected, rtol=1e-5)


def test_cross_entropy_of_the_true_permutation_is_0_and_of_a_wrong_one_finite(perm):
    true = tf.one_hot(perm, 4)[:, None]
    np.testing.assert_allclose(losses.cross_entropy(true, perm), 0, atol=1e-5)
    wrong = tf.Variable(tf.roll(true, 1, axis=3))
    with tf.GradientTape() as tape:
        actual = losses.cross_entropy(wrong, perm)
    assert np.all(actual > 10) and np.isfinite(actual).all()
    assert np.isfinite(tape.gradient(actual, wrong)).all()


def test_reconstruction_against_a_loop(soft, rng):
    items, target = rng.random((2, 2, 4, 5)).astype(np.float32)
    restored = np.einsum("bsij,bid->bsjd", soft, items)
    expected = ((restored - target[:, None]) ** 2).mean(axis=(1, 2, 3))
    actual = losses.reconstruction(tf.constant(soft), items, target)
    np.testing.assert_allclose(actual, expected, rtol=1e-5)


def test_items_without_a_place_are_left_out_of_the_cross_entropy(rng):
    soft = rng.random((3, 2, 4, 5)).astype(np.float32)
    perm = np.array([[4, -1, 0, -1], [-1] * 4, [3, 1, 2, 0]])
    soft[0, :, 3] = np.nan
    plan = tf.constant(soft)
    with tf.GradientTape() as tape:
        tape.watch(plan)
        actual = losses.cross_entropy(plan, perm)
    items = [[0, 2], [], range(4)]
    expected = [
        np.mean([-np.log(soft[b, :, i, perm[b, i]]) for i in items[b]])
        if items[b]
        else 0
        for b in range(3)
    ]
    np.testing.assert_allclose(actual, expected, rtol=1e-4)
    gradient = tape.gradient(actual, plan).numpy()
    assert np.isfinite(gradient).all()
    left_out = np.broadcast_to((perm == -1)[:, None], gradient.shape[:-1])
    assert (gradient[left_out] == 0).all()


def test_reconstruction_of_rectangles(rng):
    soft = rng.random((2, 3, 4, 6)).astype(np.float32)
    items, target = (rng.random((2, n, 5)).astype(np.float32) for n in (4, 6))
    restored = np.einsum("bsij,bid->bsjd", soft, items)
    expected = ((restored - target[:, None]) ** 2).mean(axis=(1, 2, 3))
    actual = losses.reconstruction(tf.constant(soft), items, target)
    np.testing.assert_allclose(actual, expected, rtol=1e-5)


def test_one_soft_permutation_needs_no_axis_of_samples(rng, soft, perm):
    items, target = rng.random((2, 2, 4, 5)).astype(np.float32)
    actual = losses.cross_entropy(soft[:, 0], perm)
    np.testing.assert_array_equal(actual, losses.cross_entropy(soft[:, :1], perm))
    actual = losses.reconstruction(soft[:, 0], items, target)
    expected = losses.reconstruction(soft[:, :1], items, target)
    np.testing.assert_array_equal(actual, expected)


def test_floating_point_lists_are_rounded(soft):
    perm = np.array([[3, -1, 0, 2], [1, 9, -1, 0]])
    expected = losses.cross_entropy(soft, perm)
    near = perm + np.array([0.01, -0.01, 0.01, -0.01], np.float32)
    np.testing.assert_array_equal(losses.cross_entropy(soft, near), expected)
    assert expected[1] > 4
    # What is no number is no position either, rather than left out.
    near[1, 1] = np.nan
    np.testing.assert_array_equal(losses.cross_entropy(soft, near), expected)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_losses_have_the_dtype_of_the_permutations(rng, soft, perm, dtype):
    items, target = rng.random((2, 2, 4))
    plan = tf.cast(soft, dtype)
    for actual, expected in [
        (losses.cross_entropy(plan, perm), losses.cross_entropy(soft, perm)),
        (
            losses.reconstruction(plan, items, target),
            losses.reconstruction(soft, items, target),
        ),
    ]:
        assert actual.dtype == dtype
        np.testing.assert_allclose(
            tf.cast(actual, tf.float32), expected, rtol=0.05, atol=1e-3
        )


def test_sizes_that_only_a_graph_knows(rng, soft, perm):
    items, target = rng.random((2, 2, 4, 2, 3)).astype(np.float32)
    shapes = [None] * 4, [None] * 2, [None] * 4, [None] * 4

    @tf.function(input_signature=[tf.TensorSpec(x, tf.float32) for x in shapes])
    def both(soft, perm, items, target):
        return (
            losses.cross_entropy(soft, perm),
            losses.reconstruction(soft, items, target),
        )

    actual = both(soft, perm.astype(np.float32), items, target)
    np.testing.assert_allclose(actual[0], losses.cross_entropy(soft, perm), rtol=1e-5)
    expected = losses.reconstruction(soft, items, target)
    np.testing.assert_allclose(actual[1], expected, rtol=1e-5)


def test_shapes_that_do_not_fit_are_one_sentence(soft, perm):
    items = np.zeros((2, 4, 5), np.float32)
    calls = [
        ("soft", lambda: losses.cross_entropy(soft[0, 0], perm)),
        ("soft", lambda: losses.cross_entropy(soft[None], perm)),
        ("soft", lambda: losses.cross_entropy(np.int32(soft), perm)),
        ("soft", lambda: losses.reconstruction(soft[0, 0], items, items)),
        ("perm", lambda: losses.cross_entropy(soft, perm[:, :3])),
        ("perm", lambda: losses.cross_entropy(soft, perm[:1])),
        ("perm", lambda: losses.cross_entropy(soft, perm[0])),
        ("perm", lambda: losses.cross_entropy(soft, np.eye(4)[perm])),
        ("items", lambda: losses.reconstruction(soft, items[:, 1:], items)),
        ("items", lambda: losses.reconstruction(soft, items[0, 0], items)),
        ("target", lambda: losses.reconstruction(soft, items, items[:1])),
        ("target", lambda: losses.reconstruction(soft[..., 1:], items, items)),
        ("target", lambda: losses.reconstruction(soft, items, items[..., 1:])),
    ]
    for name, call in calls:
        with pytest.raises(ValueError, match=f"{name}.* must .* Received: ") as caught:
            call()
        assert ". " not in str(caught.value).partition(". Received: ")[0]


def test_the_loss_of_a_model_with_masks_is_the_mean(rng):
    items = rng.normal(size=(3, 4, 2)).astype(np.float32)
    perm = np.array([[1, 0, -1, -1], [2, 0, 1, 3], [0, 2, 1, -1]])
    items[perm == -1] = 0
    inputs = keras.Input((4, 2))
    logits = keras.layers.Dense(5)(keras.layers.Masking()(inputs))
    model = keras.Model(inputs, st.SinkhornLayer()(logits))
    model.compile(loss=lambda y, p: keras.ops.mean(losses.cross_entropy(p, y)))
    expected = np.mean(losses.cross_entropy(model(items), perm))
    loss = model.evaluate(items, perm, verbose=0)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
