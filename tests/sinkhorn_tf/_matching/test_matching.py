import math

import numpy as np
import pytest
import tensorflow as tf
from scipy.optimize import linear_sum_assignment

import sinkhorn_tf as st
from sinkhorn_tf._matching.matching import _proves

SPEC = tf.TensorSpec([None, None, None], tf.float64)


@pytest.fixture(scope="module")
def match():
    """One trace for all sizes."""
    return tf.function(st.matching, [SPEC])


@pytest.fixture(scope="module")
def certify():
    return tf.function(st.certified_matching, [SPEC])


def best(x):
    """The optimal permutation and its value, or None."""
    try:
        _, perm = linear_sum_assignment(np.asarray(x, np.float64), maximize=True)
    except ValueError:
        return None
    return perm, value_of(x, perm)


def value_of(x, perm):
    return math.fsum(float(x[i, j]) for i, j in enumerate(perm))


def family(rng, name, n, batch=6):
    x = rng.normal(size=(batch, n, n))
    if name == "ties":
        x = rng.integers(0, 3, size=x.shape).astype(float)
    elif name == "constant":
        x = np.full(x.shape, 2.5)
    elif name == "forbidden":
        allowed = np.eye(n, dtype=bool)[[rng.permutation(n) for _ in range(batch)]]
        x[(rng.random(x.shape) < 0.6) & ~allowed] = -np.inf
    elif name == "maybe infeasible":
        x[rng.random(x.shape) < 1 - 1.5 / n] = -np.inf
    elif name == "blockers":
        x[rng.random(x.shape) < 0.5] = -1e6
    elif name == "huge":
        x = np.clip(x, -2, 2) * 5e304
    elif name == "tiny":
        x *= 1e-305
    elif name == "products":
        # The matching of sorting: many potentials tie.
        x = np.sort(rng.normal(size=(batch, n, 1)), 1) * np.arange(n)
    return x


FAMILIES = [
    "normal",
    "ties",
    "constant",
    "forbidden",
    "maybe infeasible",
    "blockers",
    "huge",
    "tiny",
    "products",
]


def assert_best(x, perm):
    optimum = best(x)
    if optimum is None:
        assert (perm == -1).all()
        return
    assert sorted(perm) == list(range(len(x)))
    size = np.abs(x[x > -np.inf]).max()
    assert abs(value_of(x, perm) - optimum[1]) <= 1e-13 * len(x) * size


@pytest.mark.parametrize("n", range(1, 41))
def test_equals_scipy_for_every_size(rng, match, n):
    x = rng.normal(size=(3, n, n))
    expected = [best(each)[0] for each in x]
    np.testing.assert_array_equal(match(x), expected)


@pytest.mark.parametrize("n", [2, 5, 16])
@pytest.mark.parametrize("name", FAMILIES)
def test_equals_scipy_for_every_kind_of_problem(rng, match, name, n):
    for x in [family(rng, name, n, batch=12)]:
        for each, perm in zip(x, match(x).numpy(), strict=True):
            assert_best(each, perm)


def test_some_of_the_problems_are_infeasible(rng):
    x = family(rng, "maybe infeasible", 5, batch=12)
    assert {best(each) is None for each in x} == {True, False}


@pytest.mark.parametrize("jit_compile", [None, False])
@pytest.mark.parametrize("shape", [(4, 4), (0, 4, 4), (2, 3, 4, 4), (3, 1, 1)])
def test_any_leading_dimensions(rng, shape, jit_compile):
    x = rng.normal(size=shape)
    perm = st.matching(x, jit_compile=jit_compile)
    assert perm.dtype == tf.int32 and perm.shape == shape[:-1]
    flat = x.reshape(-1, *shape[-2:])
    for each, p in zip(flat, perm.numpy().reshape(-1, shape[-1]), strict=True):
        assert_best(each, p)


@pytest.mark.parametrize("mode", ["eager", "graph", "xla"])
def test_every_mode_agrees(rng, match, mode):
    x = np.concatenate([family(rng, name, 6, 2) for name in FAMILIES])
    x[0, 0, 0], x[1, 2, 3] = np.nan, np.inf
    function = {
        "eager": st.matching,
        "graph": tf.function(st.matching),
        "xla": tf.function(st.matching, jit_compile=True),
    }[mode]
    np.testing.assert_array_equal(function(x), match(x))


@pytest.mark.parametrize(
    "dtype", ["float16", "bfloat16", "float32", "float64", "int8", "int32", "int64"]
)
def test_every_dtype_is_matched_by_its_own_values(rng, dtype):
    x = tf.cast(100 * rng.normal(size=(4, 6, 6)), dtype)
    perm = st.matching(x, jit_compile=False)
    for each, p in zip(tf.cast(x, tf.float64).numpy(), perm.numpy(), strict=True):
        assert_best(each, p)


def test_large_integers_are_exact():
    x = np.array([[2**53 - 1, 2**53 - 2], [0, 0]], np.int64)
    np.testing.assert_array_equal(st.matching(x, jit_compile=False), [0, 1])
    np.testing.assert_array_equal(st.matching(x[:, ::-1], jit_compile=False), [1, 0])


@pytest.mark.parametrize("invalid", [np.nan, np.inf, "infeasible"])
def test_an_invalid_value_stays_in_its_example(rng, match, certify, invalid):
    clean = rng.normal(size=(3, 6, 6))
    bad = clean.copy()
    if invalid == "infeasible":
        bad[1, :, 2] = -np.inf
    else:
        bad[1, 2, 3] = invalid
    perm = match(bad).numpy()
    assert (perm[1] == -1).all()
    np.testing.assert_array_equal(perm[::2], match(clean).numpy()[::2])
    before, after = certify(clean), certify(bad)
    assert (after.perm.numpy()[1] == -1).all()
    for name in ("value", "upper_bound", "gap"):
        assert np.isnan(getattr(after, name)[1])
        np.testing.assert_array_equal(
            getattr(after, name)[::2], getattr(before, name)[::2]
        )


def test_unknown_batch_keeps_static_shapes():
    spec = tf.TensorSpec([None, 4, 4])
    function = tf.function(st.certified_matching, [spec]).get_concrete_function()
    shapes = [output.shape.as_list() for output in function.outputs]
    assert shapes == [[None, 4], [None], [None], [None]]


def test_ends_in_a_loop_of_bounded_length(match):
    # The cost of the worst search, row by row.
    n = 24
    i, j = np.indices((n, n))
    worst = -(i + 1.0) * (j + 1.0)
    for x in (worst, -worst, np.where(i >= j - 1, -1.0 * i, -np.inf)):
        assert_best(x, match(x[None])[0].numpy())


def test_has_no_gradient(rng):
    x = tf.constant(rng.normal(size=(2, 4, 4)))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        matrix = st.permutations.to_matrix(st.matching(x, jit_compile=False))
        value = st.certified_matching(x, jit_compile=False).value
    for output in (matrix, value):
        gradient = tape.gradient(output, x)
        assert gradient is None or not gradient.numpy().any()


@pytest.mark.parametrize("function", [st.matching, st.certified_matching])
@pytest.mark.parametrize(
    "logits, error, received",
    [
        (np.zeros((2, 0)), ValueError, r"\(2, 0\)"),
        (np.zeros(3), ValueError, r"\(3,\)"),
        (np.zeros((0, 0)), ValueError, r"\(0, 0\)"),
        (np.zeros((2, 2), bool), TypeError, "bool"),
        (np.zeros((2, 2), complex), TypeError, "complex128"),
    ],
)
def test_errors_name_the_value_received(function, logits, error, received):
    with pytest.raises(error, match=f"Received: .*{received}"):
        function(logits)


@pytest.mark.parametrize("n", [1, 2, 5, 16])
@pytest.mark.parametrize("name", FAMILIES)
def test_certificates_hold(rng, match, certify, name, n):
    x = family(rng, name, n)
    certified = certify(x)
    np.testing.assert_array_equal(certified.perm, match(x))
    for b, each in enumerate(x):
        value, bound, gap = (
            part.numpy()[b]
            for part in (certified.value, certified.upper_bound, certified.gap)
        )
        assert value.dtype == bound.dtype == gap.dtype == np.float64
        optimum = best(each)
        if optimum is None:
            assert np.isnan([value, bound, gap]).all()
            continue
        size = n * np.abs(each[each > -np.inf]).max()
        assert (
            abs(value - value_of(each, certified.perm.numpy()[b])) <= 1e-15 * n * size
        )
        # Where the gap is 0 the bound is the rounded value itself.
        assert bound >= optimum[1] - 1e-15 * n * size
        assert 0 <= gap <= 1e-11 * size
        assert gap == bound - value


@pytest.mark.parametrize("n", [1, 2, 5, 16, 40])
def test_gap_is_exactly_zero_for_random_logits(rng, certify, n):
    certified = certify(rng.normal(size=(20, n, n)))
    assert (certified.gap.numpy() == 0).all()
    np.testing.assert_array_equal(certified.upper_bound, certified.value)


def test_gap_is_not_zero_where_two_matchings_tie(certify):
    certified = certify(np.ones((1, 3, 3)))
    assert 0 < certified.gap.numpy()[0] < 1e-12


@pytest.mark.parametrize("dtype", ["float16", "int32"])
def test_certificates_are_float64_for_every_dtype(rng, dtype):
    x = tf.cast(10 * rng.normal(size=(2, 4, 4)), dtype)
    certified = st.certified_matching(x, jit_compile=False)
    for part in (certified.value, certified.upper_bound, certified.gap):
        assert part.dtype == tf.float64


def test_no_duals_prove_a_matching_that_is_not_the_best(rng):
    x = rng.normal(size=(200, 4, 4))
    wrong = np.array([np.roll(best(each)[0], 1) for each in x], np.int32)
    optimal_duals = certified_duals(x)
    for g in (optimal_duals, np.zeros((200, 4)), 3 * rng.normal(size=(200, 4))):
        assert not _proves(x, wrong, g)[0].numpy().any()


def test_wrong_duals_prove_nothing(rng):
    x = rng.normal(size=(200, 4, 4))
    perm = np.array([best(each)[0] for each in x], np.int32)
    assert not _proves(x, perm, np.full((200, 4), np.nan))[0].numpy().any()
    # A bribe as large as all logits together draws two rows to one column.
    bribed = np.zeros((200, 4))
    bribed[:, 0] = -100
    assert not _proves(x, perm, bribed)[0].numpy().any()


def certified_duals(x):
    """Column duals of the optimum by linear programming duality, from scipy."""
    from scipy.optimize import linprog

    duals = []
    n = x.shape[-1]
    rows, cols = np.indices((n, n)).reshape(2, -1)
    for each in x:
        constraints = np.eye(n)[rows], np.eye(n)[cols]
        result = linprog(
            np.ones(2 * n), -np.hstack(constraints), -each.ravel(), bounds=(None, None)
        )
        duals.append(result.x[n:])
    return np.array(duals)


def test_numbers_that_are_flushed_to_zero_are_not_proven():
    x = np.array([[0, 1e-310], [1e-310, 0]])
    for jit_compile in (None, False):
        certified = st.certified_matching(x, jit_compile=jit_compile)
        value = x[np.arange(2), certified.perm].sum()
        assert certified.gap.numpy() > 0 or value == 2e-310
        assert certified.upper_bound.numpy() >= 2e-310


def test_sums_that_overflow_give_no_nan(rng):
    certified = st.certified_matching(rng.uniform(-1, 1, (20, 5, 5)) * 1.7e308)
    assert st.permutations.is_permutation(certified.perm).numpy().all()
    assert (
        not np.isnan(certified.upper_bound).any() and (certified.gap.numpy() >= 0).all()
    )


def test_the_temperature_is_deprecated_changes_nothing_and_is_checked(rng):
    x = rng.normal(size=(4, 6, 6))
    with pytest.warns(DeprecationWarning, match="call certified_matching") as caught:
        with_temperature = st.certified_matching(x, temperature=0.1)
    assert caught[0].filename == __file__
    plain = st.certified_matching(x)
    np.testing.assert_array_equal(plain.perm, with_temperature.perm)
    with pytest.raises(ValueError, match="Received: temperature=-1"):
        st.certified_matching(x, temperature=-1)
