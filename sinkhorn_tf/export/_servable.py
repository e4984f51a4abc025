"""Models for stock TensorFlow Serving: what it computes, and what it refuses."""

import functools
import gc
import itertools
import os
import typing
from collections.abc import Iterable

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

# Which ops have state is told nowhere else.
from tensorflow.python.framework import op_def_registry

_STATEFUL_CALL = "StatefulPartitionedCall"


class Resources(typing.NamedTuple):
    """Objects that functions hold, and that have to be saved with them.

    Attributes:
        variables: tf.Variables.
        tables: Lookup tables, and other objects that are set up when a model is loaded.
    """

    variables: list
    tables: list


def resources(functions: Iterable[tf.types.experimental.GenericFunction]) -> Resources:
    """Everything that the functions hold, made by Keras, a layer or a closure.

    Raises:
        ValueError: If they hold what no SavedModel can.
    """
    variables, handles = {}, {}
    for function in functions:
        concrete = function.get_concrete_function()
        variables |= {id(x): x for x in concrete.variables}
        # Captures of other dtypes are constants, which are saved with their function.
        handles |= {
            id(x): x
            for x in concrete.captured_inputs
            if x.dtype in (tf.resource, tf.variant)
        }
    for variable in variables.values():
        handles.pop(id(variable.handle), None)
    tables = _owners(handles)
    if handles:
        raise ValueError(
            "The model holds what no SavedModel can, neither a variable nor a lookup "
            f"table. Received: {next(iter(handles.values()))}"
        )
    return Resources(list(variables.values()), tables)


def _owners(handles):
    """The tables that own these handles, which are taken out of the dict.

    A function knows only the handle of a table, and the table may be anywhere: in a
    closure, or in an attribute of a layer that Keras does not track.
    """
    tables = []
    if not handles:
        return tables
    for candidate in gc.get_objects():
        # `isinstance` would run the code of proxies.
        if issubclass(type(candidate), tf.saved_model.experimental.TrackableResource):
            # `resource_handle` would make a resource for a table without one.
            handle = getattr(candidate, "_resource_handle", None)
            if handles.pop(id(handle), None) is not None:
                tables.append(candidate)
    return tables


def refuse_what_serving_refuses(directory: str, *, allow_jit: bool = False) -> None:
    """Reads a SavedModel back and checks every node of its graphs and functions.

    Nested functions are entries of the same flat library.

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


def refuse_what_xla_refuses(
    specs: dict[str, tuple[tf.TensorSpec, ...]], held: Resources
) -> None:
    """Raises ValueError if there are strings or tables, which XLA does not compile.

    Args:
        specs: Those of the inputs of each signature.
        held: What the functions hold.
    """
    refused = [
        f"input {spec.name} of strings"
        for inputs in specs.values()
        for spec in inputs
        if spec.dtype == tf.string
    ]
    refused += [type(table).__name__ for table in held.tables]
    if refused:
        raise ValueError(
            "jit_variant is not for models with strings or lookup tables, which XLA "
            f"does not compile; export without it. Received: {refused[0]}"
        )


def prepare_for_serving(directory: str) -> None:
    """Rewrites a SavedModel so that a server does no more than it is asked for.

    Args:
        directory: The directory that holds `saved_model.pb`.
    """
    model = _read(directory)
    for meta_graph in model.meta_graphs:
        _give_outputs_nodes(meta_graph)
        _call_without_state(meta_graph.graph_def)
    with open(os.path.join(directory, "saved_model.pb"), "wb") as file:
        file.write(model.SerializeToString(deterministic=True))


def _give_outputs_nodes(meta_graph):
    """Puts an identity node behind every output of every signature.

    Without it all outputs are those of one node, the call of the signature's function.
    TensorFlow does not inline a node that is fetched, so that all of the function runs,
    whichever output a client asks for. Behind identities the call is inlined, and what
    leads to no output that was asked for is dropped.
    """
    nodes = meta_graph.graph_def.node
    taken = {node.name for node in nodes}
    # The names of signatures and outputs may be ones that no node can have.
    names = (name for k in itertools.count() if (name := f"outputs/{k}") not in taken)
    for _, signature in sorted(meta_graph.signature_def.items()):
        # A signature without inputs is one that initialises the model.
        if not signature.inputs:
            continue
        for _, info in sorted(signature.outputs.items()):
            node = nodes.add(name=next(names), op="Identity")
            node.input.append(info.name)
            node.attr["T"].type = info.dtype
            info.name = f"{node.name}:0"


def _call_without_state(graph):
    """Marks calls of functions that only read variables as free of side effects.

    A server writes no variables, and a stateful call keeps memory for each request that
    fails in it, 750 bytes with TensorFlow 2.21.
    """
    functions = {
        function.signature.name: function for function in graph.library.function
    }

    @functools.cache
    def only_reads(name):
        return all(
            only_reads(node.attr["f"].func.name)
            if node.op == _STATEFUL_CALL
            else node.op == "ReadVariableOp" or not _is_stateful(node.op)
            for node in functions[name].node_def
        )

    for nodes in (graph.node, *(f.node_def for f in graph.library.function)):
        for node in nodes:
            if node.op == _STATEFUL_CALL and only_reads(node.attr["f"].func.name):
                node.op = "PartitionedCall"


def _is_stateful(op):
    found = op_def_registry.get(op)
    return found is None or found.is_stateful


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
