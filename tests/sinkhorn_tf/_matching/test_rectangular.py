"""Rectangles and masks, against SciPy on what exists, and by the laws they obey."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

import sinkhorn_tf as st
from sinkhorn_tf._matching import rectangular
from tests.sinkhorn_tf._matching.scipy_reference import best, check, spoil
from tests.sinkhorn_tf._matching.test_matching import FAMILIES, family

SMALL = list(itertools.product(range(1, 7), repeat=2))
LARGE = [(5, 40), (40, 5), (30, 50), (3, 200), (20, 20)]


@pytest.fixture(scope="module")
def certify():
    """One trace for rectangles of any size."""
    return tf.function(
        st.certified_matching, [tf.TensorSpec([None, None, None], tf.float64)]
    )


@pytest.fixture(scope="module")
def certify_masked():
    """One trace for all sizes and masks."""
    return tf.function(
        lambda x, rows, cols: st.certified_matching(x, row_mask=rows, col_mask=cols),
        [
            tf.TensorSpec([None, None, None], tf.float64),
            tf.TensorSpec([None, None], tf.bool),
            tf.TensorSpec([None, None], tf.bool),
        ],
    )


def masks(rng, shape, share=0.6):
    batch, n, m = shape
    return rng.random((batch, n)) < share, rng.random((batch, m)) < share


@pytest.mark.parametrize("n, m", SMALL + LARGE)
def test_rectangles_equal_scipy(rng, certify, n, m):
    x = rng.normal(size=(10, n, m))
    check(x, True, True, certify(x), unique=True)
    x = np.where(rng.random(x.shape) < 0.3, -np.inf, rng.integers(0, 3, x.shape))
    check(x, True, True, certify(x))


@pytest.mark.parametrize("n, m", SMALL + LARGE)
def test_masks_mean_the_submatrix(rng, certify_masked, n, m):
    # Examples differ in which side is longer.
    x = rng.normal(size=(10, n, m))
    rows, cols = masks(rng, x.shape)
    spoiled = spoil(rng, x, rows, cols)
    check(x, rows, cols, certify_masked(spoiled, rows, cols), unique=True)
    x = np.where(rng.random(x.shape) < 0.3, -np.inf, rng.integers(0, 3, x.shape))
    check(x, rows, cols, certify_masked(spoil(rng, x, rows, cols), rows, cols))


@pytest.mark.parametrize(
    "n, m, given, jit_compile",
    [
        # Few items, without a search.
        (3, 5, "", False),
        (3, 5, "rows", False),
        (6, 2, "rows, cols", False),
        (4, 4, "rows, cols", False),
        (3, 5, "rows, cols", True),
        # More of them.
        (15, 12, "cols", False),
        (12, 14, "rows, cols", True),
    ],
)
def test_known_sizes(rng, n, m, given, jit_compile):
    x = rng.normal(size=(24, n, m))
    x[::3] = np.where(rng.random(x[::3].shape) < 0.3, -np.inf, np.round(x[::3]))
    rows, cols = masks(rng, x.shape)
    rows |= "rows" not in given
    cols |= "cols" not in given
    certified = st.certified_matching(
        spoil(rng, x, rows, cols),
        row_mask=rows if "rows" in given else None,
        col_mask=cols if "cols" in given else None,
        jit_compile=jit_compile,
    )
    check(x, rows, cols, certified)
    assert (certified.gap.numpy()[1::3] == 0).all()


def test_popular_columns_with_few_to_spare(rng, certify):
    # Their duals are all but 0, and the first ones leave some that have to fall.
    for n, m in ((12, 13), (29, 30), (30, 50)):
        x = rng.normal(size=(12, n, m)) + 5 * rng.normal(size=(12, 1, m))
        x[::2] = x[::2].round()
        certified = certify(x)
        check(x, True, True, certified)
        assert (certified.gap.numpy()[1::2] == 0).all()


@pytest.mark.parametrize("name", FAMILIES)
def test_every_kind_of_problem(rng, certify_masked, name):
    for n, m in ((16, 13), (5, 16), (3, 4)):
        x = family(rng, name, max(n, m), batch=8)[:, :n, :m]
        for share in (0.8, 1):
            rows, cols = masks(rng, x.shape, share)
            spoiled = spoil(rng, x, rows, cols)
            check(x, rows, cols, certify_masked(spoiled, rows, cols))


@pytest.mark.parametrize("dtype", ["float16", "float32", "int32"])
def test_every_dtype_has_rectangles(rng, dtype):
    x = tf.cast(100 * rng.normal(size=(4, 2, 3)), dtype)
    wide = tf.cast(x, tf.float64).numpy()
    certified = st.certified_matching(x, jit_compile=False)
    check(wide, True, True, certified)


def test_what_trackers_report(certify, certify_masked, rng):
    costs = np.array([[0, 9, 7, 5], [4, 2, 0, 9], [7, 5, 4, 2], [0, 9, 7, 5.0]])
    for n, m in itertools.product(range(1, 5), repeat=2):
        x = -costs[None, :n, :m]
        check(x, True, True, certify(x))
        rows, cols = (np.arange(4) < k for k in (n, m))
        check(-costs[None], rows, cols, certify_masked(-costs[None], [rows], [cols]))
    predictions = rng.normal(size=(11, 10, 5))
    perm = certify(predictions).perm.numpy()
    assert ((perm >= 0).sum(1) == 5).all()


def test_one_item_none_and_one_position(rng, certify_masked):
    x = np.full((4, 3, 5), np.nan)
    x[0, 1], x[3, :, 2] = [1, 4, 2, 0, 3], [1, 5, 2]
    rows = np.array([[0, 1, 0], [0, 0, 0], [1, 1, 1], [1, 1, 1]], bool)
    cols = np.array([[1] * 5, [1] * 5, [0] * 5, [0, 0, 1, 0, 0]], bool)
    certified = certify_masked(x, rows, cols)
    expected = [[-1, 1, -1], [-1, -1, -1], [-1, -1, -1], [-1, 2, -1]]
    np.testing.assert_array_equal(certified.perm, expected)
    np.testing.assert_array_equal(certified.value, [4, 0, 0, 5])
    np.testing.assert_array_equal(certified.upper_bound, [4, 0, 0, 5])
    np.testing.assert_array_equal(certified.gap, 0)


def test_no_answer_is_told_by_nan(rng, certify_masked):
    x = rng.normal(size=(4, 12, 14))
    rows, cols = np.ones((4, 12), bool), np.ones((4, 14), bool)
    rows[:, 9:], cols[:, 12:] = False, False
    clean = certify_masked(x, rows, cols)
    bad = x.copy()
    bad[0, 3, 4], bad[1, 2, 2], bad[2, :9, 3:12] = np.nan, np.inf, -np.inf
    bad[3, :9, :3] = -np.inf
    certified = certify_masked(bad, rows, cols)
    assert (certified.perm.numpy()[:3] == -1).all()
    for part in certified[1:]:
        assert np.isnan(part.numpy()[:3]).all() and np.isfinite(part.numpy()[3])
    check(bad, rows, cols, certified)
    # The neighbours of these examples keep every bit.
    mixed = np.where(np.arange(4)[:, None, None] % 2, x, bad)
    for part, expected in zip(certify_masked(mixed, rows, cols), clean, strict=True):
        np.testing.assert_array_equal(part[1::2], expected[1::2])


def test_masks_broadcast_and_enlarge_the_batch(rng):
    x = rng.normal(size=(3, 4))
    rows = rng.random((5, 1, 3)) < 0.7
    cols = rng.random((2, 4)) < 0.7
    each = {"row_mask": rows, "col_mask": cols, "jit_compile": False}
    certified = st.certified_matching(x, **each)
    np.testing.assert_array_equal(st.matching(x, **each), certified.perm)
    assert certified.perm.shape == (5, 2, 3) and certified.gap.shape == (5, 2)
    for b, c in np.ndindex(5, 2):
        perm, value = best(x, rows[b, 0], cols[c])
        np.testing.assert_array_equal(certified.perm[b, c], perm)
        assert certified.value[b, c].numpy() == pytest.approx(value)


def test_further_padding_changes_nothing(rng, certify, certify_masked):
    x = rng.normal(size=(6, 9, 14))
    alone = certify(x)
    padded = np.full((6, 20, 17), np.nan)
    padded[:, :9, :14] = x
    rows, cols = np.arange(20) < 9, np.arange(17) < 14
    more = certify_masked(padded, np.tile(rows, (6, 1)), np.tile(cols, (6, 1)))
    np.testing.assert_array_equal(more.perm[:, :9], alone.perm)
    for part, expected in zip(more[1:], alone[1:], strict=True):
        np.testing.assert_allclose(part, expected, rtol=1e-14)


def test_the_transpose_gives_the_inverse(rng, certify):
    x = rng.normal(size=(8, 7, 12))
    perm = certify(x).perm
    transposed = certify(np.swapaxes(x, 1, 2)).perm
    np.testing.assert_array_equal(rectangular.invert(perm, 12), transposed)


def test_what_a_constant_changes(rng, certify):
    x = rng.normal(size=(8, 7, 12))
    perm = certify(x).perm
    np.testing.assert_array_equal(certify(x + 3).perm, perm)
    # To a member of the side that is placed whole.
    shifted = x + 5 * rng.normal(size=(8, 7, 1))
    np.testing.assert_array_equal(certify(shifted).perm, perm)
    # To a member of the other side: it is in demand.
    x[:, :, 4] += 100
    assert (certify(x).perm.numpy() == 4).any(axis=1).all()
    x[:, :, 4] -= 200
    assert not (certify(x).perm.numpy() == 4).any()


def test_the_order_of_items_and_positions_does_not_matter(rng, certify):
    x = rng.normal(size=(8, 11, 6))
    rows, cols = rng.permutation(11), rng.permutation(6)
    before, after = certify(x), certify(x[:, rows][:, :, cols])
    np.testing.assert_allclose(before.value, after.value, rtol=1e-14)
    back = np.append(cols, -1)[after.perm.numpy()]
    np.testing.assert_array_equal(back, before.perm.numpy()[:, rows])


def test_the_gradient_is_zero(rng):
    x = tf.constant(rng.normal(size=(2, 2, 3)))
    with tf.GradientTape() as tape:
        tape.watch(x)
        certified = st.certified_matching(
            x, col_mask=[True, True, False], jit_compile=False
        )
    gradient = tape.gradient(certified.value, x)
    assert gradient is None or not gradient.numpy().any()


@pytest.mark.parametrize(
    "known, masked",
    [
        ((None, 20, 20), False),
        ((None, 5, 30), False),
        ((None, 30, 5), True),
        ((2, None, 30), True),
    ],
)
def test_sizes_of_which_some_are_known(rng, known, masked):
    x = rng.normal(size=[size or 6 for size in known])
    rows, cols = masks(rng, x.shape) if masked else (True, True)
    specs = [tf.TensorSpec(known, tf.float64)]
    arguments = {"row_mask": rows, "col_mask": cols} if masked else {}
    specs += [tf.TensorSpec(known[:1] + (size,), tf.bool) for size in known[1:]][
        : len(arguments)
    ]
    function = tf.function(
        lambda x, *masks: st.certified_matching(
            x, **dict(zip(arguments, masks, strict=True))
        ),
        specs,
        autograph=False,
    )
    check(x, rows, cols, function(x, *arguments.values()), unique=True)


def test_shapes_that_are_known():
    @tf.function(input_signature=[tf.TensorSpec([None, 4, 6])])
    def function(x):
        return st.certified_matching(x, row_mask=[True] * 4)

    outputs = function.get_concrete_function().outputs
    assert [output.shape.as_list() for output in outputs] == [[None, 4]] + [[None]] * 3


@pytest.mark.parametrize("function", [st.matching, st.certified_matching])
def test_bad_masks_are_refused(function):
    x = np.zeros((2, 3, 4))
    with pytest.raises(ValueError, match=r"Received: row_mask.shape=\(4,\)"):
        function(x, row_mask=[True] * 4)
    with pytest.raises(TypeError, match="Received: col_mask.dtype=float32"):
        function(x, col_mask=tf.ones([2, 4]))
