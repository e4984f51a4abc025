"""`partial_matching` against brute force and SciPy, its certificates and its laws."""

import fractions
import itertools

import numpy as np
import pytest
import tensorflow as tf
from scipy.optimize import linear_sum_assignment

import sinkhorn_tf as st
from tests.sinkhorn_tf._matching.scipy_reference import spoil
from tests.sinkhorn_tf._matching.test_matching import FAMILIES, family
from tests.sinkhorn_tf._matching.test_rectangular import masks

SMALL = list(itertools.product(range(1, 5), repeat=2))


@pytest.fixture(scope="module")
def certify():
    """One trace for all sizes, masks and scores."""
    return tf.function(
        lambda x, score, rows, cols: st.partial_matching(
            x, score, row_mask=rows, col_mask=cols, certified=True
        ),
        [
            tf.TensorSpec([None, None, None], tf.float64),
            tf.TensorSpec([None], tf.float64),
            tf.TensorSpec([None, None], tf.bool),
            tf.TensorSpec([None, None], tf.bool),
        ],
    )


def partial_matchings(n, m):
    """All of them, as lists with -1 for an item without a position."""
    for perm in itertools.product(range(-1, m), repeat=n):
        placed = [j for j in perm if j >= 0]
        if len(placed) == len(set(placed)):
            yield np.array(perm)


def value_of(x, score, perm):
    placed = np.flatnonzero(perm >= 0)
    return (x[placed, perm[placed]] - score).sum()


def brute_force(x, score):
    """The optimum, and the number of matchings without a tied pair that have it."""
    n, m = x.shape
    values = [
        value_of(x, score, perm)
        for perm in partial_matchings(n, m)
        if all(x[i, j] > score for i, j in enumerate(perm) if j >= 0)
    ]
    return max(values), np.sum(np.array(values) > max(values) - 1e-12)


def scipy_optimum(x, score):
    """With a dummy column of the score for each row, all of SciPy's rows are placed."""
    n, m = x.shape
    if not n or not m:
        return 0.0
    padded = np.full((n, m + n), float(score))
    padded[:, :m] = x
    i, j = linear_sum_assignment(padded, maximize=True)
    return (padded[i, j] - score).sum()


def check(x, score, rows, cols, certified, unique=False):
    """Checks a batch of partial matchings and their certificates."""
    rows = np.broadcast_to(rows, x.shape[:2])
    cols = np.broadcast_to(cols, (len(x), x.shape[2]))
    scores = np.broadcast_to(score, len(x))
    parts = (part.numpy() for part in certified)
    for each, s, r, c, perm, value, bound, gap in zip(
        x, scores, rows, cols, *parts, strict=True
    ):
        exists = each[np.ix_(r, c)]
        if not (exists < np.inf).all() or not np.isfinite(s):
            assert (perm == -1).all() and np.isnan([value, bound, gap]).all()
            continue
        placed = np.flatnonzero(perm >= 0)
        assert len(placed) == len(set(perm[placed]))
        assert r[placed].all() and c[perm[placed]].all()
        assert (each[placed, perm[placed]] > s).all()
        optimum = scipy_optimum(exists, s)
        size = np.abs(exists[exists > -np.inf]).sum() + exists.size * abs(s)
        assert abs(value_of(each, s, perm) - optimum) <= 1e-13 * size
        assert abs(value - optimum) <= 1e-13 * size
        assert bound >= optimum - 1e-15 * size
        assert 0 <= gap <= 1e-11 * size + 1e-300 and gap == bound - value
        assert not unique or gap == 0


@pytest.mark.parametrize("n, m", SMALL)
def test_small_ones_equal_brute_force(rng, certify, n, m):
    x = rng.normal(size=(12, n, m))
    x[::2] = np.where(rng.random(x[::2].shape) < 0.2, -np.inf, (2 * x[::2]).round())
    score = np.where(np.arange(12) % 4 < 2, 0.0, rng.normal(size=12))
    certified = certify(x, score, np.ones((12, n), bool), np.ones((12, m), bool))
    check(x, score, True, True, certified)
    for b in range(12):
        optimum, count = brute_force(x[b], score[b])
        assert certified.value[b].numpy() == pytest.approx(optimum, abs=1e-13)
        if count == 1:
            assert certified.gap[b].numpy() == 0


@pytest.mark.parametrize(
    "n, m", [(1, 9), (9, 1), (6, 6), (5, 40), (40, 5), (30, 50), (20, 20)]
)
def test_larger_ones_equal_scipy_with_dummies(rng, certify, n, m):
    score = rng.normal(size=12) + np.arange(12) % 3
    rows, cols = masks(rng, (12, n, m), 0.8)
    rows[::2], cols[::2] = True, True
    x = rng.normal(size=(12, n, m))
    spoiled = spoil(rng, x, rows, cols)
    check(x, score, rows, cols, certify(spoiled, score, rows, cols), unique=True)
    x = np.where(rng.random(x.shape) < 0.3, -np.inf, rng.integers(-2, 3, x.shape))
    score = score.round()
    spoiled = spoil(rng, x, rows, cols)
    check(x, score, rows, cols, certify(spoiled, score, rows, cols))


@pytest.mark.parametrize("name", FAMILIES)
def test_every_kind_of_problem(rng, certify, name):
    x = family(rng, name, 13, batch=8)[:, :11]
    finite = x[np.isfinite(x)]
    score = np.quantile(finite, np.linspace(0.1, 0.95, 8))
    rows, cols = masks(rng, x.shape, 0.8)
    spoiled = spoil(rng, x, rows, cols)
    check(x, score, rows, cols, certify(spoiled, score, rows, cols))


@pytest.mark.parametrize(
    "n, m, given, jit_compile",
    [
        (1, 1, "", False),
        (3, 2, "rows", True),
        (4, 4, "rows, cols", False),
        (12, 12, "", False),
    ],
)
def test_known_sizes(rng, n, m, given, jit_compile):
    x = rng.normal(size=(16, n, m))
    x[::3] = np.where(rng.random(x[::3].shape) < 0.3, -np.inf, np.round(x[::3]))
    rows, cols = masks(rng, x.shape)
    rows |= "rows" not in given
    cols |= "cols" not in given
    score = np.linspace(-1, 1.5, 16).round(1)
    options = {
        "row_mask": rows if "rows" in given else None,
        "col_mask": cols if "cols" in given else None,
    }
    spoiled = spoil(rng, x, rows, cols)
    certified = st.partial_matching(
        spoiled, score, certified=True, jit_compile=jit_compile, **options
    )
    check(x, score, rows, cols, certified)
    perm = st.partial_matching(spoiled, score, jit_compile=False, **options)
    for b in range(16):
        alone = value_of(x[b], score[b], perm[b].numpy())
        assert alone == pytest.approx(certified.value[b].numpy(), abs=1e-13)


def test_a_tie_stays_unmatched():
    logits = [[1.0, 0.5], [0.5, 2.0]]
    for score, expected in ((1.0, [-1, 1]), (2.0, [-1, -1]), (0.9, [0, 1])):
        perm = st.partial_matching(logits, score, jit_compile=False)
        np.testing.assert_array_equal(perm, expected)
    # Python numbers are compared as they were written.
    for dtype in (tf.float16, tf.float32, tf.float64):
        score = 0.5 if dtype == tf.float16 else 0.1
        logits = tf.constant([[score]], dtype)
        perm = st.partial_matching(logits, score, jit_compile=False)
        np.testing.assert_array_equal(perm, [-1])
    # A difference that is rounded away would be a tie.
    x = np.float64([[1 + 2.0**-52]])
    assert st.partial_matching(x, 1.0, jit_compile=False).numpy() == 0
    above = st.partial_matching([[0.1]], np.float64(0.1), jit_compile=False)
    np.testing.assert_array_equal(above, [0])


def test_the_rounding_of_differences_proves_nothing(certify):
    # Both differences are rounded to the same number, but not the logits.
    x = np.float64([[[2.0**-60, 2.0**-61], [0, 0]]])
    certified = certify(x, [-1.0], np.ones((1, 2), bool), np.ones((1, 2), bool))
    exact = [[fractions.Fraction(v) for v in row] for row in x[0]]
    optimum = max(
        sum(exact[i][j] + 1 for i, j in enumerate(perm) if j >= 0)
        for perm in partial_matchings(2, 2)
    )
    assert fractions.Fraction(float(certified.upper_bound[0])) >= optimum
    assert certified.gap.numpy() > 0


def test_integers_and_16_bits(rng):
    x = rng.integers(-5, 6, (6, 4, 5))
    for logits in (x, tf.cast(x, tf.float16), tf.cast(x, tf.bfloat16)):
        certified = st.partial_matching(logits, 0.5, certified=True, jit_compile=False)
        check(x.astype(float), 0.5, True, True, certified)
        assert certified.value.dtype == tf.float64
    score = tf.constant(0.1, tf.float32)
    certified = st.partial_matching(x, score, certified=True, jit_compile=False)
    check(x.astype(float), np.float64(np.float32(0.1)), True, True, certified)


def test_the_range_of_float64(rng, certify):
    largest = np.finfo(np.float64).max
    x = np.array([[[largest, 1], [1, -largest]], [[1e-300, -1], [-1, 2e-300]]])
    whole = np.ones((2, 2), bool)
    certified = certify(x, [-largest, 0], whole, whole)
    assert (certified.perm[0].numpy() >= -1).all() and certified.perm[0, 0] >= 0
    np.testing.assert_array_equal(certified.perm[1], [0, 1])
    assert certified.value[1].numpy() == 3e-300 and certified.gap[1].numpy() == 0
    certified = certify(x / 4, [-largest / 8, 0], whole, whole)
    assert np.isfinite(certified.value[0]) and certified.gap[0].numpy() >= 0
    np.testing.assert_array_equal(certified.perm, [[0, -1], [0, 1]])


def test_empty_sides(rng, certify):
    x = np.full((3, 2, 4), np.nan)
    rows = np.array([[0, 0], [1, 1], [0, 0]], bool)
    cols = np.array([[1] * 4, [0] * 4, [0] * 4], bool)
    certified = certify(x, [0.0, 1.0, -1.0], rows, cols)
    assert (certified.perm.numpy() == -1).all()
    for part in certified[1:]:
        np.testing.assert_array_equal(part, 0)
    # A score that leaves all unmatched.
    x, whole = rng.normal(size=(3, 5, 5)), np.ones((3, 5), bool)
    certified = certify(x, np.full(3, 99.0), whole, whole)
    assert (certified.perm.numpy() == -1).all()
    for part in certified[1:]:
        np.testing.assert_array_equal(part, 0)


def test_an_invalid_example_is_alone(rng, certify):
    x, whole = rng.normal(size=(6, 12, 12)), np.ones((6, 12), bool)
    score = np.full(6, 0.5)
    clean = certify(x, score, whole, whole)
    bad, bad_score = x.copy(), score.copy()
    bad[0, 3, 4], bad[1, 2, 2] = np.nan, np.inf
    bad_score[2:5] = np.nan, np.inf, -np.inf
    certified = certify(bad, bad_score, whole, whole)
    check(bad, bad_score, True, True, certified)
    for part, expected in zip(certified, clean, strict=True):
        np.testing.assert_array_equal(part[5], expected[5])


def test_a_low_score_places_the_smaller_side_whole(rng):
    x = rng.normal(size=(4, 6, 9))
    perm = st.partial_matching(x, -100.0, jit_compile=False)
    np.testing.assert_array_equal(perm, st.matching(x, jit_compile=False))


def test_it_is_the_limit_of_the_plan_with_dustbins(rng, certify):
    solve = tf.function(
        lambda x, rows, cols: (
            st.sinkhorn_solve(
                x, 1e-4, max_iters=500, row_marginals=rows, col_marginals=cols
            ).plan
        ),
        [tf.TensorSpec([None] * rank, tf.float64) for rank in (3, 1, 1)],
    )
    scores = np.array([-3.0, 0.0, 0.6, 5.0])
    for n, m in ((1, 1), (2, 3), (5, 4), (6, 6)):
        x, whole = rng.normal(size=(4, n, m)), np.ones((4, n + m), bool)
        perm = certify(x, scores, whole[:, :n], whole[:, n:]).perm
        extended = np.broadcast_to(scores[:, None, None], (4, n + 1, m + 1)).copy()
        extended[:, :n, :m] = x
        plan = solve(extended, [1.0] * n + [m], [1.0] * m + [n])
        hard = st.permutations.to_matrix(perm, n_positions=m)
        np.testing.assert_allclose(plan[:, :n, :m], hard, atol=1e-3)


def test_laws(rng, certify):
    x, score = rng.normal(size=(8, 11, 6)), np.full(8, 0.7)
    whole = np.ones((8, 11), bool), np.ones((8, 6), bool)
    before = certify(x, score, *whole)
    rows, cols = rng.permutation(11), rng.permutation(6)
    after = certify(x[:, rows][:, :, cols], score, *whole)
    back = np.append(cols, -1)[after.perm.numpy()]
    np.testing.assert_array_equal(back, before.perm.numpy()[:, rows])
    shifted = certify(x + 3, score + 3, *whole)
    np.testing.assert_array_equal(shifted.perm, before.perm)
    np.testing.assert_allclose(shifted.value, before.value, rtol=1e-12)
    transposed = certify(np.swapaxes(x, 1, 2), score, *whole[::-1]).perm
    inverse = st.permutations.inverse(before.perm, n_positions=6)
    np.testing.assert_array_equal(transposed, inverse)


def test_scores_and_masks_enlarge_the_batch(rng):
    x, score = rng.normal(size=(3, 4)), rng.normal(size=(2, 1))
    rows = rng.random((5, 3)) < 0.7
    perm = st.partial_matching(x, score, row_mask=rows, jit_compile=False)
    assert perm.shape == (2, 5, 3)
    for a, b in np.ndindex(2, 5):
        alone = st.partial_matching(x, score[a, 0], row_mask=rows[b], jit_compile=False)
        np.testing.assert_array_equal(perm[a, b], alone)


def test_shapes_and_gradient(rng):
    @tf.function(input_signature=[tf.TensorSpec([None, 2, 3])])
    def function(x):
        return st.partial_matching(x, 0.5, certified=True)

    outputs = function.get_concrete_function().outputs
    assert [output.shape.as_list() for output in outputs] == [[None, 2]] + [[None]] * 3
    x = tf.constant(rng.normal(size=(2, 2, 3)), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = function(x).value
    gradient = tape.gradient(value, x)
    assert gradient is None or not gradient.numpy().any()


def test_bad_scores_are_refused():
    x = np.zeros((2, 3, 4))
    for bad in (np.nan, np.inf, tf.constant([0.0, -np.inf])):
        with pytest.raises(
            ValueError, match="unmatched_score must be finite. Received"
        ):
            st.partial_matching(x, bad)
    with pytest.raises(ValueError, match=r"Received: unmatched_score.shape=\(3,\)"):
        st.partial_matching(x, [0.0, 0.0, 0.0])


@pytest.mark.parametrize("shape", [[2, 5, None], [2, None, 3]])
@pytest.mark.parametrize("certified", [False, True])
def test_partly_known_sizes(rng, shape, certified):
    spec = tf.TensorSpec(shape, tf.float64)
    score = tf.constant([0.1, 0.4], tf.float64)
    match = tf.function(
        lambda x: st.partial_matching(x, score, certified=certified),
        input_signature=[spec],
    )
    x = rng.normal(size=(2, 5, 3))
    answer, expected = match(x), st.partial_matching(x, score)
    perm = answer.perm if certified else answer
    np.testing.assert_array_equal(perm, expected)
