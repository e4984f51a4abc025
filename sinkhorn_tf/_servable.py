"""What stock TensorFlow Serving makes of a SavedModel: what it computes and refuses."""

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
    for meta_graph in _read(directory).meta_graphs:
        library = meta_graph.graph_def.library.function
        if not allow_jit:
            for function in library:
                _refuse_jit(function, f"function {function.signature.name}")
        for nodes in (meta_graph.graph_def.node, *(f.node_def for f in library)):
            for node in nodes:
                if not allow_jit:
                    _refuse_jit(node, f"node {node.name}")
                _refuse_op(node)


def compute_only_what_is_asked_for(directory: str) -> None:
    """Lets a server leave out what a request does not ask for.

    The outputs of a signature are those of one node, the call of its function, and a
    node that is asked for is not taken apart: all of the function runs. Behind nodes of
    their own they are: the call is inlined, and what leads to no output is dropped.

    Args:
        directory: The directory that holds `saved_model.pb`.
    """
    model = _read(directory)
    for meta_graph in model.meta_graphs:
        nodes = meta_graph.graph_def.node
        taken = {node.name for node in nodes}
        for name, signature in meta_graph.signature_def.items():
            for output, info in signature.outputs.items():
                # Without inputs there is nothing to ask for, only to initialise.
                if not signature.inputs or f"{name}/{output}" in taken:
                    continue
                node = nodes.add(name=f"{name}/{output}", op="Identity")
                node.input.append(info.name)
                node.attr["T"].type = info.dtype
                info.name = f"{node.name}:0"
    with open(os.path.join(directory, "saved_model.pb"), "wb") as file:
        file.write(model.SerializeToString(deterministic=True))


def _read(directory):
    model = saved_model_pb2.SavedModel()
    with open(os.path.join(directory, "saved_model.pb"), "rb") as file:
        model.ParseFromString(file.read())
    return model


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
