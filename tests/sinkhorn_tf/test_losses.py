import numpy as np
import pytest
import tensorflow as tf

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
