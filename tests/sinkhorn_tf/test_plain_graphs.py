"""The plain graphs of the operators: without ops that other runtimes lack."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import sinkhorn_tf as st

permutations = st.permutations


def op_types(concrete):
    """The types of all ops of a concrete function, its library included."""
    graph = concrete.graph.as_graph_def()
    nodes = [*graph.node, *(x for f in graph.library.function for x in f.node_def)]
    return {node.op for node in nodes}


def graph_ops(function, *specs):
    traced = tf.function(function, autograph=False)
    return op_types(traced.get_concrete_function(*specs))


def spec(*shape, dtype=tf.float32):
    return tf.TensorSpec(shape, dtype)


LOGITS, LISTS = (None, 4, 4), spec(None, 4, dtype=tf.int32)
OPERATORS = {
    "sinkhorn": lambda x: st.sinkhorn(x, 0.1, 3),
    "sinkhorn, batch of temperatures": lambda x: st.sinkhorn(x, tf.ones([3, 1]), 3),
    "sinkhorn, tolerance": lambda x: st.sinkhorn(x, 0.1, 3, tolerance=0.1),
    "sinkhorn_solve": lambda x: st.sinkhorn_solve(x, 0.1),
    "gumbel_sinkhorn": lambda x: st.gumbel_sinkhorn(x, 0.1, 2, 0.5, 3, seed=1),
    "partial_sinkhorn": lambda x: st.partial_sinkhorn(x, tf.ones([3, 1]), 0.1, 3),
    "partial_matching": lambda x: st.partial_matching(
        x, tf.ones([3, 1]), certified=True
    ),
    "soft_top_k": lambda x: st.soft_top_k(x[..., 0], [[1], [2], [3]]),
    "matching": st.matching,
    "certified_matching": st.certified_matching,
    "soft_sort": lambda x: st.soft_sort(x[..., 0]),
    "soft_rank": lambda x: st.soft_rank(x[..., 0]),
    "from_matrix": permutations.from_matrix,
    "metrics": lambda x: [
        measure(x, permutations.from_matrix(x))
        for measure in (
            st.metrics.proportion_wrong,
            st.metrics.proportion_any_wrong,
            st.metrics.kendall_tau,
        )
    ],
}


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("shape", [(2, 4, 4), LOGITS], ids=str)
def test_operators_have_no_broadcast_args(name, shape):
    assert "BroadcastArgs" not in graph_ops(OPERATORS[name], spec(*shape))


@pytest.mark.parametrize("lists", [spec(2, 4, dtype=tf.int32), LISTS], ids=str)
def test_permutations_have_no_broadcast_args(lists):
    def everything(p, items):
        return [
            permutations.to_matrix(p),
            permutations.inverse(p),
            permutations.is_permutation(p),
            permutations.compose(p, p),
            permutations.apply(p, items),
            permutations.sample((2,), 4, 1),
        ]

    items = spec(*lists.shape, 3)
    assert "BroadcastArgs" not in graph_ops(everything, lists, items)


def test_layers_and_gradients_have_no_broadcast_args():
    layers = [
        st.SinkhornLayer(0.1, 3, hard=True),
        st.GumbelSinkhorn(0.1, n_samples=2, n_iters=3),
        st.Matching(),
    ]
    inputs, items = keras.Input((4, 4)), keras.Input((4, 3))
    plan = layers[0](inputs)
    outputs = [plan, layers[1](inputs), layers[2](inputs), st.Restore()([plan, items])]
    model = keras.Model([inputs, items], outputs)

    def step(x, items):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = sum(map(tf.reduce_sum, model([x, items], training=True)))
        return tape.gradient(loss, x)

    specs = [spec(*LOGITS), spec(None, 4, 3)]
    assert "BroadcastArgs" not in graph_ops(step, *specs)
    serving = lambda *x: model(x, training=False)
    assert "BroadcastArgs" not in graph_ops(serving, *specs)


@pytest.mark.parametrize(
    "shape, temperature",
    [((3, 4, 4), (3,)), ((3, 4, 4), (2, 1)), ((4, 4), (3,)), ((1, 4, 4), (3,))]
    + [((3, 4, 4), (1,)), ((2, 1, 4, 4), (3,)), ((2, 3, 4, 4), ()), ((0, 4, 4), (1,))],
)
def test_batches_of_unknown_size_broadcast(rng, shape, temperature):
    x = rng.normal(size=shape)
    t = rng.uniform(0.5, 1, size=temperature)
    traced = tf.function(
        lambda x, t: st.sinkhorn(x, t, 3),
        [
            tf.TensorSpec([None] * (x.ndim - 2) + [4, 4], tf.float64),
            tf.TensorSpec([None] * t.ndim, tf.float64),
        ],
        autograph=False,
    )
    batch = np.broadcast_shapes(x.shape[:-2], t.shape)
    plan = traced(x, t)
    assert plan.shape == (*batch, 4, 4)
    every_x, every_t = np.broadcast_to(x, plan.shape), np.broadcast_to(t, batch)
    for index in np.ndindex(batch):
        alone = st.sinkhorn(every_x[index], every_t[index], 3, jit_compile=False)
        np.testing.assert_allclose(plan[index], alone, rtol=0, atol=1e-14)


@pytest.mark.parametrize("p_shape", [(3, 5), (1, 5), (2, 1, 5), (5,)])
def test_permutations_of_unknown_size_broadcast(rng, p_shape):
    draw = lambda *shape: rng.permuted(
        np.broadcast_to(np.arange(5, dtype=np.int32), shape), axis=-1
    )
    p, q = draw(*p_shape), draw(3, 5)
    unknown = lambda x: tf.TensorSpec([None] * np.ndim(x), tf.as_dtype(x.dtype))
    compose = tf.function(permutations.compose, [unknown(p), unknown(q)])
    every_p, every_q = np.broadcast_arrays(p, q)
    expected = np.take_along_axis(every_q, every_p, -1)
    np.testing.assert_array_equal(compose(p, q), expected)


def test_a_batch_that_does_not_broadcast_is_one_sentence():
    x = np.zeros((3, 4, 4), np.float32)
    for call in (
        lambda x: st.sinkhorn(x, [1.0, 2.0]),
        lambda x: st.sinkhorn_solve(x, [1.0, 2.0]),
        lambda x: st.gumbel_sinkhorn(x, [1.0, 2.0], seed=1),
        lambda x: st.certified_matching(x, [1.0, 2.0]),
        lambda x: st.soft_sort(x[:, 0], [1.0, 2.0]),
        lambda x: st.gumbel_sinkhorn(x, noise_scale=[1.0, 2.0], seed=1),
    ):
        for run in (call, tf.function(call, autograph=False)):
            with pytest.raises(
                ValueError, match=r"broadcast .* \(3,\)\. Received: .*shape=\(2,\)"
            ):
                run(x)
