import tensorflow as tf

from pipelines.shared.errors import first_line, operation_failure


def test_the_first_line_of_a_message():
    assert first_line(ValueError("one\ntwo")) == "one"
    assert first_line("\n one\n two") == "one"
    assert first_line(KeyError(), "KeyError") == "KeyError"
    assert first_line("") == ""


def test_the_failure_of_an_operation_names_no_graph_nodes():
    message = "{{function_node __wrapped__X}} No such file: a [Op:ReadFile]\nat b"
    error = tf.errors.NotFoundError(None, None, message)
    assert operation_failure(error) == "No such file: a"
