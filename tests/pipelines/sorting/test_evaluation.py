import tensorflow as tf

from pipelines.shared import lists
from pipelines.sorting import evaluation
from pipelines.sorting.evaluation import Evaluator


def logits_of(order):
    """Logits whose matching sorts the values `order` moves them to."""
    places = tf.range(4, dtype=tf.float64)
    return lambda values: tf.cast(order(values), tf.float64)[:, :, None] * places


def test_a_perfect_network_has_no_errors_and_its_opposite_all():
    held_out = lists.evaluation_lists(4, "U(0,1)", "test", 30)
    right = Evaluator(logits_of(lambda x: x)).scores(held_out, 20)
    assert right["proportion_wrong"] == right["proportion_any_wrong"] == 0
    assert right["by_content"] == {"proportion_wrong": 0, "proportion_any_wrong": 0}
    assert right["kendall_tau"] == 1 and right["n_examples"] == 30
    wrong = Evaluator(logits_of(lambda x: -x)).scores(held_out, 20)
    assert wrong["by_content"] == {"proportion_wrong": 1, "proportion_any_wrong": 1}
    assert wrong["kendall_tau"] == -1


def test_equal_numbers_may_come_in_any_order():
    values = tf.constant([[1.0, 2, 2, 3], [4, 1, 2, 3]])
    held_out = {"values": values, "sorted": tf.sort(values)}
    # Prefers the later one of equal numbers.
    late = logits_of(lambda x: x - 0.01 * tf.range(4, dtype=tf.float32))
    measured = Evaluator(late).scores(held_out)
    assert measured["by_content"]["proportion_any_wrong"] == 0
    assert measured["proportion_any_wrong"] == 0.5
    assert measured["n_examples_with_ties"] == 1
    assert "U(0,1)" in evaluation.table({"U(0,1)": measured})


def test_the_columns_of_the_table_tell_themselves_apart():
    measured = {
        "by_content": {"proportion_wrong": 0.1, "proportion_any_wrong": 0.2},
        "proportion_wrong": 0.3,
        "proportion_any_wrong": 0.4,
        "kendall_tau": 0.5,
        "n_examples_with_ties": 6,
    }
    groups, heads, line, *legend = evaluation.table({"U(0,1)": measured}).splitlines()
    assert heads.split() == ["P.W.", "P.A.W."] * 2 + ["Kendall", "tau", "with", "ties"]
    assert line.split() == [
        "U(0,1)",
        "0.1000",
        "0.2000",
        "0.3000",
        "0.4000",
        "0.5000",
        "6",
    ]
    # A group begins above the first of its columns.
    assert groups.split("  ")[-1] == "by index" and groups.count("by content") == 1
    for group, column in (("by content", "0.1000"), ("by index", "0.3000")):
        assert groups.index(group) + len(group) == line.index(column) + len(column)
    assert "P.W.: proportion of wrong numbers." in legend
    assert "P.A.W.: proportion of lists with any wrong number." in legend
