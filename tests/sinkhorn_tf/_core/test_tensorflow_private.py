"""Each private symbol of TensorFlow that the library uses exists and does its work."""

import pathlib
import re

import pytest
import tensorflow as tf

import sinkhorn_tf as st

MOVED = (
    f"TensorFlow {tf.__version__} lacks or changed {{}}: find its successor and adapt "
    "sinkhorn_tf/_core/tensorflow_private.py."
)


@pytest.fixture
def private():
    """The module, which imports all the symbols."""
    try:
        from sinkhorn_tf._core import tensorflow_private
    except (ImportError, AttributeError) as error:
        pytest.fail(MOVED.format(error))
    return tensorflow_private


@pytest.mark.parametrize("jit_compile", [True, False])
def test_whether_xla_compiles_a_graph(private, jit_compile):
    answers = []

    def traced(x):
        graph = tf.compat.v1.get_default_graph()
        answers.append(private.is_compiled_by_xla(graph))
        return x

    tf.function(traced, jit_compile=jit_compile, autograph=False)(1.0)
    message = MOVED.format("control_flow_util.GraphOrParentsInXlaContext")
    assert answers == [jit_compile], message


def test_the_definition_of_an_op_tells_whether_it_has_state(private):
    message = MOVED.format("op_def_registry.get")
    assert private.op_definition("AddV2").is_stateful is False, message
    assert private.op_definition("VarHandleOp").is_stateful is True, message
    assert private.op_definition("NoSuchOp") is None, message


def test_which_tapes_prepare_second_derivatives(private):
    message = MOVED.format("gradients_util.PossibleTapeGradientTypes")
    x = tf.constant(1.0)

    def answer():
        return private.may_have_second_derivatives([x])

    with tf.GradientTape() as outer:
        outer.watch(x)
        assert not answer(), message
        with tf.GradientTape() as inner:
            inner.watch(x)
            assert answer(), message
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        assert answer(), message
    assert not answer(), message


def test_no_other_module_uses_what_is_private():
    root = pathlib.Path(st.__file__).parent
    users = [
        path.relative_to(root).as_posix()
        for path in root.rglob("*.py")
        if re.search(r"tensorflow\.python|__internal__", path.read_text("utf-8"))
    ]
    assert users == ["_core/tensorflow_private.py"], (
        "Private interfaces of TensorFlow belong into _core/tensorflow_private.py."
    )
