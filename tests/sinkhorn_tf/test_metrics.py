import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.stats import kendalltau

import sinkhorn_tf as st
from sinkhorn_tf import metrics

FUNCTIONS = {
    metrics.ProportionWrong: metrics.proportion_wrong,
    metrics.ProportionAnyWrong: metrics.proportion_any_wrong,
    metrics.KendallTau: metrics.kendall_tau,
}
every_metric = pytest.mark.parametrize("metric", FUNCTIONS, ids=lambda m: m.__name__)


def draw(rng, *shape):
    return rng.permuted(np.broadcast_to(np.arange(shape[-1]), shape), axis=-1)


def reference(metric, p, q):
    """The metric of each pair of lists `[B, N]`."""
    if metric is metrics.ProportionWrong:
        return (p != q).mean(-1)
    if metric is metrics.ProportionAnyWrong:
        return (p != q).any(-1)
    return [kendalltau(*pair).statistic for pair in zip(p, q, strict=True)]


@every_metric
@pytest.mark.parametrize("n", [2, 5, 12])
def test_functions_equal_numpy_and_scipy(rng, metric, n):
    p, q = draw(rng, 20, n), draw(rng, 20, n)
    q[:3] = p[:3]
    measured = FUNCTIONS[metric](p, q)
    assert measured.dtype == tf.float32
    np.testing.assert_allclose(measured, reference(metric, p, q), atol=1e-6)


@every_metric
def test_lists_and_matrices_mean_the_same(rng, metric):
    p, q = draw(rng, 2, 3, 5), draw(rng, 2, 3, 5)
    expected = FUNCTIONS[metric](p, q)
    assert expected.shape == (2, 3)
    soft = lambda x: (np.eye(5)[x] + rng.uniform(0, 0.1, (2, 3, 5, 5))).astype("f")
    for pair in [(soft(p), q), (p, soft(q)), (soft(p), soft(q))]:
        np.testing.assert_array_equal(FUNCTIONS[metric](*pair), expected)


@every_metric
def test_state_is_the_weighted_mean_over_all_batches(rng, metric):
    p, q, weight = draw(rng, 8, 5), draw(rng, 8, 5), rng.random(8)
    each = reference(metric, p, q)
    instance = metric()
    instance.update_state(p[:6], q[:6])
    instance.update_state(p[6:], q[6:])
    np.testing.assert_allclose(instance.result(), np.mean(each), rtol=1e-6)
    instance.reset_state()
    instance.update_state(p[:6], q[:6], sample_weight=weight[:6])
    instance.update_state(p[6:], q[6:], sample_weight=weight[6:])
    np.testing.assert_allclose(
        instance.result(), np.average(each, weights=weight), rtol=1e-6
    )


def test_one_item_is_always_right():
    one = np.zeros((3, 1), np.int32)
    np.testing.assert_array_equal(metrics.kendall_tau(one, one), [1, 1, 1])
    np.testing.assert_array_equal(metrics.proportion_wrong(one, one), [0, 0, 0])
    np.testing.assert_array_equal(metrics.proportion_any_wrong(one, one), [0, 0, 0])


def test_a_predicted_list_of_minus_one_is_wrong_throughout():
    p, none = np.array([[2, 0, 1]]), np.array([[-1, -1, -1]])
    assert metrics.proportion_wrong(p, none).numpy() == [1]
    assert metrics.proportion_any_wrong(p, none).numpy() == [1]
    assert metrics.kendall_tau(p, none).numpy() == [0]


@every_metric
def test_serialisation(metric):
    instance = metric(name="mine")
    config = keras.saving.serialize_keras_object(instance)
    again = keras.saving.deserialize_keras_object(config, safe_mode=True)
    assert type(again) is metric and again.name == "mine"


@pytest.mark.parametrize(
    "form, jit_compile", [("lists", True), ("lists", False), ("matrices", False)]
)
def test_metrics_in_fit(rng, tmp_path, form, jit_compile):
    keras.utils.set_random_seed(0)
    perm = draw(rng, 8, 4).astype(np.int32)
    items = rng.normal(size=(8, 4, 3)).astype(np.float32)
    logits = keras.Input((4, 3))
    model = keras.Model(
        logits, st.SinkhornLayer(n_iters=2)(keras.layers.Dense(4)(logits))
    )

    def loss(y_true, y_pred):
        target = y_true if form == "matrices" else keras.ops.one_hot(y_true, 4)
        return keras.ops.mean((target - y_pred) ** 2)

    model.compile(
        keras.optimizers.SGD(0.0),
        loss,
        metrics=[metric() for metric in FUNCTIONS],
        jit_compile=jit_compile,
    )
    targets = np.eye(4, dtype=np.float32)[perm] if form == "matrices" else perm
    history = model.fit(items, targets, batch_size=4, verbose=0).history
    matched = st.matching(model(items), jit_compile=False).numpy()
    for metric in FUNCTIONS:
        expected = np.mean(reference(metric, perm, matched))
        np.testing.assert_allclose(history[metric().name], [expected], rtol=1e-5)


@every_metric
@pytest.mark.parametrize("dtype", [np.int32, np.uint8])
def test_an_integer_matrix_means_its_list(rng, metric, dtype):
    measure = FUNCTIONS[metric]
    for shape in [(5,), (5, 5)]:
        p, q = draw(rng, *shape), draw(rng, *shape)
        expected = measure(p, q)
        matrix = lambda x: np.eye(5, dtype=dtype)[x]
        pairs = [(matrix(p), q), (p, matrix(q)), (matrix(p), np.eye(5)[q])]
        for pair in [*pairs, (np.eye(5)[p], matrix(q)), (matrix(p), matrix(q))]:
            measured = measure(*pair)
            assert measured.shape == shape[:-1]
            np.testing.assert_array_equal(measured, expected)
        traced = tf.function(measure, autograph=False)
        for pair in pairs:
            np.testing.assert_array_equal(
                traced(*map(tf.constant, pair)), expected, err_msg=str(shape)
            )


@every_metric
def test_a_matrix_of_no_permutation_means_a_list_of_minus_one(metric):
    p, none = np.array([[2, 0, 1]]), np.zeros((1, 3, 3), int)
    expected = FUNCTIONS[metric](p, [[-1, -1, -1]])
    np.testing.assert_array_equal(FUNCTIONS[metric](p, none), expected)
    assert np.isfinite(FUNCTIONS[metric](p, none)).all()


@every_metric
def test_as_many_lists_as_items_are_lists(rng, metric):
    p, q = draw(rng, 5, 5), draw(rng, 5, 5)
    traced = tf.function(FUNCTIONS[metric], autograph=False)
    for measure in (FUNCTIONS[metric], traced):
        measured = measure(tf.constant(p), tf.constant(q))
        np.testing.assert_allclose(measured, reference(metric, p, q), atol=1e-6)
        one = measure(tf.constant(p), tf.constant(q[:1]))
        every = np.broadcast_to(q[:1], (5, 5))
        np.testing.assert_allclose(one, reference(metric, p, every), atol=1e-6)


@every_metric
def test_integers_that_may_be_either_give_nan_in_a_trace(rng, metric):
    measure = FUNCTIONS[metric]
    traced = tf.function(measure, autograph=False)
    lists = draw(rng, 4, 4)
    matrices = np.eye(4, dtype=int)[lists]
    # Neither matrices among lists, nor lists where the ranks say matrices.
    for pair in [(matrices, draw(rng, 4, 4, 4)), (lists, np.arange(4))]:
        for ordered in (pair, pair[::-1]):
            with pytest.raises(ValueError, match="must be .* Received: y_(true|pred)="):
                measure(*ordered)
            assert np.isnan(traced(*map(tf.constant, ordered))).all()
    assert np.isnan(traced(*map(tf.constant, (matrices, matrices)))).all()


@every_metric
@pytest.mark.parametrize(
    "y_true, y_pred",
    [
        ((3, 5), (5,)),
        ((2, 5), (3, 5)),
        ((3, 5), (3, 4)),
        ((3, 5), (3, 1)),
        ((2, 3, 5), (3, 5)),
        ((3, 5), (2, 5, 5)),
        ((3, 5), (5, 5)),
        ((3, 5), (2, 3, 5, 5)),
        ((5,), (4, 4)),
        ((3, 4, 5), (3, 5)),
        ((5,), (4, 5)),
    ],
)
def test_shapes_that_cannot_be_compared_are_one_sentence(metric, y_true, y_pred):
    for pair in [(y_true, y_pred), (y_pred, y_true)]:
        with pytest.raises(ValueError, match="Received: y_true.shape=.*y_pred.shape="):
            FUNCTIONS[metric](*(np.zeros(shape, int) for shape in pair))


@every_metric
def test_large_integers_are_no_positions(metric):
    p = np.array([[0, 1, 2]])
    for large in (2**32, -(2**32), 2**63 - 1, -(2**63)):
        measured = FUNCTIONS[metric](p, np.array([[large, 1, 2]]))
        beyond = -7 if large < 0 else 7
        np.testing.assert_array_equal(measured, FUNCTIONS[metric](p, [[beyond, 1, 2]]))
        assert (
            measured != FUNCTIONS[metric](p, p)
            or large < 0
            and metric is (metrics.KendallTau)
        )


def item_weighted(metric, p, q, weight):
    """The metric of lists `[B, N]` with weights of items, item by item."""
    if metric is metrics.ProportionWrong:
        return np.average(p != q, weights=weight)
    counted = [(a[w > 0], b[w > 0]) for a, b, w in zip(p, q, weight, strict=True)]
    counted = [pair for pair in counted if len(pair[0])]
    if metric is metrics.ProportionAnyWrong:
        return np.mean([(a != b).any() for a, b in counted])
    tau = [kendalltau(*pair).statistic if len(pair[0]) > 1 else 1 for pair in counted]
    return np.mean(tau)


@pytest.fixture
def item_weights(rng):
    """Weights `[6, 5]` with an example of no item, of one, and of items alone."""
    weight = rng.random((6, 5)) * (rng.random((6, 5)) < 0.6)
    weight[0], weight[1], weight[2] = 0, [0, 0, 2, 0, 0], [1, 1, 1, 0, 0]
    return weight.astype(np.float32)


@every_metric
def test_weights_of_items(rng, metric, item_weights):
    p, q = draw(rng, 6, 5), draw(rng, 6, 5)
    q[2, :3], q[2, 3:] = p[2, :3], p[2, :2:-1]
    measured = metric()
    measured.update_state(p[:4], q[:4], sample_weight=item_weights[:4])
    measured.update_state(p[4:], q[4:], sample_weight=item_weights[4:])
    expected = item_weighted(metric, p, q, item_weights)
    np.testing.assert_allclose(measured.result(), expected, rtol=1e-6)
    measured.reset_state()
    measured.update_state(p[2:3], q[2:3], sample_weight=item_weights[2:3])
    assert measured.result() == (1 if metric is metrics.KendallTau else 0)
    measured.reset_state()
    measured.update_state(p[:1], q[:1], sample_weight=item_weights[:1])
    assert measured.result() == 0


@every_metric
@pytest.mark.parametrize("batch", [(), (5,), (2, 5)])
def test_the_rank_tells_weights_of_examples_from_those_of_items(rng, metric, batch):
    p, q = draw(rng, *batch, 5), draw(rng, *batch, 5)
    each = np.reshape(reference(metric, p.reshape(-1, 5), q.reshape(-1, 5)), batch)
    weight = rng.random(batch) + 0.1
    for form in (weight, weight[..., None]) if batch else (weight,):
        measured = metric()
        measured.update_state(p, q, sample_weight=form)
        expected = np.average(each, weights=weight)
        np.testing.assert_allclose(measured.result(), expected, rtol=1e-6)
    weight = rng.random((*batch, 5)) * (rng.random((*batch, 5)) < 0.7)
    measured = metric()
    measured.update_state(p, q, sample_weight=weight)
    expected = item_weighted(metric, *(x.reshape(-1, 5) for x in (p, q, weight)))
    np.testing.assert_allclose(measured.result(), expected, rtol=1e-6, atol=1e-6)


@every_metric
def test_one_weight_for_all_examples(rng, metric):
    p, q = draw(rng, 4, 5), draw(rng, 4, 5)
    measured = metric()
    measured.update_state(p[:1], q[:1])
    measured.update_state(p[1:], q[1:], sample_weight=2.0)
    expected = np.average(reference(metric, p, q), weights=[1, 2, 2, 2])
    np.testing.assert_allclose(measured.result(), expected, rtol=1e-6)


@every_metric
@pytest.mark.parametrize(
    "shape", [(3,), (1,), (3, 5), (4, 3), (1, 5), (4, 5, 5), (4, 5, 1), (5, 4)]
)
def test_weights_of_another_shape_are_one_sentence(rng, metric, shape):
    p = draw(rng, 4, 5)
    with pytest.raises(ValueError, match="one weight for each example") as error:
        metric().update_state(p, p, sample_weight=np.ones(shape))
    assert f"shape {shape}, permutation lists of shape (4, 5)" in str(error.value)


@every_metric
@pytest.mark.parametrize("form", ["examples", "column", "items"])
@pytest.mark.parametrize("jit_compile", [False, True])
def test_weights_of_unknown_shapes(rng, metric, item_weights, form, jit_compile):
    p, q = (draw(rng, 6, 5).astype(np.int32) for _ in range(2))
    measured, eager = metric(), metric()
    rank = 1 if form == "examples" else 2
    lists = tf.TensorSpec([None, None], tf.int32)

    @tf.function(
        input_signature=[lists, lists, tf.TensorSpec([None] * rank, tf.float32)],
        jit_compile=jit_compile,
    )
    def update(p, q, weight):
        measured.update_state(p, q, sample_weight=weight)

    weight = item_weights
    if form != "items":
        weight = weight[:, 2] if form == "examples" else weight[:, 2:3]
    update(p, q, weight)
    eager.update_state(p, q, sample_weight=weight)
    np.testing.assert_allclose(measured.result(), eager.result(), rtol=1e-6)
    if not jit_compile:
        with pytest.raises(tf.errors.InvalidArgumentError):
            update(p[:4], q[:4], weight)


@pytest.mark.parametrize("jit_compile", [True, False])
def test_weights_of_items_in_fit(rng, item_weights, jit_compile):
    perm = draw(rng, 6, 5).astype(np.int32)
    logits = rng.normal(size=(6, 5, 5)).astype(np.float32)
    inputs = keras.Input((5, 5))
    model = keras.Model(inputs, keras.layers.EinsumDense("bij,jk->bik", (5, 5))(inputs))
    model.compile(
        keras.optimizers.SGD(0.0),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        weighted_metrics=[metric() for metric in FUNCTIONS],
        jit_compile=jit_compile,
    )
    history = model.fit(
        logits, perm, sample_weight=item_weights, batch_size=3, verbose=0
    ).history
    answer = st.matching(model(logits), jit_compile=False).numpy()
    for metric in FUNCTIONS:
        expected = item_weighted(metric, perm, answer, item_weights)
        np.testing.assert_allclose(history[metric().name], [expected], rtol=1e-5)


@every_metric
def test_integers_that_are_no_positions_are_never_right(metric):
    beyond = np.array([[2**31, 2**31 + 1]])
    wrong = FUNCTIONS[metric](beyond, beyond + 4)
    assert wrong == (0 if metric is metrics.KendallTau else 1)


def test_weights_that_are_no_numbers_are_refused():
    for weight in (2 + 1j, "a"):
        with pytest.raises(TypeError, match="sample_weight must be real numbers"):
            metrics.ProportionWrong().update_state([[0, 1]], [[1, 0]], weight)
