"""The stages of the matching: warm start, equal rows, search, interior duals."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.optimize import linear_sum_assignment

import sinkhorn_tf as st
from sinkhorn_tf._matching import (
    augmenting_paths,
    interior_duals,
    matching,
    rectangular,
)
from sinkhorn_tf._matching.warm_start import warm_duals

N = 8


@pytest.fixture(scope="module")
def match():
    return tf.function(st.matching, [tf.TensorSpec([None, None, None], tf.float64)])


@pytest.fixture(scope="module")
def certify():
    return tf.function(
        st.certified_matching, [tf.TensorSpec([None, None, None], tf.float64)]
    )


def values(x, perm):
    return np.take_along_axis(x, np.asarray(perm)[..., None], -1).sum((-1, -2))


def optima(x):
    perm = [linear_sum_assignment(each, maximize=True)[1] for each in x]
    return values(x, np.array(perm))


def planted(rng, batch, margin, n=N):
    """Far from each other: a permutation whose scores stand out by `margin`."""
    perm = np.array([rng.permutation(n) for _ in range(batch)])
    return rng.uniform(size=(batch, n, n)) + margin * np.eye(n)[perm], perm


def equal_rows(rng, batch, n=N):
    """Half of the rows are the same one, as the black pieces of a puzzle are."""
    x = rng.normal(size=(batch, n, n))
    x[:, 1::2] = x[:, 1:2]
    return x


def first_state(x):
    x = tf.constant(x)
    nobody = tf.zeros(len(x), tf.bool)
    return augmenting_paths._first_state(x, warm_duals(x), nobody)


def test_a_planted_permutation_needs_no_search(rng):
    x, perm = planted(rng, 5, margin=2.0)
    state = first_state(x)
    assert state.done.numpy().all()
    np.testing.assert_array_equal(state.col_of, perm)


def test_the_warm_start_decides_most_of_small_random_problems(rng):
    x = rng.normal(size=(100, N, N))
    assert first_state(x).done.numpy().mean() > 0.8
    plain = augmenting_paths._first_state(
        tf.constant(x), tf.reduce_max(tf.constant(x), 1), tf.zeros(100, tf.bool)
    )
    assert plain.done.numpy().mean() < 0.3


@pytest.mark.parametrize("n", [5, 20])
def test_warm_duals_are_no_worse_than_column_maxima(rng, n):
    x = rng.normal(size=(6, n, n))
    x[1] *= 1e300 / np.abs(x[1]).max()
    x[2] *= 1e-300
    x[3][rng.random((n, n)) < 0.5] = -1e6
    x[4][rng.random((n, n)) < 0.5] = -np.inf
    x[5] = -np.inf
    g = warm_duals(tf.constant(x)).numpy()
    assert np.isfinite(g).all()
    top = np.where(np.isfinite(x.max(1)), x.max(1), 0)
    bound = lambda g: g.sum(1) + (x - g[:, None]).max(2).sum(1)
    assert (bound(g)[:5] <= bound(top)[:5]).all()
    if n == 20:
        assert bound(g)[0] < bound(top)[0] - 1


def test_equal_rows_are_found(rng):
    x = equal_rows(rng, 3)
    x[1, 4] = x[1, 0]
    x[2, :, 3] = -np.inf
    expected = [[0, 1, 2, 1, 4, 1, 6, 1]] * 3
    expected[1] = [0, 1, 2, 1, 0, 1, 6, 1]
    np.testing.assert_array_equal(
        augmenting_paths._equal_rows(tf.constant(x)), expected
    )


def test_rows_that_share_only_a_checksum_are_not_equal():
    # All checksums are 0, then all are huge.
    x = np.zeros((1, 3, 3))
    x[0, 1] = -np.inf
    np.testing.assert_array_equal(
        augmenting_paths._equal_rows(tf.constant(x)), [[0, 1, 0]]
    )
    x = np.full((1, 3, 3), 1e300) * np.arange(1, 4)[:, None] / 3
    np.testing.assert_array_equal(
        augmenting_paths._equal_rows(tf.constant(x)), [[0, 1, 2]]
    )


@pytest.mark.parametrize("n", [3, N, 20])
def test_equal_rows_are_matched_as_well_as_others(rng, match, n):
    for x in (
        equal_rows(rng, 10, n),
        np.round(equal_rows(rng, 10, n)),
        np.repeat(rng.normal(size=(10, 1, n)), n, axis=1),
        np.repeat(rng.normal(size=(10, n, 1)), n, axis=2),
    ):
        perm = match(x).numpy()
        assert (np.sort(perm, 1) == np.arange(n)).all()
        np.testing.assert_allclose(values(x, perm), optima(x), rtol=0, atol=1e-12)


@pytest.mark.parametrize("n", [N, 24])
def test_easy_and_hard_neighbours_change_nothing(rng, match, certify, n):
    hard = rng.normal(size=(12, n, n))
    easy, _ = planted(rng, 12, 5.0, n)
    ties = np.round(equal_rows(rng, 12, n))
    alone = match(hard), certify(hard)
    for others in (easy, ties):
        mixed = hard.copy()
        mixed[1::2] = others[1::2]
        perm, certified = match(mixed), certify(mixed)
        np.testing.assert_array_equal(perm[::2], alone[0][::2])
        for part, expected in zip(certified, alone[1], strict=True):
            np.testing.assert_array_equal(part[::2], expected[::2])


@pytest.mark.parametrize("n, m", [(4, 6), (11, 15), (29, 30)])
def test_duals_of_the_longer_side_are_optimal_and_not_negative(rng, n, m):
    x = rng.normal(size=(20, n, m)) + 5 * rng.normal(size=(20, 1, m))
    mask = np.arange(m) < m - np.arange(20)[:, None] % 2
    x, existing, _ = rectangular.orient(tf.constant(x), None, tf.constant(mask))
    perm, g = augmenting_paths.assign(x, existing=existing)
    perm, g = perm.numpy(), g.numpy()
    taken = (perm[:, :, None] == np.arange(m)).any(1)
    more = existing.more_cols.numpy()
    assert more.any() and (taken.sum(1) == n).all()
    assert (g[more] >= 0).all() and (g[~taken] == 0).all()
    f = (x - g[:, None]).numpy().max(2)
    np.testing.assert_allclose(f.sum(1) + g.sum(1), values(x.numpy(), perm))


def test_the_slack_lets_the_duals_of_columns_without_a_row_fall():
    # A bad start: the columns of no row have duals, one needs the other's row.
    x = tf.constant([[[5.0, 4, 0], [5, 1, 0]]], tf.float64)
    x, existing, _ = rectangular.orient(x, None, None)
    for g in ([[3.0, 5, 9]], [[9.0, 9, 9]], [[0.0, 0, 7]]):
        state = augmenting_paths._first_state(
            x, tf.constant(g, tf.float64), tf.zeros(1, tf.bool), existing
        )
        cost = tf.concat([-x, tf.zeros([1, 1, 3], tf.float64)], 1)
        problem = augmenting_paths._Problem(
            cost, tf.constant([[0, 1, 2]]), existing.more_cols
        )
        state = state._replace(class_of=state.row_of)
        for _ in range(30):
            state = augmenting_paths._advance(problem, state)
        assert state.done.numpy().all()
        np.testing.assert_array_equal(state.col_of[:, :2], [[1, 0]])
        v = state.v.numpy()
        assert (v <= 0).all() and v[0, 2] == 0
        f = (x + v[:, None]).numpy().max(2)
        assert f.sum() - v.sum() == 9


@pytest.mark.parametrize("batch", [0, 1, 7, 8, 9, 19])
def test_interior_duals_for_any_number_of_examples(rng, batch):
    # Below, at and above the size of a chunk, among examples that need none.
    x = rng.normal(size=(batch, N, N))
    perm, g = augmenting_paths.assign(tf.constant(x))
    for needed in (np.ones(batch, bool), rng.random(batch) < 0.5):
        moved = interior_duals.move_inside(tf.constant(x), perm, g, needed).numpy()
        np.testing.assert_array_equal(moved[~needed], g.numpy()[~needed])
        reduced = x - moved[:, None]
        chosen = reduced.argmax(2)
        np.testing.assert_array_equal(chosen[needed], perm.numpy()[needed])


def test_batches_without_examples_or_of_size_one(certify):
    for shape in ((0, 1, 1), (0, 5, 5), (1, 1, 1), (3, 1, 1)):
        certified = certify(np.ones(shape))
        assert certified.perm.shape == shape[:2]
        assert (certified.perm.numpy() == 0).all() and (
            certified.gap.numpy() == 0
        ).all()


@pytest.mark.parametrize("jit_compile", [False, True])
def test_slightly_shorter_edges_prove_a_unique_matching(rng, jit_compile):
    x = rng.normal(size=(3, 40, 40))
    # Two equal rows have two best matchings.
    x[2, 7] = x[2, 3]
    x = tf.constant(x)
    perm, g = augmenting_paths.assign(x)
    loosen = tf.function(interior_duals.loosen, jit_compile=jit_compile)
    everyone = tf.fill([3], True)
    moved = loosen(x, perm, g, everyone)
    proven, _ = matching._proves(x, perm, moved)
    assert proven.numpy().tolist() == [True, True, False]
    np.testing.assert_array_equal(moved[2], g[2])
    bound = tf.reduce_sum(moved, 1) + tf.reduce_sum(
        tf.reduce_max(x - moved[:, None], 2), 1
    )
    np.testing.assert_allclose(bound, optima(x.numpy()), atol=1e-5)
    nobody = loosen(x, perm, g, ~everyone)
    np.testing.assert_array_equal(nobody, g)


def test_proofs_of_scores_whose_sums_overflow(rng):
    x = rng.integers(0, 5, size=(2, 150, 150)) * 1e304
    certified = st.certified_matching(x, jit_compile=False)
    assert (certified.gap <= 1e-9 * certified.value).numpy().all()
