"""The layer that puts items into the order of a permutation."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import sinkhorn_tf as st

N = 4


@pytest.mark.parametrize("feature", [(), (3,), (2, 3, 1)])
@pytest.mark.parametrize("batch", [(), (3,), (2, 3)])
def test_restore_is_the_transposed_matrix_times_items(rng, batch, feature):
    soft = rng.random(size=(*batch, N, N)).astype(np.float32)
    items = rng.normal(size=(*batch, N, *feature)).astype(np.float32)
    restored = st.Restore()([soft, items])
    flat = items.reshape(*batch, N, -1)
    expected = np.swapaxes(soft, -1, -2) @ flat
    np.testing.assert_allclose(restored, expected.reshape(items.shape), atol=1e-6)


def test_restore_of_a_matching_equals_apply(rng):
    x = rng.normal(size=(3, N, N)).astype(np.float32)
    items = rng.normal(size=(3, N, 2)).astype(np.float32)
    restored = st.Restore()([st.Matching()(x), items])
    perm = st.matching(x, jit_compile=False)
    np.testing.assert_array_equal(restored, st.permutations.apply(perm, items))


def test_restore_with_an_axis_of_samples(rng):
    soft = rng.random(size=(3, 5, N, N)).astype(np.float32)
    items = rng.normal(size=(3, N, 2)).astype(np.float32)
    restored = st.Restore()([soft, items[:, None]])
    expected = np.swapaxes(soft, -1, -2) @ items[:, None]
    np.testing.assert_allclose(restored, expected, atol=1e-6)
    symbolic = keras.Input((5, N, N)), keras.Input((1, N, 2))
    assert st.Restore()(list(symbolic)).shape == (None, 5, N, 2)


def test_restore_of_integer_items():
    restored = st.Restore()([np.eye(3, dtype=np.float32)[[2, 0, 1]], np.arange(3)])
    np.testing.assert_array_equal(restored, [1, 2, 0])


def test_restore_with_an_unknown_number_of_items(rng):
    permutation = keras.Input((None, None))
    restored = st.Restore()([permutation, keras.Input((N, 2))])
    assert restored.shape == (None, None, 2)


@pytest.mark.parametrize(
    "permutation, items",
    [((2, N, N), (2, 3, 1)), ((2, 5, N, N), (2, N, 1)), ((2, N, N), (2,))],
)
def test_restore_of_shapes_that_do_not_fit_is_an_error(permutation, items):
    inputs = [np.zeros(permutation, np.float32), np.zeros(items, np.float32)]
    with pytest.raises(ValueError, match="Received: "):
        st.Restore()(inputs)
    with pytest.raises(ValueError, match="Received: "):
        st.Restore()([keras.Input(permutation[1:]), keras.Input(items[1:])])


def test_restore_takes_integer_permutations_and_refuses_what_is_no_pair():
    swap = st.permutations.to_matrix([1, 0], tf.int32)
    restored = st.Restore()([swap, np.float32([0.5, 0.25])])
    np.testing.assert_array_equal(restored, [0.25, 0.5])
    with pytest.raises(ValueError, match=r"needs \[permutation, items\]"):
        st.Restore()(tf.zeros([2, 3, 3]))
    with pytest.raises(ValueError, match=r"Received: shapes \(2, 3\) and \(1, 3, 1\)"):
        st.Restore()([tf.zeros([2, 3], tf.int32), tf.zeros([1, 3, 1])])
    with pytest.raises(ValueError, match=r"Received: shapes \(3,\) and \(3, 1\)"):
        st.Restore()([tf.zeros([3], tf.int32), tf.zeros([3, 1])])
