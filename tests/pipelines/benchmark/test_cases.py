"""The float64 references, and what they say of results."""

import types

import numpy as np
import tensorflow as tf

from pipelines.benchmark import cases
from pipelines.benchmark.balance import free_dustbins
from pipelines.benchmark.reference import Reference


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


def test_the_sizes_of_ragged_sets_come_from_the_seed():
    case = cases.Case("shapes", "match", 50, 5, m=7, smallest=2)
    values = cases.inputs(case, seed=0)
    assert values["logits"].shape == (50, 5, 7)
    for name, largest in (("row_mask", 5), ("col_mask", 7)):
        sizes = values[name].sum(1)
        assert set(sizes) == set(range(2, largest + 1))
        # What exists stands first.
        assert (
            np.argmin(values[name], 1)[sizes < largest] == sizes[sizes < largest]
        ).all()
        np.testing.assert_array_equal(values[name], cases.inputs(case, seed=0)[name])
    assert (values["row_mask"] != cases.inputs(case, seed=1)["row_mask"]).any()


def test_the_masses_of_both_sides_have_the_same_total():
    case = cases.Case("shapes", "forward", 50, 5, 20, 1.0, m=7, problem="masses")
    assert case.key == "shapes/forward/50x5x7:masses/L20/t1/normal"
    assert case.size == "50x5x7:masses"
    values = cases.inputs(case, seed=0)
    rows, cols = values["row_marginals"], values["col_marginals"]
    assert rows.shape == (50, 5) and cols.shape == (50, 7)
    assert rows.dtype == cols.dtype == np.float32
    np.testing.assert_allclose(rows.sum(1), cols.sum(1), rtol=1e-6)
    assert rows.min() > 0.4 and cols.min() > 0.2 and rows.std() > 0.2


def test_free_dustbins_are_judged_by_their_own_iterations():
    case = cases.Case("shapes", "backward", 3, 4, 5, 1.0, m=4, problem="dustbins")
    values = cases.inputs(case, seed=0)
    assert values["unmatched_score"] == 1.0
    inputs = types.SimpleNamespace(**values)
    free = Reference(inputs, free_dustbins(inputs)).gradient(values["weights"])
    judge = cases.Operator(case, values)
    assert judge.judge({"result": free, "free_dustbins": True}) == {"error": 0}
    assert judge.judge({"result": free})["error"] > 1e-3


def test_a_matching_of_ragged_sets_is_judged_by_what_exists():
    case = cases.Case("shapes", "match", 2, 2, m=3, smallest=1)
    logits = np.array([[[1, 2, 9], [0, 3, 9]], [[1, 2, 3], [9, 9, 9]]], np.float32)
    row_mask = np.array([[True, True], [True, False]])
    col_mask = np.array([[True, True, False], [True, True, True]])
    values = {"logits": logits, "row_mask": row_mask, "col_mask": col_mask}
    judge = cases.Matching(case, values)

    def error(*perms):
        return judge.judge({"result": np.array(perms)})["error"]

    assert error([0, 1], [2, -1]) == 0
    assert error([0, 1], [0, -1]) == 2
    # A position or an item that does not exist, one position for two, one left out.
    assert error([0, 2], [2, -1]) is None
    assert error([0, 1], [2, 0]) is None
    assert error([1, 1], [2, -1]) is None
    assert error([0, -1], [2, -1]) is None
