"""SavedModels that return hard permutations, for TensorFlow Serving."""

import functools
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from sinkhorn_tf import permutations
from sinkhorn_tf._matching.matching import certified_matching
from sinkhorn_tf._sinkhorn.operator import sinkhorn
from sinkhorn_tf.export import _servable, _warmup


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
    at most; 0 means proven to be the best). If the model has a second output
    `[B, N, N]`, `serving_default` answers with that for a `plan`.

    In a batch of the same shape an example's answer is the same bit for bit whatever
    the other examples are, padding and NaN among them.

    Signatures:
        `serving_default(<inputs of the model>)`: the answer, and `restored`, the items
            of the first input in their places.
        `match(logits [B, N, N])`: the answer for the caller's own scores.
        `match_at_temperature(logits [B, N, N], temperature [B])`: the same, with the
            plan at a temperature for each example.

    Args:
        model: A Keras model from items `[B, N, ...]`, and any further inputs `[B,
            ...]`, to logits `[B, N, N]`.
        path: Directory of the model; a numbered version is written inside it.
        temperature, n_iters: Of the plans.
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
        TypeError: If the function of a signature returns no dict.
        ValueError: If the model does not have these outputs, or a signature or warm-up
            request does not fit, or the model holds what stock TensorFlow Serving on a
            CPU refuses (functions that must be compiled, Python functions, ops that are
            not TensorFlow's own). Nothing is left behind then.
    """
    n = _check_model(model)
    _check_version(version)
    logits = tf.TensorSpec([None, n, n], tf.float32, name="logits")
    specs = {
        "serving_default": tuple(
            tf.TensorSpec([None, *x.shape[1:]], x.dtype, name=x.name)
            for x in model.inputs
        ),
        "match": (logits,),
        "match_at_temperature": (
            logits,
            tf.TensorSpec([None], tf.float32, name="temperature"),
        ),
    }

    def answer(logits, temperature=temperature):
        certified = certified_matching(logits)
        return {
            "permutation": certified.perm,
            "plan": sinkhorn(logits, temperature, n_iters),
            "value": certified.value,
            "gap": certified.gap,
        }

    def solve(*inputs):
        logits, *plan = tf.nest.flatten(
            model(inputs if len(inputs) > 1 else inputs[0], training=False)
        )
        found = answer(logits)
        if plan:
            (found["plan"],) = plan
        found["restored"] = permutations.apply(found["permutation"], inputs[0])
        return found

    answers = {
        "serving_default": solve,
        "match": answer,
        "match_at_temperature": answer,
    }
    for name, (function, given) in (signatures or {}).items():
        if name in answers:
            raise ValueError(
                f"Every solver has a signature of this name already. Received: {name!r}"
            )
        answers[name] = functools.partial(function, solve)
        specs[name] = (given,) if isinstance(given, tf.TensorSpec) else tuple(given)

    def compiled(jit_compile):
        return {
            name: tf.function(
                function, specs[name], autograph=False, jit_compile=jit_compile
            )
            for name, function in answers.items()
        }

    plain = compiled(None)
    for name in signatures or {}:
        found = plain[name].get_concrete_function().structured_outputs
        if not isinstance(found, dict):
            raise TypeError(
                f"The function of signature {name} has to return a dict of tensors. "
                f"Received: {type(found).__name__}"
            )
    requests = {}
    if warmup_examples is not None:
        if not isinstance(warmup_examples, dict):
            warmup_examples = _warmup_requests(model, warmup_examples)
        requests = _warmup.checked(warmup_examples, plain, specs)
    # The variables themselves: a Keras model would bring its Python classes along.
    weights = [variable.value for variable in model.variables]
    path = os.path.normpath(os.fspath(path))
    variants = [(path, plain, False)]
    if jit_variant:
        variants.append((f"{path}_xla", compiled(True), True))
    for place, *_ in variants:
        if os.path.exists(place) and not os.path.isdir(place):
            raise FileExistsError(f"Not a directory of versions. Received: {place}")
    if jit_variant:
        if version is None:
            version = max(_next_version(place) for place, *_ in variants)
        for place, *_ in variants:
            _refuse_existing(os.path.join(place, str(version)))

    def write(functions, allow_jit, directory):
        module = tf.Module()
        # As attributes, so that a loaded model has them as methods.
        for name, function in functions.items():
            setattr(module, name, function)
        module.weights = weights
        tf.saved_model.save(module, directory, functions)
        _servable.prepare_for_serving(directory)
        _servable.refuse_what_serving_refuses(directory, allow_jit=allow_jit)
        extra = os.path.join(directory, "assets.extra")
        os.makedirs(extra)
        for name, text in (assets_extra or {}).items():
            with open(os.path.join(extra, name), "w", encoding="utf-8") as file:
                file.write(text)
        if requests:
            file_name = os.path.join(extra, _warmup.FILE_NAME)
            _warmup.write(file_name, requests, os.path.basename(path))

    # The plain version first: what is refused in the other is refused in it.
    written = [
        _write_version(place, version, functools.partial(write, functions, allow_jit))
        for place, functions, allow_jit in variants
    ]
    return written[0]


def _check_model(model):
    """N of a model that can be exported, or raises ValueError."""
    # A model that is not built raises AttributeError.
    inputs, outputs = (getattr(model, x, None) for x in ("inputs", "outputs"))
    if not inputs or not outputs:
        raise ValueError(
            "A model of known inputs and outputs is wanted: functional, or sequential "
            f"with an Input. Received: {model!r}"
        )
    shapes = [tuple(x.shape) for x in outputs]
    n = shapes[0][-1] if shapes[0] else None
    if n is None or len(shapes) > 2 or {x[1:] for x in shapes} != {(n, n)}:
        raise ValueError(
            "The model has to end at logits [B, N, N], or these and a plan [B, N, N]. "
            f"Received: outputs of the shapes {', '.join(map(str, shapes))}"
        )
    return n


def _check_version(version):
    if version is not None and (not isinstance(version, int) or version < 0):
        raise ValueError(f"version must be an int >= 0. Received: {version!r}")


def _warmup_requests(model, items):
    """A request of the items for each signature that every solver has."""
    if len(model.inputs) > 1:
        raise ValueError(
            "A model of several inputs needs warmup_examples as a dict of signatures "
            f"to their inputs. Received: {len(model.inputs)} inputs"
        )
    (spec,) = model.inputs
    logits = tf.nest.flatten(model(items, training=False))[0]
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
