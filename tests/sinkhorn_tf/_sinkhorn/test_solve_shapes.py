"""`sinkhorn_solve` of rectangles, and of what masks leave of them."""

import numpy as np
import pytest
import tensorflow as tf

import sinkhorn_tf as st
from tests.sinkhorn_tf.sinkhorn_reference import (
    assert_relatively_close,
    masked_reference,
    random_masks,
    rectangular_reference,
)


@pytest.fixture
def masked(rng):
    """Logits whose missing pairs are NaN, the clean ones, and keyword masks."""
    x = rng.normal(size=(9, 5, 6))
    row_mask, col_mask = random_masks(rng, 9, 5, 6)
    poisoned = x.copy()
    poisoned[~(row_mask[:, :, None] & col_mask[:, None, :])] = np.nan
    return poisoned, x, {"row_mask": row_mask, "col_mask": col_mask}


@pytest.mark.parametrize("jit_compile", [None, True])
@pytest.mark.parametrize("n, m", [(1, 4), (4, 1), (4, 7), (7, 4), (3, 40), (40, 3)])
def test_rectangles_equal_many_iterations(rng, n, m, jit_compile):
    x, t = rng.normal(size=(2, n, m)), np.array([1, 0.2])
    solution = st.sinkhorn_solve(x, t, tolerance=1e-10, jit_compile=jit_compile)
    assert solution.converged.numpy().all()
    assert solution.residual.numpy().max() <= 1e-10
    for b in range(2):
        expected = rectangular_reference(x[b], t[b], 4000)
        np.testing.assert_allclose(solution.plan[b], expected, atol=1e-8)
    rows, cols = solution.row_potential.numpy(), solution.col_potential.numpy()
    log_plan = (x - rows[:, :, None] - cols[:, None, :]) / t[:, None, None]
    np.testing.assert_allclose(np.exp(log_plan), solution.plan, rtol=1e-9)
    longer = rows if n > m else cols
    # A slack of logit 0 and potential 0 has exp(-potential / t) <= 1 of each.
    assert longer.min() >= -1e-9
    slack = np.exp(-longer / t[:, None]).sum(1)
    np.testing.assert_allclose(slack, abs(m - n), rtol=1e-9)


def test_masks_equal_the_submatrix(masked):
    poisoned, x, masks = masked
    t = np.linspace(0.3, 1, 9)
    solution = st.sinkhorn_solve(poisoned, t, tolerance=1e-10, **masks)
    assert solution.converged.numpy().all()
    expected = masked_reference(x, t, 4000, **masks)
    np.testing.assert_allclose(solution.plan, expected, atol=1e-8)
    row_mask, col_mask = masks.values()
    rows, cols = solution.row_potential.numpy(), solution.col_potential.numpy()
    assert not rows[~row_mask].any() and not cols[~col_mask].any()
    for b in range(9):
        sub = x[b][row_mask[b]][:, col_mask[b]]
        if not sub.size:
            assert not rows[b].any() and not cols[b].any()
            continue
        alone = st.sinkhorn_solve(sub, t[b], tolerance=1e-10)
        np.testing.assert_allclose(rows[b][row_mask[b]], alone.row_potential, atol=1e-8)
        np.testing.assert_allclose(cols[b][col_mask[b]], alone.col_potential, atol=1e-8)
        if sub.shape[0] == sub.shape[1]:
            np.testing.assert_allclose(rows[b].sum(), cols[b].sum(), atol=1e-8)


def test_low_temperatures_go_to_the_rectangular_assignment(rng):
    x = rng.normal(size=(4, 6, 9))
    solution = st.sinkhorn_solve(x, 1e-3)
    assert solution.converged.numpy().all()
    plan = solution.plan.numpy()
    np.testing.assert_allclose(plan.sum(2), 1, atol=1e-6)
    assert (np.sort(plan, 2)[:, :, -1] > 0.99).all()
    # The duals of what nobody takes are 0 in the limit.
    free = plan.sum(1) < 0.01
    assert (solution.col_potential.numpy()[free] < 0.01).all()


@pytest.mark.parametrize("n, m", [(4, 6), (6, 4)])
def test_laws_of_the_limit(rng, n, m):
    x = rng.normal(size=(n, m))
    solve = lambda x: st.sinkhorn_solve(x, 0.3, tolerance=1e-11).plan.numpy()
    plan = solve(x)
    np.testing.assert_allclose(solve(x.T).T, plan, atol=1e-9)
    np.testing.assert_allclose(solve(x + 5), plan, atol=1e-9)
    shorter, longer = x.copy(), x.copy()
    (shorter if n < m else shorter.T)[0] += 3
    (longer.T if n < m else longer)[0] += 3
    np.testing.assert_allclose(solve(shorter), plan, atol=1e-9)
    assert np.abs(solve(longer) - plan).max() > 0.05
    dummies = np.zeros((max(n, m), max(n, m)))
    dummies[:n, :m] = x
    np.testing.assert_allclose(solve(dummies)[:n, :m], plan, atol=1e-9)


def test_forbidden_pairs_that_leave_no_placing_are_told(rng):
    x = rng.normal(size=(4, 3, 5))
    # Two items for one position; an item for none; as the first, but one is masked;
    # enough positions.
    x[0, :2, 1:] = -np.inf
    x[1, 1] = -np.inf
    x[2, :2, 1:] = -np.inf
    x[3, :2, 2:] = -np.inf
    row_mask = np.ones((4, 3), bool)
    row_mask[2, 1] = False
    solution = st.sinkhorn_solve(x, 0.5, row_mask=row_mask)
    assert solution.converged.numpy().tolist() == [False, False, True, True]
    for each in solution[:2]:
        assert np.isfinite(each.numpy()).all()
    flipped = st.sinkhorn_solve(x.transpose(0, 2, 1), 0.5, col_mask=row_mask)
    assert flipped.converged.numpy().tolist() == [False, False, True, True]


def test_an_invalid_value_stays_in_its_example(rng):
    x = rng.normal(size=(3, 4, 5))
    bad = x.copy()
    bad[1, 0, 0] = np.nan
    row_mask = [True, True, True, False]
    clean = st.sinkhorn_solve(x, 0.3, row_mask=row_mask)
    solution = st.sinkhorn_solve(bad, 0.3, row_mask=row_mask)
    for a, e in zip(solution, clean, strict=True):
        np.testing.assert_array_equal(a.numpy()[[0, 2]], e.numpy()[[0, 2]])
    assert np.isnan(solution.plan[1, :3]).all()
    assert not solution.plan[1, 3].numpy().any()
    assert np.isnan(solution.residual[1]) and not solution.converged[1]


@pytest.mark.parametrize("n, m", [(3, 5), (5, 3), (4, 4)])
def test_derivatives_equal_central_differences(rng, n, m):
    x, t = rng.normal(size=(2, n, m)), np.array([0.5, 0.8])
    row_mask = np.arange(n) != 1
    weights = [rng.normal(size=shape) for shape in ((2, n, m), (2, n), (2, m))]

    def loss(x, t):
        solution = st.sinkhorn_solve(x, t, tolerance=1e-13, row_mask=row_mask)
        parts = (solution.plan, solution.row_potential, solution.col_potential)
        return sum(tf.reduce_sum(w * p) for w, p in zip(weights, parts, strict=True))

    logits, temperature = tf.constant(x), tf.constant(t)
    with tf.GradientTape() as tape:
        tape.watch([logits, temperature])
        value = loss(logits, temperature)
    to_x, to_t = tape.gradient(value, [logits, temperature])
    assert not to_x.numpy()[:, 1].any()
    step = 1e-5
    for index in np.ndindex(x.shape):
        moved = np.zeros_like(x)
        moved[index] = step
        slope = (loss(x + moved, t) - loss(x - moved, t)) / (2 * step)
        assert abs(slope - to_x[index]) < 1e-6
    for b in range(2):
        moved = step * np.eye(2)[b]
        slope = (loss(x, t + moved) - loss(x, t - moved)) / (2 * step)
        assert abs(slope - to_t[b]) < 1e-6


def test_second_derivatives_equal_central_differences(rng):
    x = rng.normal(size=(1, 3, 4))
    x[0, 0, 1] = -np.inf
    direction = rng.normal(size=x.shape)
    weights = rng.normal(size=x.shape)

    def gradient(x):
        logits = tf.constant(x)
        with tf.GradientTape() as tape:
            tape.watch(logits)
            solution = st.sinkhorn_solve(logits, 0.5, tolerance=1e-13)
            loss = tf.reduce_sum(weights * solution.plan)
            loss += tf.reduce_sum(solution.row_potential**2)
        return tape.gradient(loss, logits)

    logits = tf.constant(x)
    with tf.GradientTape() as outer:
        outer.watch(logits)
        product = tf.reduce_sum(direction * gradient(logits))
    actual = outer.gradient(product, logits).numpy()
    step = 1e-5 * direction
    expected = (gradient(x + step) - gradient(x - step)) / 2e-5
    assert_relatively_close(actual, expected.numpy(), 1e-6)


def test_unknown_sizes(rng):
    spec = tf.TensorSpec([None, None, None], tf.float64)
    solve = tf.function(lambda x: st.sinkhorn_solve(x, 0.5), input_signature=[spec])
    for n, m in [(3, 5), (5, 3), (4, 4)]:
        x = rng.normal(size=(2, n, m))
        solution, expected = solve(x), st.sinkhorn_solve(x, 0.5)
        for a, e in zip(solution[:3], expected[:3], strict=True):
            np.testing.assert_allclose(a, e, atol=1e-5)
        assert solution.converged.numpy().all()
