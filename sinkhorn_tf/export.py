"""SavedModels that return hard permutations, for TensorFlow Serving."""

import functools
import os
import shutil
import tempfile
from collections.abc import Callable

import keras
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from sinkhorn_tf import permutations
from sinkhorn_tf.matching import certified_matching
from sinkhorn_tf.sinkhorn import sinkhorn


def export_solver(
    model: keras.Model,
    path: str | os.PathLike,
    *,
    temperature: float = 1.0,
    n_iters: int = 20,
    signatures: dict[str, tuple[Callable, tf.TensorSpec]] | None = None,
    assets_extra: dict[str, str] | None = None,
    version: int | None = None,
) -> str:
    """Exports a network as a solver that stock TensorFlow Serving can run.

    The SavedModel needs neither this package nor Keras. `B` stands for any batch size.
    Every answer has `permutation` (int32 `[B, N]`, -1 where there is none),
    `plan` (`S^L(logits / t)`, `[B, N, N]`), `value` (float64 `[B]`, sum of the
    matched logits) and `gap` (float64 `[B]`, how far from optimal that value can be
    at most; 0 means proven to be the best). If the model has a second output
    `[B, N, N]`, `serving_default` answers with that for a `plan`.

    Signatures:
        `serving_default(<inputs of the model>)`: the answer, and `restored`, the items
            in their places.
        `match(logits [B, N, N])`: the answer for the caller's own scores.
        `match_at_temperature(logits [B, N, N], temperature [B])`: the same, with the
            plan at a temperature for each example.

    Args:
        model: A Keras model from items `[B, N, ...]` to logits `[B, N, N]`. It may have
            more inputs, which follow the items, such as a target `[B]`.
        path: Directory of the model; a numbered version is written inside it.
        temperature, n_iters: Of the plans.
        signatures: More signatures: a dict of name to `(function, TensorSpec)`, where
            `function(solve, inputs)` returns a dict of tensors, with the help of
            `solve(items, ...)`, which gives the answer of `serving_default`.
        assets_extra: Dict of file name to text, kept in `assets.extra`.
        version: Number of the version; by default the next one.

    Returns:
        The path of the version that was written.

    Raises:
        FileExistsError: If the version exists. Nothing is overwritten.
        ValueError: If the model holds ops that stock TensorFlow Serving on a CPU
            refuses (functions that must be compiled, Python functions). Nothing is
            left behind then.
    """
    n = model.outputs[0].shape[-1]
    logits_spec = tf.TensorSpec([None, n, n], tf.float32, name="logits")
    temperature_spec = tf.TensorSpec([None], tf.float32, name="temperature")

    def answer(logits, temperature):
        certified = certified_matching(logits)
        return {
            "permutation": certified.perm,
            "plan": sinkhorn(logits, temperature, n_iters),
            "value": certified.value,
            "gap": certified.gap,
        }

    def solve(items, *more):
        inputs = [items, *more] if more else items
        logits, *plan = tf.nest.flatten(model(inputs, training=False))
        found = answer(logits, temperature)
        if plan:
            (found["plan"],) = plan
        found["restored"] = permutations.apply(found["permutation"], items)
        return found

    input_specs = [
        tf.TensorSpec([None, *spec.shape[1:]], spec.dtype, name=spec.name)
        for spec in model.inputs
    ]
    functions = {
        "serving_default": tf.function(solve, input_specs, autograph=False),
        "match": tf.function(
            lambda logits: answer(logits, temperature), [logits_spec], autograph=False
        ),
        "match_at_temperature": tf.function(
            answer, [logits_spec, temperature_spec], autograph=False
        ),
    }
    for name, (function, spec) in (signatures or {}).items():
        functions[name] = tf.function(
            functools.partial(function, solve), [spec], autograph=False
        )

    module = tf.Module()
    # As attributes, so that a loaded model has them as methods.
    for name, function in functions.items():
        setattr(module, name, function)
    # The variables themselves: a Keras model would bring its Python classes along.
    module.weights = [variable.value for variable in model.variables]
    is_new = not os.path.exists(path)
    os.makedirs(path, exist_ok=True)
    final = os.path.join(path, str(version or _next_version(path)))
    if os.path.exists(final):
        raise FileExistsError(f"A version is never overwritten. Received: {final}")
    temporary = tempfile.mkdtemp(prefix=".writing-", dir=path)
    try:
        tf.saved_model.save(module, temporary, functions)
        _refuse_what_serving_refuses(temporary)
        extra = os.path.join(temporary, "assets.extra")
        os.makedirs(extra)
        for name, text in (assets_extra or {}).items():
            with open(os.path.join(extra, name), "w", encoding="utf-8") as file:
                file.write(text)
        os.chmod(temporary, 0o755)
        os.rename(temporary, final)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        if is_new and not os.listdir(path):
            os.rmdir(path)
    return final


def _next_version(path):
    return (
        max((int(name) for name in os.listdir(path) if name.isdigit()), default=0) + 1
    )


def _refuse_what_serving_refuses(directory):
    """Raises ValueError if a function must be compiled or calls Python."""
    model = saved_model_pb2.SavedModel()
    with open(os.path.join(directory, "saved_model.pb"), "rb") as file:
        model.ParseFromString(file.read())
    for meta_graph in model.meta_graphs:
        library = meta_graph.graph_def.library
        for function in library.function:
            must_compile = function.attr.get("_XlaMustCompile")
            if must_compile is not None and must_compile.b:
                raise ValueError(
                    "The model holds a function compiled with jit_compile=True, which "
                    "TensorFlow Serving on a CPU refuses at the first request; remove "
                    f"jit_compile. Received: function {function.signature.name}"
                )
        nodes = [meta_graph.graph_def.node, *(f.node_def for f in library.function)]
        for node in (node for part in nodes for node in part):
            if "PyFunc" in node.op:
                raise ValueError(
                    "The model calls Python (py_function or numpy_function), which is "
                    f"not saved with it. Received: op {node.op} in node {node.name}"
                )
