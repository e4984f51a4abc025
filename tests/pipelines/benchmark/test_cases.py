"""The float64 references, and what they say of results."""

import numpy as np
import tensorflow as tf

from pipelines.benchmark import cases


def test_the_reference_is_the_log_loop_and_its_derivative():
    case = cases.Case("operator", "backward", 3, 4, 5, 0.3)
    values = cases.inputs(case, seed=0)
    x = tf.constant(values["logits"], tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(x)
        z = x / 0.3
        for _ in range(5):
            z -= tf.reduce_logsumexp(z, 2, keepdims=True)
            z -= tf.reduce_logsumexp(z, 1, keepdims=True)
        loss = tf.reduce_sum(tf.exp(z) * values["weights"])
    judge = cases.Operator(case, values)
    np.testing.assert_allclose(judge.plan, tf.exp(z), atol=1e-14)
    gradient = tape.gradient(loss, x).numpy()
    assert judge.judge({"result": gradient})["error"] < 1e-12
    assert judge.judge({"result": 1.1 * gradient})["error"] > 0.05


def test_the_matching_is_judged_by_its_value():
    case = cases.Case("matching", "match", 2, 3)
    values = {"logits": np.stack([np.eye(3), np.eye(3)]).astype(np.float32)}
    judge = cases.Matching(case, values)
    best, worse = [[0, 1, 2]] * 2, [[0, 1, 2], [1, 0, 2]]
    assert judge.judge({"result": np.array(best)}) == {"error": 0.0}
    assert judge.judge({"result": np.array(worse)}) == {"error": 2.0}
    assert judge.judge({"result": np.zeros((2, 3), int)}) == {"error": None}
