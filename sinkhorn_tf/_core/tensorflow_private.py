"""The private interfaces of TensorFlow that the library uses, and why.

No other module imports from `tensorflow.python`. Every symbol was checked with
TensorFlow 2.21; tests/sinkhorn_tf/_core/test_tensorflow_private.py tells which one a
new version has changed.
"""

from tensorflow.python.framework import op_def_registry
from tensorflow.python.ops import control_flow_util, gradients_util


def is_compiled_by_xla(graph):
    """Whether XLA will compile a graph, or a graph around it.

    No public function tells. Without it an operator could not choose what is faster
    under XLA and what is faster without.
    """
    return control_flow_util.GraphOrParentsInXlaContext(graph)


def op_definition(name):
    """The OpDef of an op, or None for an unknown name.

    No public function tells whether an op has state. Without it every call in an
    exported model would have to be taken for one with side effects.
    """
    return op_def_registry.get(name)


def may_have_second_derivatives(tensors):
    """Whether an eager function of these tensors prepares derivatives of its derivatives.

    It does under two gradient tapes, and under one that is persistent. No public function
    tells. XLA refuses what is prepared with an error on a CPU, and ends the process on a
    GPU.
    """
    types = gradients_util.PossibleTapeGradientTypes(list(tensors))
    return types == gradients_util.POSSIBLE_GRADIENT_TYPES_HIGHER_ORDER
