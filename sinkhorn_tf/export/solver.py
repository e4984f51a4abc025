"""SavedModels that return hard permutations, for TensorFlow Serving."""

import functools
import inspect
import numbers
import os
import re
import shutil
import tempfile
import typing
from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from sinkhorn_tf import permutations
from sinkhorn_tf._core import arguments as _arguments
from sinkhorn_tf._matching.matching import certified_matching
from sinkhorn_tf._sinkhorn.operator import sinkhorn
from sinkhorn_tf.export import _servable, _warmup
from sinkhorn_tf.layers import GumbelSinkhorn, Matching, Restore, SinkhornLayer

# What has numbers of its own to give, but is no number to Python.
_ARRAYS = (np.ndarray, tf.Tensor, tf.Variable, keras.Variable)
# Layers of Keras, and operations of `keras.ops` (whose classes are not public), that
# at inference hand on the numbers of their inputs, rearranged or averaged at most.
_HANDS_ON = frozenset(
    [
        *("ActivityRegularization", "AlphaDropout", "Average", "BroadcastTo", "Cast"),
        *("Copy", "Dropout", "ExpandDims", "Flatten", "GaussianDropout"),
        *("GaussianNoise", "GetItem", "Identity", "Mean", "Moveaxis", "Permute"),
        *("Reshape", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D"),
        *("Squeeze", "StopGradient", "Swapaxes", "Transpose"),
    ]
)


def export_solver(
    model: keras.Model,
    path: str | os.PathLike,
    *,
    temperature: float = 1.0,
    n_iters: int = 20,
    signatures: dict[str, tuple[Callable, tf.TensorSpec | Sequence]] | None = None,
    assets_extra: dict[str, str] | None = None,
    warmup_examples: object = None,
    jit_variant: bool = False,
    version: int | None = None,
) -> str:
    """Exports a network as a solver that stock TensorFlow Serving can run.

    The SavedModel needs neither this package nor Keras. `B` stands for any batch size.
    Every answer has `permutation` (int32 `[B, N]`, -1 where there is none),
    `plan` (`S^L(logits / t)`, `[B, N, N]`), `value` (float64 `[B]`, sum of the
    matched logits) and `gap` (float64 `[B]`, how far from optimal that value can be
    at most; 0 means proven to be the best). If the model has a plan `[B, N, N]` of
    its own, `serving_default` answers with that for a `plan`. Floats are served as
    float32, whatever the precision of the model, but for `value`, `gap` and float64
    inputs.

    In a batch of the same shape an example's answer is the same bit for bit whatever
    the other examples are, padding and NaN among them.

    Signatures:
        `serving_default(<inputs of the model>)`: the answer, and `restored`, the items
            in their places: those of the first input of a shape `[B, N, ...]`, in the
            order in which the inputs were given to Keras, in a dict too. The inputs
            have the names of their `keras.Input`.
        `match(logits [B, N, N])`: the answer for the caller's own scores.
        `match_at_temperature(logits [B, N, N], temperature [B])`: the same, with the
            plan at a temperature for each example.

    Args:
        model: A Keras model, functional or sequential, from items `[B, N, ...]`, and
            any further inputs `[B, ...]`, to logits `[B, N, N]`, or to these and a
            plan: `[logits, plan]`, or a dict with the names "logits" and "plan" (beside
            "plan" the logits may have any name). N is fixed. The variables and lookup
            tables that it holds are saved, whoever made them.
        path: Directory of the model; a numbered version is written inside it.
        temperature: Of the plans, a positive number.
        n_iters: Of the plans, an int >= 0.
        signatures: More signatures: a dict of name to `(function, TensorSpec)`, or a
            sequence of TensorSpecs, where `function(solve, *inputs)` returns a dict of
            tensors, with the help of `solve(*inputs)`, which gives the answer of
            `serving_default`.
        assets_extra: Dict of file name to text, kept in `assets.extra`, such as
            `metrics.json`.
        warmup_examples: Requests that the server answers before it takes others, so
            that the first of those is not slow: items `[B, N, ...]`, from which one
            request is made for each of the signatures above (of a model with one
            input), or a dict of signature to a dict of inputs. Kept in
            `assets.extra/tf_serving_warmup_requests`.
        jit_variant: Also writes `<path>_xla`, the same version with every signature
            compiled by XLA, for servers on a GPU or with
            `--xla_cpu_compilation_enabled`; any other server refuses its requests.
        version: Number of the version, >= 0; by default the next one.

    Returns:
        The path of the version that was written. It appears there whole: it is written
        under another name, checked, and renamed.

    Raises:
        FileExistsError: If the version exists, or a file is there. Nothing is
            overwritten.
        ImportError: If `warmup_examples` are given and tensorflow-serving-api is not
            installed.
        TypeError: If an argument is not of the type above, or the function of a
            signature returns no dict of tensors.
        ValueError: If the model does not have these outputs, ends at a permutation or
            restored items in place of logits, or has no fixed N; if an argument, a
            signature or a warm-up request does not fit; if the model holds what no
            SavedModel can, what stock TensorFlow Serving on a CPU refuses (functions
            that must be compiled, Python functions, ops that are not TensorFlow's own)
            or, with `jit_variant`, what XLA does (strings, lookup tables). Nothing is
            left behind then.
    """
    interface = _interface(model)
    path = _to_path(path)
    version = _to_version(version)
    temperature = _to_temperature(temperature)
    n_iters = _arguments.to_count(n_iters, "n_iters", 0)
    assets_extra = _to_assets(assets_extra)
    if not isinstance(jit_variant, (bool, np.bool_)):
        raise TypeError(f"jit_variant must be a bool. Received: {jit_variant!r}")
    answers = _own_signatures(model, interface, temperature, n_iters)
    solve, _ = answers["serving_default"]
    for name, (function, specs) in _to_signatures(signatures, answers).items():
        function = _with_input_dtypes(functools.partial(function, solve), specs)
        answers[name] = function, specs

    plain = _compiled(answers, None)
    specs = {name: function.input_signature for name, function in plain.items()}
    resources = _servable.resources(plain.values())
    if jit_variant:
        _refuse_what_xla_refuses(specs, resources)
    requests = {}
    if warmup_examples is not None:
        if not isinstance(warmup_examples, Mapping):
            warmup_examples = _warmup_requests(model, interface, warmup_examples)
        requests = _warmup.checked(warmup_examples, plain, specs)
    variants = [(path, plain, False)]
    if jit_variant:
        variants.append((f"{path}_xla", _compiled(answers, True), True))
    for place, *_ in variants:
        if os.path.exists(place) and not os.path.isdir(place):
            raise FileExistsError(f"Not a directory of versions. Received: {place}")
    if jit_variant:
        if version is None:
            version = max(_next_version(place) for place, *_ in variants)
        for place, *_ in variants:
            _refuse_existing(os.path.join(place, str(version)))

    def write(functions, allow_jit, directory):
        _save(model, functions, directory)
        _servable.prepare_for_serving(directory)
        _servable.refuse_what_serving_refuses(directory, allow_jit=allow_jit)
        extra = os.path.join(directory, "assets.extra")
        os.makedirs(extra)
        for name, text in assets_extra.items():
            with open(os.path.join(extra, name), "w", encoding="utf-8") as file:
                file.write(text)
        if requests:
            file_name = os.path.join(extra, _warmup.FILE_NAME)
            _warmup.write(file_name, requests, os.path.basename(os.path.abspath(path)))

    # The plain version first: what is refused in the other is refused in it.
    written = [
        _write_version(place, version, functools.partial(write, functions, allow_jit))
        for place, functions, allow_jit in variants
    ]
    return written[0]


class _Interface(typing.NamedTuple):
    """The inputs of a model that can be exported.

    Attributes:
        n: N, the number of items.
        structure: The KerasTensors in the structure that the model takes.
        inputs: The same in one list, in the order in which they were given to Keras,
            which itself sorts a dict by its keys.
        specs: A TensorSpec for each, under the name that is served.
        items: Which of them holds the items.
    """

    n: int
    structure: object
    inputs: list
    specs: tuple
    items: int

    def logits_and_plan(self, model, tensors):
        """Calls the model with a tensor for each of `inputs`; the plan may be None."""
        by_input = {
            id(x): tf.cast(tensor, x.dtype)
            for x, tensor in zip(self.inputs, tensors, strict=True)
        }
        structure = keras.tree.map_structure(lambda x: by_input[id(x)], self.structure)
        return _logits_and_plan(model(structure, training=False))


def _interface(model):
    """The `_Interface` of a model that can be exported, or raises ValueError."""
    # A model that is not built raises AttributeError.
    inputs, outputs = (getattr(model, x, None) for x in ("inputs", "outputs"))
    if not inputs or not outputs:
        raise ValueError(
            "A model of known inputs and outputs is wanted: functional, or sequential "
            f"with an Input. Received: {model!r}"
        )
    if isinstance(model, keras.Sequential):
        # Its `input` and `output` are those of its last call.
        structure = inputs[0]
        spec = model.compute_output_spec(structure)
        outputs = keras.tree.pack_sequence_as(spec, outputs)
    else:
        structure, outputs = model.input, model.output
    logits, plan = _logits_and_plan(outputs)
    _refuse_permutation_as_logits(model, logits)
    _refuse_items_as_plan(plan)
    n = _number_of_items(logits, plan)
    inputs = list(_in_order(structure))
    names = _served_names([x.name for x in inputs], "An input of the model")
    specs = tuple(
        tf.TensorSpec([None, *x.shape[1:]], x.dtype, name=name)
        for x, name in zip(inputs, names, strict=True)
    )
    return _Interface(n, structure, inputs, specs, _which_items(inputs, n))


def _in_order(structure):
    """The leaves of a nested structure, those of a dict in the order of the dict."""
    if isinstance(structure, Mapping):
        structure = list(structure.values())
    if not isinstance(structure, (list, tuple)):
        yield structure
        return
    for part in structure:
        yield from _in_order(part)


def _logits_and_plan(outputs):
    """The logits and the plan (or None) of a model's outputs: in a dict by name."""
    if not isinstance(outputs, (Mapping, list, tuple)):
        return outputs, None
    named = isinstance(outputs, Mapping)
    parts = list(outputs.values() if named else outputs)
    if len(parts) not in (1, 2) or any(
        isinstance(part, (Mapping, list, tuple)) for part in parts
    ):
        raise ValueError(
            "The model has to end at its logits [B, N, N], or at these and a plan "
            '[B, N, N]: [logits, plan] or {"logits": logits, "plan": plan}. '
            f"Received: outputs of the shapes {_shapes(outputs)}"
        )
    if not named:
        return parts[0], parts[1] if len(parts) == 2 else None
    # Beside a plan there is no doubt which the logits are, whatever their name.
    others = [name for name in outputs if name != "plan"]
    if len(others) != 1:
        raise ValueError(
            'Outputs in a dict need the names "logits" and, where the model has its own '
            f'plan, "plan". Received: {", ".join(map(repr, outputs))}'
        )
    return outputs[others[0]], outputs.get("plan")


def _shapes(outputs):
    if isinstance(outputs, Mapping):
        parts = (f"{name!r}: {_shapes(part)}" for name, part in outputs.items())
        return f"{{{', '.join(parts)}}}"
    if isinstance(outputs, (list, tuple)):
        parts = (
            f"[{_shapes(x)}]" if isinstance(x, list) else _shapes(x) for x in outputs
        )
        return ", ".join(parts)
    return str(tuple(outputs.shape))


def _refuse_permutation_as_logits(model, logits):
    """Raises ValueError if a layer of this package made what should be logits."""
    layer, tensors = _maker(logits)
    if layer is None:
        return
    # The layer that takes the logits is the one that made the permutation.
    source = layer
    if isinstance(layer, Restore) and tensors:
        source, tensors = _maker(tensors[0])
    way = ""
    if source in model.layers and tensors and source.input is tensors[0]:
        way = (
            f", as in keras.Model(model.inputs, model.get_layer({source.name!r}).input)"
        )
    product = "restored items" if isinstance(layer, Restore) else "a permutation"
    raise ValueError(
        f"The model has to end at its logits [B, N, N], not at {product}; pass it up to "
        f"the logits that the permutation is made of{way}. "
        f"Received: the output of {type(layer).__name__} {layer.name!r}"
    )


def _refuse_items_as_plan(plan):
    layer = None if plan is None else _maker(plan)[0]
    if not isinstance(layer, Restore):
        return
    raise ValueError(
        "The second output of the model has to be a plan [B, N, N], not restored items, "
        "which the solver adds by itself. "
        f"Received: the output of {type(layer).__name__} {layer.name!r}"
    )


def _maker(tensor, outside=None):
    """The layer of this package that a KerasTensor comes from, through `_HANDS_ON`.

    Args:
        tensor: The KerasTensor.
        outside: For inputs of a nested model, by their ids, the tensor that it was
            called with and what `outside` is there.

    Returns:
        The layer and the tensors that it was called with; None and () if there is no
        such layer.
    """
    while outside and id(tensor) in outside:
        tensor, outside = outside[id(tensor)]
    # Keras has no public way back from a tensor.
    operation, node, index = tensor._keras_history
    if operation is None:
        return None, ()
    tensors = operation._inbound_nodes[node].input_tensors
    layer = (
        operation.layer if isinstance(operation, keras.layers.Wrapper) else operation
    )
    if isinstance(layer, (GumbelSinkhorn, Matching, Restore, SinkhornLayer)):
        return layer, tensors
    if isinstance(layer, keras.Model) and getattr(layer, "outputs", None):
        inside = {
            id(x): (called_with, outside)
            for x, called_with in zip(layer.inputs, tensors, strict=False)
        }
        return _maker(layer.outputs[index], inside)
    if _hands_on(layer):
        for before in tensors:
            found = _maker(before, outside)
            if found[0] is not None:
                return found
    return None, ()


def _hands_on(operation):
    if isinstance(operation, keras.layers.Activation):
        return operation.activation is keras.activations.linear
    kind = type(operation)
    return kind.__module__.split(".")[0] == "keras" and kind.__name__ in _HANDS_ON


def _number_of_items(logits, plan):
    """N, where logits and plan are `[B, N, N]`; otherwise raises ValueError."""
    outputs = [x for x in (logits, plan) if x is not None]
    shapes = [tuple(x.shape) for x in outputs]
    if any(len(shape) == 3 and None in shape[1:] for shape in shapes):
        raise ValueError(
            "N, the number of items, has to be fixed in a model that is exported: "
            "build it on an Input such as keras.Input((9, 3)), not on one of (None, 3). "
            f"Received: outputs of the shapes {_shapes(outputs)}"
        )
    n = shapes[0][-1] if shapes[0] else None
    if any(shape[1:] != (n, n) for shape in shapes):
        raise ValueError(
            "The model has to end at logits [B, N, N], or these and a plan [B, N, N]. "
            f"Received: outputs of the shapes {_shapes(outputs)}"
        )
    return n


def _which_items(inputs, n):
    """The place of the first input that can hold N items for each example."""
    for place, x in enumerate(inputs):
        if len(x.shape) >= 2 and x.shape[1] in (n, None):
            return place
    raise ValueError(
        f"One input of the model has to hold its items, [B, N, ...] with N = {n} as in "
        f"the logits. Received: inputs of the shapes {_shapes(inputs)}"
    )


def _served_names(names, what):
    """The names that inputs have in a signature, or raises ValueError."""
    for name in names:
        if not re.fullmatch(r"[A-Za-z0-9.][A-Za-z0-9_.\\/>-]*", name):
            raise ValueError(
                f"{what} has to have a name of the letters a to z, digits, '_', '.', "
                f"'-' or '/' that does not begin with '_'. Received: {name!r}"
            )
    # TensorFlow would do the same at the end, where warm-up requests do not see it.
    served = [re.sub(r"^(?=\d)", "arg_", re.sub(r"\W", "_", name)) for name in names]
    if len(set(served)) < len(served):
        raise ValueError(
            f"{what} has to have a name of its own. Received: {', '.join(served)}"
        )
    return served


def _served_dtype(dtype):
    """float32 for half precision, which no JSON holds and few clients write."""
    dtype = tf.as_dtype(dtype)
    return tf.float32 if dtype.is_floating and dtype.size < 4 else dtype


def _own_signatures(model, interface, temperature, n_iters):
    """Functions and TensorSpecs of the signatures that every solver has."""
    n, items = interface.n, interface.items
    logits = tf.TensorSpec([None, n, n], tf.float32, name="logits")
    scale = tf.TensorSpec([None], tf.float32, name="temperature")

    def answer(logits, temperature=temperature):
        # In half precision the sums of a plan would be off by a hundredth.
        logits = tf.cast(logits, _served_dtype(logits.dtype))
        certified = certified_matching(logits)
        return {
            "permutation": certified.perm,
            "plan": tf.cast(sinkhorn(logits, temperature, n_iters), tf.float32),
            "value": certified.value,
            "gap": certified.gap,
        }

    def solve(*inputs):
        logits, plan = interface.logits_and_plan(model, inputs)
        answers = answer(logits)
        if plan is not None:
            answers["plan"] = tf.cast(plan, tf.float32)
        restored = permutations.apply(answers["permutation"], inputs[items])
        if restored.dtype.is_floating:
            restored = tf.cast(restored, tf.float32)
        return {**answers, "restored": restored}

    return {
        "serving_default": (solve, interface.specs),
        "match": (answer, (logits,)),
        "match_at_temperature": (answer, (logits, scale)),
    }


def _with_input_dtypes(function, specs):
    """Gives the function the dtypes of `specs`, whatever is served in their place."""
    return lambda *inputs: function(
        *(tf.cast(x, spec.dtype) for x, spec in zip(inputs, specs, strict=True))
    )


def _compiled(answers, jit_compile):
    """A tf.function for each signature, without half precision at either end."""
    return {
        name: tf.function(
            functools.partial(_serve, name, function),
            [tf.TensorSpec(x.shape, _served_dtype(x.dtype), x.name) for x in specs],
            autograph=False,
            jit_compile=jit_compile,
        )
        for name, (function, specs) in answers.items()
    }


def _serve(name, function, *inputs):
    outputs = function(*inputs)
    if not isinstance(outputs, Mapping):
        raise TypeError(
            f"The function of signature {name} has to return a dict of tensors. "
            f"Received: {type(outputs).__name__}"
        )
    return {key: _served_output(name, key, x) for key, x in outputs.items()}


def _served_output(name, key, value):
    if not isinstance(key, str) or isinstance(value, (Mapping, tf.RaggedTensor)):
        raise TypeError(
            f"The function of signature {name} has to return a dict of names to dense "
            f"tensors. Received: {key!r}: {type(value).__name__}"
        )
    value = tf.convert_to_tensor(value)
    return tf.cast(value, _served_dtype(value.dtype))


def _save(model, functions, directory):
    """Writes the SavedModel of the functions and of what they hold."""
    module = tf.Module()
    # As attributes, so that a loaded model has them as methods.
    for name, function in functions.items():
        setattr(module, name, function)
    # The variables and tables themselves: a Keras model would bring its Python classes
    # along. The functions may hold more of them than Keras knows of.
    resources = _servable.resources(functions.values())
    weights = [*(x.value for x in model.variables), *resources.variables]
    module.weights = list({id(x): x for x in weights}.values())
    module.tables = resources.tables
    tf.saved_model.save(module, directory, functions)


def _refuse_what_xla_refuses(specs, resources):
    refused = [
        *(
            f"input {x.name} of strings"
            for name in specs
            for x in specs[name]
            if x.dtype == tf.string
        ),
        *(type(table).__name__ for table in resources.tables),
    ]
    if refused:
        raise ValueError(
            "jit_variant is not for models with strings or lookup tables, which XLA "
            f"does not compile; export without it. Received: {refused[0]}"
        )


def _to_path(path):
    if not isinstance(path, (str, bytes, os.PathLike)) or not os.fspath(path):
        raise TypeError(f"path must be that of a directory. Received: {path!r}")
    return os.path.normpath(os.fsdecode(path))


def _to_version(version):
    if version is None:
        return None
    is_integer = isinstance(version, numbers.Integral) and not isinstance(version, bool)
    if not is_integer or version < 0:
        raise ValueError(f"version must be an int >= 0. Received: {version!r}")
    return int(version)


def _to_temperature(temperature):
    """A Python float: a layer's variable is read once, as it is now."""
    number = temperature
    if isinstance(temperature, _ARRAYS):
        number = np.asarray(keras.ops.convert_to_numpy(temperature))[()]
    is_number = isinstance(number, numbers.Real) and not isinstance(number, bool)
    if not is_number or not 0 < number < float("inf"):
        raise ValueError(
            "temperature must be positive and finite, a single number. "
            f"Received: temperature={temperature!r}"
        )
    return float(number)


def _to_assets(assets):
    """A dict of file name to text."""
    if not isinstance(assets, (Mapping, type(None))):
        raise TypeError(
            f"assets_extra must be a dict of file name to text. Received: {assets!r}"
        )
    assets = dict(assets or {})
    for name, text in assets.items():
        if not isinstance(name, str) or not isinstance(text, str):
            raise TypeError(
                "assets_extra must be a dict of file name to text. "
                f"Received: {name!r}: {type(text).__name__}"
            )
        if os.path.basename(name) != name or name in ("", ".", "..", _warmup.FILE_NAME):
            raise ValueError(
                "A file of assets_extra has a plain name, which is not that of the "
                f"warm-up requests. Received: {name!r}"
            )
    return assets


def _to_signatures(signatures, taken):
    """A dict of name to function and a tuple of TensorSpecs with names."""
    if not isinstance(signatures, (Mapping, type(None))):
        raise TypeError(
            "signatures must be a dict of name to (function, TensorSpec). "
            f"Received: {signatures!r}"
        )
    reserved = {*dir(tf.Module), "weights", "tables"}
    checked = {}
    for name, pair in (signatures or {}).items():
        if name in taken:
            raise ValueError(
                f"Every solver has a signature of this name already. Received: {name!r}"
            )
        if not isinstance(name, str) or not name or name in reserved:
            raise ValueError(
                "A signature has a name that no attribute of tf.Module has, nor "
                f"'weights' or 'tables'. Received: {name!r}"
            )
        checked[name] = _to_signature(name, pair)
    return checked


def _to_signature(name, pair):
    is_pair = isinstance(pair, (tuple, list)) and len(pair) == 2
    function, specs = pair if is_pair else (None, None)
    specs = (specs,) if isinstance(specs, tf.TensorSpec) else specs
    if (
        not callable(function)
        or not isinstance(specs, (tuple, list))
        or not all(isinstance(spec, tf.TensorSpec) for spec in specs)
    ):
        raise TypeError(
            f"Signature {name} has to be given as (function, TensorSpec), or with a "
            f"sequence of TensorSpecs. Received: {pair!r}"
        )
    names = [spec.name for spec in specs]
    if None in names:
        # The parameters after `solve`, as TensorFlow itself would name them.
        parameters = list(inspect.signature(function).parameters)[1:]
        names = [
            spec.name or (parameters[k] if k < len(parameters) else f"inputs_{k}")
            for k, spec in enumerate(specs)
        ]
    names = _served_names(names, f"An input of signature {name}")
    return function, tuple(
        tf.TensorSpec(spec.shape, spec.dtype, served)
        for spec, served in zip(specs, names, strict=True)
    )


def _warmup_requests(model, interface, items):
    """A request of the items for each signature that every solver has."""
    if len(interface.specs) > 1:
        raise ValueError(
            "A model of several inputs needs warmup_examples as a dict of signatures "
            f"to their inputs. Received: {len(interface.specs)} inputs"
        )
    (spec,) = interface.specs
    served = tf.TensorSpec(spec.shape, _served_dtype(spec.dtype), spec.name)
    items = _warmup.to_tensor(items, served, "serving_default")
    logits, _ = interface.logits_and_plan(model, [items])
    logits = tf.cast(logits, tf.float32)
    return {
        "serving_default": {spec.name: items},
        "match": {"logits": logits},
        "match_at_temperature": {
            "logits": logits,
            "temperature": tf.ones(tf.shape(logits)[:1]),
        },
    }


def _write_version(path, version, write):
    """Calls `write(directory)` and renames the directory to a version of `path`."""
    is_new = not os.path.exists(path)
    os.makedirs(path, exist_ok=True)
    temporary = tempfile.mkdtemp(prefix=".writing-", dir=path)
    try:
        if version is not None:
            _refuse_existing(os.path.join(path, str(version)))
        write(temporary)
        # TensorFlow Serving may run as another user.
        os.chmod(temporary, 0o755)
        while True:
            number = _next_version(path) if version is None else version
            final = os.path.join(path, str(number))
            try:
                # To the directory of another version it fails: those hold files.
                os.rename(temporary, final)
                return final
            except OSError:
                # Another process may have taken the number in the meantime.
                if version is not None or not os.path.exists(final):
                    _refuse_existing(final)
                    raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        if is_new and not os.listdir(path):
            os.rmdir(path)


def _refuse_existing(final):
    if os.path.exists(final):
        raise FileExistsError(f"A version is never overwritten. Received: {final}")


def _next_version(path):
    names = os.listdir(path) if os.path.isdir(path) else []
    numbers = (int(x) for x in names if x.isascii() and x.isdecimal())
    return max(numbers, default=0) + 1
