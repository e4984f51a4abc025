"""Permutations with more or fewer positions than items, and items without one."""

import numpy as np
import pytest
import tensorflow as tf

from sinkhorn_tf import permutations


def draw(rng, *shape):
    return rng.permuted(np.broadcast_to(np.arange(shape[-1]), shape), axis=-1)


@pytest.mark.parametrize("n", [1, 3, 4, 6])
def test_is_permutation_of_another_number_of_positions(n):
    lists = [[2, 0, 1], [2, -1, -1], [-1, -1, -1], [3, 0, 1], [0, 0, -1], [-2, 0, 1]]
    for partial in (False, True):
        expected = []
        for each in lists:
            places = [x for x in each if x != -1]
            expected.append(
                (partial or len(places) == 3)
                and len(set(places)) == len(places)
                and all(0 <= x < n for x in places)
            )
        valid = permutations.is_permutation(lists, partial=partial, n_positions=n)
        assert valid.numpy().tolist() == expected
    assert permutations.is_permutation(np.zeros((2, 0), int)).numpy().all()


# The number of items and of positions.
SIZES = [(1, 1), (1, 4), (4, 1), (3, 5), (5, 3), (4, 4)]


def draw_partial(rng, batch, n_items, n_positions):
    """Lists with items without a position, and their matrices."""
    size = max(n_items, n_positions)
    perm = draw(rng, *batch, size)[..., :n_items]
    absent = (perm >= n_positions) | (rng.random(perm.shape) < 0.3)
    perm = np.where(absent, -1, perm).astype(np.int32)
    return perm, (perm[..., None] == np.arange(n_positions)).astype(np.float32)


@pytest.mark.parametrize("n_items, n_positions", SIZES)
@pytest.mark.parametrize("batch", [(), (20,), (2, 3)])
def test_rectangles_are_their_matrices(rng, batch, n_items, n_positions):
    perm, matrix = draw_partial(rng, batch, n_items, n_positions)
    size = {"n_positions": n_positions}
    np.testing.assert_array_equal(permutations.to_matrix(perm, **size), matrix)
    np.testing.assert_array_equal(permutations.from_matrix(matrix), perm)
    back = permutations.inverse(perm, **size)
    assert back.shape == (*batch, n_positions) and back.dtype == tf.int32
    transposed = permutations.to_matrix(back, n_positions=n_items)
    np.testing.assert_array_equal(transposed, np.swapaxes(matrix, -1, -2))
    items = rng.normal(size=(*batch, n_items, 2)).astype(np.float32)
    moved = permutations.apply(perm, items, **size)
    np.testing.assert_array_equal(moved, np.swapaxes(matrix, -1, -2) @ items)
    assert permutations.is_permutation(perm, partial=True, **size).numpy().all()


def test_items_without_a_position_do_not_change_the_others(rng):
    perm = np.array([[2, -1, 0], [-1, -1, -1], [1, 2, 0]])
    np.testing.assert_array_equal(
        permutations.inverse(perm), [[2, -1, 0], [-1, -1, -1], [2, 0, 1]]
    )
    words = permutations.apply(perm[0], ["a", "b", "c"])
    assert words.numpy().tolist() == [b"c", b"", b"a"]
    q = np.array([[0, 2, -1], [0, 1, 2], [-1, 0, 1]])
    product = permutations.to_matrix(perm) @ permutations.to_matrix(q)
    composed = permutations.compose(perm, q)
    np.testing.assert_array_equal(permutations.to_matrix(composed), product)


@pytest.mark.parametrize("perm", [[0, 0, 1], [0, 4, 1], [-2, 0, 1], [3, 3, 3]])
def test_rectangles_that_are_not_one_to_one(perm):
    both = [perm, [3, -1, 0]]
    np.testing.assert_array_equal(
        permutations.inverse(both, n_positions=4), [[-1] * 4, [2, -1, -1, 0]]
    )
    moved = permutations.apply(both, [[5, 6, 7], [5, 6, 7]], n_positions=4)
    np.testing.assert_array_equal(moved, [[0] * 4, [7, 0, 0, 5]])


@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_number_of_positions_that_a_graph_knows(rng, jit_compile):
    def everything(perm, items, n):
        return (
            permutations.to_matrix(perm, n_positions=n),
            permutations.inverse(perm, n_positions=n),
            permutations.apply(perm, items, n_positions=n),
            permutations.is_permutation(perm, partial=True, n_positions=n),
        )

    perm, _ = draw_partial(rng, (4,), 3, 5)
    perm[0] = [1, 1, 0]
    items = rng.normal(size=(4, 3, 2))
    signature = [
        tf.TensorSpec([None, None], tf.int32),
        tf.TensorSpec([None, None, 2], tf.float64),
    ]
    if jit_compile:
        # XLA compiles for sizes, so that the number comes as a shape.
        signature.append(tf.TensorSpec([None], tf.int32))
        traced = tf.function(
            lambda perm, items, x: everything(perm, items, tf.shape(x)[0]),
            signature,
            autograph=False,
            jit_compile=True,
        )(perm, items, tf.zeros(5, tf.int32))
    else:
        signature.append(tf.TensorSpec([], tf.int64))
        traced = tf.function(everything, signature, autograph=False)(
            perm, items, tf.constant(5, "int64")
        )
    for a, e in zip(traced, everything(perm, items, 5), strict=True):
        np.testing.assert_array_equal(a, e)


@pytest.mark.parametrize(
    "n, error", [(0, ValueError), (2.0, TypeError), (True, TypeError), ([3], TypeError)]
)
def test_a_bad_number_of_positions_is_an_error(n, error):
    tensors = [] if n in (True, [3]) else [tf.constant(n)]
    for value in [n, *tensors]:
        for name in ("to_matrix", "inverse", "is_permutation"):
            with pytest.raises(error, match="n_positions must be .* Received: n_pos"):
                getattr(permutations, name)([0, 1], n_positions=value)
        with pytest.raises(error, match="n_positions must be .* Received: n_pos"):
            permutations.apply([0, 1], [3, 4], n_positions=value)


def test_no_items_leave_every_position_empty():
    perm = np.zeros((2, 0), np.int32)
    items = np.ones((2, 0, 3), np.float32)
    result = permutations.apply(perm, items, n_positions=4)
    np.testing.assert_array_equal(result, np.zeros((2, 4, 3)))
