import keras
import numpy as np
import pytest
import tensorflow as tf

import sinkhorn_tf as st
from tests.sinkhorn_tf.sinkhorn_reference import (
    assert_relatively_close,
    gradients,
    naive,
    operator,
)


@pytest.mark.parametrize("dtype, rtol", [(np.float32, 5e-4), (np.float64, 1e-10)])
@pytest.mark.parametrize("n_iters", [0, 1, 20, 45])
def test_unrolled_gradients_equal_naive_autodiff(rng, n_iters, dtype, rtol):
    x = rng.normal(size=(4, 5, 5)).astype(dtype)
    t = np.array([1, 0.3, 0.1, 0.05], dtype)
    weights = rng.normal(size=(4, 5, 5))
    actual = gradients(operator(n_iters), x, t, weights)
    expected = gradients(
        lambda x, t: naive(x, t, n_iters),
        x.astype(np.float64),
        t.astype(np.float64),
        weights,
    )
    for b in range(4):
        assert_relatively_close(actual[0][b], expected[0][b], rtol)
        assert_relatively_close(actual[1][b], expected[1][b], rtol)


def test_unrolled_gradients_equal_central_differences(rng):
    x = rng.normal(size=(4, 5, 5))
    t = np.array([1, 0.3, 0.1, 0.05])
    weights = rng.normal(size=(4, 5, 5))
    to_x, to_t = gradients(operator(20), x, t, weights)
    loss = lambda x, t: (weights * operator(20)(x, t)).numpy().sum((1, 2))
    step = 1e-6
    for i in range(5):
        for j in range(5):
            moved = np.zeros_like(x)
            moved[:, i, j] = step
            slope = (loss(x + moved, t) - loss(x - moved, t)) / (2 * step)
            np.testing.assert_allclose(to_x[:, i, j], slope, rtol=1e-5, atol=1e-7)
    step *= t
    slope = (loss(x, t + step) - loss(x, t - step)) / (2 * step)
    np.testing.assert_allclose(to_t, slope, rtol=1e-5, atol=1e-7)


def test_gradients_through_absorbed_bases_equal_naive_autodiff(rng):
    x = rng.normal(size=(4, 5, 5))
    # Rows that want the same column: the scalings outgrow their base.
    x[:, :, 0] += 3
    t = np.full(4, 0.003)
    weights = rng.normal(size=(4, 5, 5))
    actual = gradients(operator(45), x, t, weights)
    expected = gradients(lambda x, t: naive(x, t, 45), x, t, weights)
    for a, e in zip(actual, expected, strict=True):
        assert_relatively_close(a, e, 1e-8)


@pytest.mark.parametrize(
    "mode, gradient",
    [("eager", "unrolled"), ("graph", "unrolled"), ("xla", "implicit")],
)
def test_gradients_agree_in_every_mode(rng, mode, gradient):
    x = rng.normal(size=(3, 4, 4)).astype(np.float32)
    t = np.array([1, 0.5, 0.2], np.float32)
    weights = rng.normal(size=(3, 4, 4))
    expected = gradients(operator(3, gradient=gradient), x, t, weights)
    actual = gradients(operator(3, mode, gradient=gradient), x, t, weights)
    for a, e in zip(actual, expected, strict=True):
        assert_relatively_close(a, e, 2e-5)


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"tolerance": 1e-3}])
def test_gradients_of_many_blocks_agree_under_xla(rng, options):
    x = rng.normal(size=(3, 4, 4))
    t = np.array([1, 0.1, 0.002])
    weights = rng.normal(size=(3, 4, 4))
    expected = gradients(operator(65, **options), x, t, weights)
    actual = gradients(operator(65, "xla", **options), x, t, weights)
    for a, e in zip(actual, expected, strict=True):
        assert_relatively_close(a, e, 1e-8)


def test_implicit_gradient_equals_long_unrolled_at_convergence(rng):
    x = rng.normal(size=(3, 5, 5))
    t = np.array([1, 0.5, 0.3])
    weights = rng.normal(size=(3, 5, 5))
    implicit = gradients(operator(400, gradient="implicit"), x, t, weights)
    unrolled = gradients(operator(400), x, t, weights)
    for i, u in zip(implicit, unrolled, strict=True):
        assert_relatively_close(i, u, 1e-8)


def test_implicit_gradient_is_finite_for_permutations_and_forbidden_pairs(rng):
    x = rng.normal(size=(4, 4, 4)).astype(np.float32)
    x[0] = 100 * np.eye(4)
    x[1, :, 2] = -np.inf
    x[2, 1] = -np.inf
    x[3, 0, 1:] = x[3, 1, 1:] = -np.inf
    function = operator(20, gradient="implicit")
    weights = rng.normal(size=x.shape)
    for g in gradients(function, x, np.full(4, 0.1, np.float32), weights):
        assert np.isfinite(g).all()


@pytest.mark.parametrize("n", [2, 3, 5])
@pytest.mark.parametrize("n_iters", [40, 66, 70, 90])
def test_gradients_stay_finite_while_infeasible_scalings_grow(rng, n, n_iters):
    x = rng.normal(size=(2, n, n)).astype(np.float32)
    # Two rows for one column: their scalings grow with every iteration.
    x[0, :2, 1:] = -np.inf
    function = operator(n_iters)
    t, weights = np.ones(2, np.float32), rng.normal(size=x.shape)
    for g in (function(x, t), *gradients(function, x, t, weights)):
        assert np.isfinite(g).all()


@pytest.mark.parametrize("n, n_iters, dtype", [(30, 60, np.float64), (7, 60, float)])
def test_gradients_of_settled_iterations_equal_naive_autodiff(rng, n, n_iters, dtype):
    x = rng.normal(size=(3, n, n)).astype(dtype)
    # The first settles after a few iterations, the last not at all.
    t = np.array([2, 0.5, 0.05], dtype)
    weights = rng.normal(size=x.shape)
    actual = gradients(operator(n_iters), x, t, weights)
    expected = gradients(lambda x, t: naive(x, t, n_iters), x, t, weights)
    for b in range(3):
        for a, e in zip(actual, expected, strict=True):
            assert_relatively_close(a[b], e[b], 1e-9)


def test_an_example_does_not_depend_on_when_its_neighbours_settle(rng):
    x = rng.normal(size=(2, 30, 30)).astype(np.float32)
    weights = rng.normal(size=x.shape)
    function = operator(100)
    for other in (2, 0.3, 0.01):
        t = np.array([1, other], np.float32)
        result = [function(x, t).numpy(), *gradients(function, x, t, weights)]
        if other == 2:
            first = result
        for a, b in zip(result, first, strict=True):
            np.testing.assert_array_equal(a[0], b[0])


def second_derivatives(function, x, t, directions):
    """Gradient of `<gradient of sum(plan^2), directions> + d / dt`."""
    x, t = tf.convert_to_tensor(x), tf.convert_to_tensor(t)
    with tf.GradientTape() as outer:
        outer.watch([x, t])
        with tf.GradientTape() as inner:
            inner.watch([x, t])
            loss = tf.reduce_sum(function(x, t) ** 2)
        to_x, to_t = inner.gradient(loss, [x, t])
        total = tf.reduce_sum(to_x * directions) + tf.reduce_sum(to_t)
    return outer.gradient(total, [x, t])


@pytest.mark.parametrize(
    "mode, n, n_iters",
    [
        ("graph", 4, 45),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (
                ("eager", 4, 20),
                ("eager", 4, 45),
                ("graph", 26, 12),
                ("xla", 4, 45),
                ("xla", 26, 12),
            )
        ),
    ],
)
def test_second_derivatives_equal_naive_autodiff(rng, mode, n, n_iters):
    x = rng.normal(size=(2, n, n))
    t = np.array([1, 0.2])
    directions = rng.normal(size=x.shape)
    wrap = {"eager": lambda f: f, "graph": tf.function}.get(
        mode, lambda f: tf.function(f, jit_compile=True)
    )
    function = lambda x, t: st.sinkhorn(x, t, n_iters)
    actual = wrap(lambda x, t: second_derivatives(function, x, t, directions))(x, t)
    expected = second_derivatives(lambda x, t: naive(x, t, n_iters), x, t, directions)
    for a, e in zip(actual, expected, strict=True):
        assert_relatively_close(a, e, 1e-9)


def test_second_derivatives_that_xla_refuses_say_so(rng):
    x, t = rng.normal(size=(2, 4, 4)), np.ones(2)
    function = lambda x, t: st.sinkhorn(x, t, 45, jit_compile=True)
    with pytest.raises(NotImplementedError, match="inside a tf.function"):
        second_derivatives(function, x, t, np.ones_like(x))


@pytest.mark.parametrize("options", [{}, {"tolerance": 1e-3}])
@pytest.mark.parametrize("gradient", ["unrolled", "implicit"])
def test_vectorized_map_equals_the_batch(rng, gradient, options):
    x = tf.constant(rng.normal(size=(3, 30, 30)))

    def plan_and_gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            plan = st.sinkhorn(
                x, 0.5, 40, gradient=gradient, jit_compile=False, **options
            )
            loss = tf.reduce_sum(plan**2)
        return plan, tape.gradient(loss, x)

    mapped = tf.function(lambda x: tf.vectorized_map(plan_and_gradient, x))(x)
    for a, e in zip(mapped, plan_and_gradient(x), strict=True):
        assert_relatively_close(a, e, 1e-10)


def test_jacobian_equals_that_of_naive_iterations(rng):
    x, t = tf.constant(rng.normal(size=(2, 26, 26))), tf.ones(2, tf.float64)

    def jacobian(function):
        with tf.GradientTape() as tape:
            tape.watch(x)
            row = function(x, t)[:, 0]
        return tape.batch_jacobian(row, x)

    actual = tf.function(jacobian)(lambda x, t: st.sinkhorn(x, t, 12))
    expected = tf.function(jacobian)(lambda x, t: naive(x, t, 12))
    assert_relatively_close(actual, expected, 1e-10)


def test_training_stays_finite_where_a_plain_kernel_overflows(rng):
    """120 numbers and 100 iterations at the rate of Mena et al. (2018), section 4.1."""
    n = 120
    x = tf.constant(rng.uniform(size=(10, n, 1)).astype(np.float32))

    def plain(z):
        kernel, v = tf.exp(z), tf.ones_like(z[:, :1])
        for _ in range(100):
            u = 1 / tf.matmul(kernel, v, transpose_b=True)
            v = 1 / tf.matmul(u, kernel, transpose_a=True)
        return u * kernel * v

    def train(operator, steps=25):
        keras.utils.set_random_seed(0)
        network = keras.Sequential(
            [keras.layers.Dense(32, "relu"), keras.layers.Dense(n)]
        )
        network.build(x.shape)
        optimizer = keras.optimizers.Adam(0.1)
        optimizer.build(network.trainable_variables)

        @tf.function
        def step():
            with tf.GradientTape() as tape:
                # As cold as training ends.
                soft = operator(network(x) * 20)
                restored = tf.matmul(soft, x, transpose_a=True)
                loss = tf.reduce_mean((restored - tf.sort(x, axis=1)) ** 2)
            variables = network.trainable_variables
            optimizer.apply(tape.gradient(loss, variables), variables)
            return loss

        return [float(step()) for _ in range(steps)]

    losses = train(lambda z: st.sinkhorn(z, 1.0, 100))
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]
    assert np.isnan(train(plain)).any()


@pytest.mark.parametrize("gradient", ["unrolled", "implicit"])
def test_second_derivatives_of_an_invalid_example_are_zero(rng, gradient):
    x = rng.normal(size=(2, 4, 4)).astype(np.float32)
    x[0, 2, 2] = np.nan
    logits, t = tf.constant(x), tf.constant([0.5, 0.5])
    weights = tf.constant(rng.normal(size=x.shape).astype(np.float32))
    with tf.GradientTape() as outer:
        outer.watch([logits, t])
        with tf.GradientTape() as inner:
            inner.watch([logits, t])
            plan = st.sinkhorn(logits, t, 3, gradient=gradient, jit_compile=False)
            loss = tf.reduce_sum(weights * plan)
        first = inner.gradient(loss, [logits, t])
        product = tf.reduce_sum(first[0] ** 2) + tf.reduce_sum(first[1])
    for each in (*first, *outer.gradient(product, [logits, t])):
        assert not each[0].numpy().any()
        assert np.isfinite(each[1]).all() and each[1].numpy().any()
