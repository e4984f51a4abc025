import itertools

import numpy as np
import pytest
import tensorflow as tf

from sinkhorn_tf import permutations

NO_PERMUTATIONS = [[-1, -1, -1], [0, 1, 1], [0, 1, 3], [-2, 0, 1], [0, -1, 0]]


def draw(rng, *shape):
    return rng.permuted(np.broadcast_to(np.arange(shape[-1]), shape), axis=-1).astype(
        np.int32
    )


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int32"])
def test_matrix_has_a_one_at_each_items_position(rng, dtype):
    perm = draw(rng, 2, 3, 5)
    matrix = permutations.to_matrix(perm, dtype)
    assert matrix.dtype == dtype and matrix.shape == (2, 3, 5, 5)
    np.testing.assert_array_equal(matrix, np.eye(5)[perm])


def test_matrix_of_minus_one_has_zero_rows():
    matrix = permutations.to_matrix([[-1, -1], [1, -1]])
    np.testing.assert_array_equal(matrix, [[[0, 0], [0, 0]], [[0, 1], [0, 0]]])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int64])
@pytest.mark.parametrize("shape", [(1,), (4,), (3, 4), (2, 0, 4), (2, 3, 4)])
def test_from_matrix_inverts_to_matrix(rng, shape, dtype):
    perm = draw(rng, *shape)
    back = permutations.from_matrix(np.eye(shape[-1], dtype=dtype)[perm])
    assert back.dtype == tf.int32
    np.testing.assert_array_equal(back, perm)


@pytest.mark.parametrize(
    "matrix",
    [
        [[0.5, 0.5], [0.5, 0.5]],
        [[1, 0], [1, 0]],
        [[1, 1], [0, 0]],
        [[0, 0], [0, 0]],
        [[2, -1], [0, 1]],
        [[np.nan, 1], [1, 0]],
        [[1, 1e-7], [0, 1]],
    ],
)
def test_from_matrix_of_no_permutation_is_minus_one(matrix):
    batch = np.stack([np.array(matrix, float), np.eye(2)])
    np.testing.assert_array_equal(permutations.from_matrix(batch), [[-1, -1], [0, 1]])


def test_is_permutation(rng):
    assert permutations.is_permutation(draw(rng, 3, 2, 7)).numpy().all()
    assert not permutations.is_permutation(NO_PERMUTATIONS).numpy().any()


def test_inverse(rng):
    perm = draw(rng, 3, 6)
    inverse = permutations.inverse(perm)
    assert inverse.dtype == tf.int32
    np.testing.assert_array_equal(inverse, np.argsort(perm, -1))
    np.testing.assert_array_equal(
        np.take_along_axis(inverse.numpy(), perm, -1), [range(6)] * 3
    )
    np.testing.assert_array_equal(
        permutations.inverse(NO_PERMUTATIONS), -np.ones((5, 3))
    )


@pytest.mark.parametrize(
    "p_shape, q_shape",
    [((5,), (5,)), ((3, 5), (5,)), ((5,), (3, 5)), ((2, 1, 5), (3, 5))],
)
def test_compose_multiplies_matrices_in_order(rng, p_shape, q_shape):
    p, q = draw(rng, *p_shape), draw(rng, *q_shape)
    composed = permutations.compose(p, q)
    product = permutations.to_matrix(p) @ permutations.to_matrix(q)
    np.testing.assert_array_equal(permutations.to_matrix(composed), product)


def test_compose_with_inverse_is_identity(rng):
    p = draw(rng, 4, 6)
    np.testing.assert_array_equal(
        permutations.compose(p, permutations.inverse(p)), [range(6)] * 4
    )


def test_compose_with_no_permutation_is_minus_one():
    good = [1, 2, 0]
    for p, q in [(NO_PERMUTATIONS, good), (good, NO_PERMUTATIONS)]:
        np.testing.assert_array_equal(permutations.compose(p, q), -np.ones((5, 3)))


def test_compose_of_different_sizes_is_an_error():
    with pytest.raises(ValueError, match=r"Received: p.shape=\(2,\), q.shape=\(3,\)"):
        permutations.compose([0, 1], [0, 1, 2])


@pytest.mark.parametrize("feature", [(), (3,), (2, 3, 1)])
@pytest.mark.parametrize("batch", [(), (4,), (2, 3), (0,)])
def test_apply_is_the_transposed_matrix_times_items(rng, batch, feature):
    perm = draw(rng, *batch, 5)
    items = rng.normal(size=(*batch, 5, *feature))
    restored = permutations.apply(perm, items)
    flat = items.reshape(*batch, 5, int(np.prod(feature)))
    expected = np.swapaxes(np.eye(5)[perm], -1, -2) @ flat
    assert restored.dtype == tf.float64
    np.testing.assert_array_equal(restored, expected.reshape(items.shape))


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float16, bool, str])
def test_apply_keeps_dtype(dtype):
    items = np.array([0, 1, 2]).astype(dtype)
    restored = permutations.apply([2, 0, 1], items)
    assert restored.dtype == tf.convert_to_tensor(items).dtype
    expected = tf.convert_to_tensor(items[[1, 2, 0]])
    assert restored.numpy().tolist() == expected.numpy().tolist()


def test_apply_of_no_permutation_is_zero_and_neighbours_are_not():
    perm = [[-1, -1, -1], [2, 0, 1]]
    restored = permutations.apply(perm, np.full((2, 3, 2), np.nan))
    np.testing.assert_array_equal(restored[0], np.zeros((3, 2)))
    assert np.isnan(restored[1]).all()


def test_apply_broadcasts_batch_dimensions(rng):
    perm, items = draw(rng, 2, 4, 5), rng.normal(size=(2, 1, 5, 3))
    expected = permutations.apply(perm, np.broadcast_to(items, (2, 4, 5, 3)))
    np.testing.assert_array_equal(permutations.apply(perm, items), expected)


def test_apply_has_a_gradient_to_the_items(rng):
    perm, items = draw(rng, 2, 5), tf.constant(rng.normal(size=(2, 5, 3)))
    weights = rng.normal(size=(2, 5, 3))
    with tf.GradientTape() as tape:
        tape.watch(items)
        loss = tf.reduce_sum(weights * permutations.apply(perm, items))
    expected = permutations.apply(permutations.inverse(perm), weights)
    np.testing.assert_array_equal(tape.gradient(loss, items), expected)


@pytest.mark.parametrize("shape", [(3,), (2, 4), (2, 4, 3), (2,)])
def test_apply_to_items_that_do_not_fit_is_an_error(shape):
    with pytest.raises(ValueError, match="Received: perm.shape"):
        permutations.apply([[0, 1, 2], [2, 1, 0]], np.zeros(shape))


@pytest.mark.parametrize("name", ["to_matrix", "is_permutation", "inverse"])
@pytest.mark.parametrize("perm, error", [([0.0, 1.0], TypeError), (3, ValueError)])
def test_what_is_no_list_is_an_error(name, perm, error):
    with pytest.raises(error, match="Received: "):
        getattr(permutations, name)(perm)


@pytest.mark.parametrize("batch", [(), (4,), (2, 3), (0,), 4, np.array([2, 3])])
def test_samples_are_permutations_of_the_given_shape(batch):
    perm = permutations.sample(batch, 6, seed=0)
    assert perm.dtype == tf.int32
    shape = (batch,) if isinstance(batch, int) else tuple(batch)
    assert perm.shape == (*shape, 6)
    assert permutations.is_permutation(perm).numpy().all()


def test_samples_are_uniform():
    perm = permutations.sample((24_000,), 4, seed=1).numpy()
    every = {p: 0 for p in itertools.permutations(range(4))}
    for p in perm.tolist():
        every[tuple(p)] += 1
    counts = np.array(list(every.values()))
    assert ((counts - 1000) ** 2 / 1000).sum() < 49.7  # 99.9 % with 23 degrees


def test_samples_follow_the_seed():
    sample = lambda seed: permutations.sample((3,), 20, seed).numpy().tolist()
    assert sample(1) == sample(1) == sample(tf.constant([1, 0]))
    assert sample(1) != sample(2)
    assert sample(None) != sample(None)
    with pytest.raises(ValueError, match="Received: seed=None"):
        tf.function(lambda: permutations.sample((3,), 20))()


@pytest.mark.parametrize("n, error", [(0, ValueError), (2.0, TypeError)])
def test_sample_of_a_bad_size_is_an_error(n, error):
    with pytest.raises(error, match=f"Received: n={n}"):
        permutations.sample((3,), n, seed=0)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_graph_and_xla_agree_with_eager(rng, jit_compile):
    def everything(p, q, items, seed):
        return {
            "matrix": permutations.to_matrix(p),
            "list": permutations.from_matrix(permutations.to_matrix(q)),
            "valid": permutations.is_permutation(q),
            "inverse": permutations.inverse(q),
            "composed": permutations.compose(p, q),
            "sample": permutations.sample(tf.shape(p)[:1], 5, seed),
            "applied": permutations.apply(q, items),
        }

    p, q = draw(rng, 3, 5), draw(rng, 3, 5)
    q[1] = -1
    inputs = (p, q, rng.normal(size=(3, 5, 2)), tf.constant([7, 8]))
    signature = [
        tf.TensorSpec([None, 5], tf.int32),
        tf.TensorSpec([None, None], tf.int32),
        tf.TensorSpec([None, None, 2], tf.float64),
        tf.TensorSpec([2], tf.int32),
    ]
    traced = tf.function(everything, signature, jit_compile=jit_compile)(*inputs)
    for name, expected in everything(*inputs).items():
        np.testing.assert_array_equal(traced[name], expected, err_msg=name)


# Each is 0, 1, 2, ... in its lowest 32 bits, or beyond what an int32 holds.
ALIASES = [
    np.array([0, 1, 2**32 + 2]),
    np.array([0, 1, -(2**32) + 2]),
    np.array([0, 1, 2**63 - 1]),
    np.array([0, 1, -(2**63)]),
    np.array([0, 1, 2**32 + 2], np.uint64),
    np.array([0, 1, 2**64 - 1], np.uint64),
    np.array([0, 1, 2**32 - 1], np.uint32),
    [0, 1, 2**32 + 2],
]


@pytest.mark.parametrize("perm", ALIASES, ids=str)
def test_large_integers_are_no_positions(perm):
    def everything(perm):
        return (
            permutations.is_permutation(perm),
            permutations.inverse(perm),
            permutations.compose(perm, [0, 1, 2]),
            permutations.compose([0, 1, 2], perm),
            permutations.apply(perm, [3.0, 4.0, 5.0]),
            permutations.to_matrix(perm),
        )

    typed = tf.constant(np.asarray(perm))
    for run in (everything, tf.function(everything, autograph=False)):
        for value in (perm, typed):
            valid, inverse, first, second, applied, matrix = run(value)
            assert not valid
            for each in (inverse, first, second):
                np.testing.assert_array_equal(each, [-1, -1, -1])
            np.testing.assert_array_equal(applied, [0, 0, 0])
            np.testing.assert_array_equal(matrix, [[1, 0, 0], [0, 1, 0], [0, 0, 0]])


@pytest.mark.parametrize(
    "dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]
)
def test_lists_of_every_integer_dtype(dtype):
    perm = np.array([2, 0, 1], dtype)
    matrix = np.eye(3, dtype=dtype)[perm]
    np.testing.assert_array_equal(permutations.from_matrix(matrix), perm)
    assert permutations.is_permutation(perm)
    np.testing.assert_array_equal(permutations.inverse(perm), [1, 2, 0])
    np.testing.assert_array_equal(permutations.compose(perm, perm), [1, 2, 0])
    np.testing.assert_array_equal(permutations.to_matrix(perm), np.eye(3)[perm])
    np.testing.assert_array_equal(permutations.apply(perm, [3, 4, 5]), [4, 5, 3])


def test_integers_beyond_64_bits_are_refused():
    with pytest.raises(TypeError, match="at most 64 bits. Received: perm.dtype"):
        permutations.is_permutation([0, 1, 2**64 + 2])


def test_more_items_than_a_dtype_has_numbers(rng):
    # 200 items: as int8 the numbers wrap, as uint8 they do not.
    perm = rng.permutation(200)
    assert permutations.is_permutation(perm.astype(np.uint8))
    np.testing.assert_array_equal(
        permutations.inverse(perm.astype(np.uint8)), np.argsort(perm)
    )
    assert not permutations.is_permutation(perm.astype(np.int8))
    assert (permutations.inverse(perm.astype(np.int8)).numpy() == -1).all()


@pytest.mark.parametrize(
    "seed", [-1, 2**32 - 1, 2**63, 2**64 + 3, 10**30, -(10**30), [1, 2], [-1, 2**31]]
)
def test_seeds_of_any_size(seed):
    sample = lambda seed: permutations.sample((2,), 30, seed).numpy().tolist()
    assert sample(seed) == sample(seed)
    assert sample(seed) not in (sample(3), sample(0))
    assert sample(np.int64(3)) == sample(np.uint8(3)) == sample(3) == sample([3, 0])
    assert sample(tf.constant([3, 0], tf.int64)) == sample(np.uint32([3, 0]))
