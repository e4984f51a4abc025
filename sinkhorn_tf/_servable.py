"""What stock TensorFlow Serving on a CPU would refuse in a SavedModel."""

import os

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2


def refuse_what_serving_refuses(directory: str, *, allow_jit: bool = False) -> None:
    """Reads a SavedModel back and checks every node of its graphs and functions.

    The functions of a graph are one flat library, however they are nested.

    Args:
        directory: The directory that holds `saved_model.pb`.
        allow_jit: Whether functions may ask to be compiled.

    Raises:
        ValueError: If a function must be compiled (refused at the first request
            without `--xla_cpu_compilation_enabled`), calls Python, or holds an op
            outside TensorFlow's core registry.
    """
    model = saved_model_pb2.SavedModel()
    with open(os.path.join(directory, "saved_model.pb"), "rb") as file:
        model.ParseFromString(file.read())
    for meta_graph in model.meta_graphs:
        library = meta_graph.graph_def.library.function
        if not allow_jit:
            for function in library:
                _refuse_jit(function, f"function {function.signature.name}")
        for nodes in (meta_graph.graph_def.node, *(f.node_def for f in library)):
            for node in nodes:
                if not allow_jit:
                    _refuse_jit(node, f"node {node.name}")
                _refuse_op(node)


def _refuse_jit(holder, name):
    # Asking a map for a key that it lacks would add it.
    if "_XlaMustCompile" in holder.attr and holder.attr["_XlaMustCompile"].b:
        raise ValueError(
            "The model holds a function compiled with jit_compile=True, which "
            "TensorFlow Serving on a CPU refuses at the first request; remove "
            f"jit_compile. Received: {name}"
        )


def _refuse_op(node):
    if "PyFunc" in node.op:
        raise ValueError(
            "The model calls Python (py_function or numpy_function), which is "
            f"not saved with it. Received: op {node.op} in node {node.name}"
        )
    # Unlike the registry of this process, these modules do not grow when a library
    # of custom ops is loaded.
    if not hasattr(tf.raw_ops, node.op):
        raise ValueError(
            "The model holds an op that is not one of TensorFlow's own, which a "
            "stock server does not know. "
            f"Received: op {node.op} in node {node.name}"
        )
