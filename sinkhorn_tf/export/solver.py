"""SavedModels that return hard permutations, for TensorFlow Serving."""

import functools
import os
from collections.abc import Callable, Mapping, Sequence

import keras
import tensorflow as tf

from sinkhorn_tf._core.arguments import to_count
from sinkhorn_tf.export import (
    _arguments,
    _interface,
    _servable,
    _signatures,
    _versions,
    _warmup,
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

    The SavedModel needs neither this package nor Keras. `B` stands for any batch size, N
    items and M positions may vary too if they do in the model. Every answer has these
    tensors:

    - `permutation`, int32 `[B, N]`, -1 where there is none;
    - `plan`, `[B, N, M]`: the model's own if it has one and `serving_default` is asked,
      otherwise `S^L(logits / t)`;
    - `value`, float64 `[B]`, the sum of the matched logits;
    - `gap`, float64 `[B]`: the value is at most this far from the best one; 0 means
      that the permutation is proven to be the best.

    Floats are served as float32, whatever the precision of the model, except for
    `value`, `gap` and float64 inputs. The answer for an example is the same bit for
    bit in every batch of the same shape, whatever the other examples are, padding and
    NaN among them.

    The signatures are:

    - `serving_default(<inputs of the model>)`: the answer, and `restored` `[B, M, ...]`,
      the items in their places. The items are the first input of a shape `[B, N, ...]`
      that is no mask, in the order in which the inputs were given to Keras, in a dict
      too. The inputs have the names of their `keras.Input`.
    - `match(logits [B, N, M])`: the answer for the caller's own scores.
    - `match_at_temperature(logits [B, N, M], temperature [B])`: the same, with the
      plan at a temperature for each example.
    - `match_masked(logits [B, N, M], row_mask [B, N], col_mask [B, M])`: the answer for
      the items and positions whose mask is True, whatever the other logits are.

    A model whose examples have different sizes takes padded items and the inputs
    `row_mask`, bool `[B, N]`, or `col_mask`, bool `[B, M]`, or both: inputs of these names
    are masks of what exists in the answer. Without a `row_mask` it is Keras' own mask of
    the logits, as `Embedding(mask_zero=True)` makes it.

    Args:
        model: A Keras model, functional or sequential, from items `[B, N, ...]`, and
            any further inputs `[B, ...]`, to logits `[B, N, M]`, or to these and a
            plan: `[logits, plan]`, or a dict with the names "logits" and "plan" (beside
            "plan" the logits may have any name). The variables and lookup tables that
            the model holds are saved, wherever they were made.
        temperature: Temperature of the plans, a positive number.
        n_iters: Iterations of the plans, an int >= 0.
        signatures: More signatures: a dict of name to `(function, TensorSpec)`, or a
            sequence of TensorSpecs, where `function(solve, *inputs)` returns a dict of
            tensors. It can call `solve(*inputs)`, which gives the answer of
            `serving_default`.
        assets_extra: Dict of file name to text, kept in `assets.extra`, such as
            `metrics.json`.
        warmup_examples: Requests that the server answers before it takes others, so
            that the first client does not wait: items `[B, N, ...]`, from which one
            request is made for each of the signatures above (if the model has one
            input beside masks), or a dict of signature to a dict of inputs. They are kept in
            `assets.extra/tf_serving_warmup_requests`.
        jit_variant: Whether to write `<path>_xla` too: the same version with every
            signature compiled by XLA, for servers on a GPU or with
            `--xla_cpu_compilation_enabled`; any other server refuses its requests.
        version: Number of the version, >= 0; by default the next one.

    Returns:
        The path of the version. The version appears there whole: it is written under
        another name, checked, and renamed.

    Raises:
        FileExistsError: If the version exists, or a file is there. Nothing is
            overwritten.
        ImportError: If `warmup_examples` are given and tensorflow-serving-api is not
            installed.
        TypeError: If an argument is not of the type above, or the function of a
            signature returns no dict of tensors.
        ValueError: If the model does not have these inputs and outputs, or ends at a
            permutation or restored items in place of logits; if an argument, a
            signature or a warm-up request does not fit; if the model holds what no
            SavedModel can, what stock TensorFlow Serving on a CPU refuses (functions
            that must be compiled, Python functions, ops that are not TensorFlow's own)
            or, with `jit_variant`, what XLA refuses (strings, lookup tables). Nothing
            is left behind then.

    Example:

    >>> import tempfile
    >>> items = keras.Input((3, 2), name="items")
    >>> model = keras.Model(items, keras.layers.Dense(3)(items))
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     path = st.export_solver(model, directory, n_iters=5)
    ...     solver = tf.saved_model.load(path)
    >>> answer = solver.match(tf.constant([[[0.0, 2.0, 0.0], [2.0, 0.0, 0.0], [0.0] * 3]]))
    >>> answer["permutation"].numpy(), answer["value"].numpy()
    (array([[1, 0, 2]], dtype=int32), array([4.]))
    """
    interface = _interface.to_interface(model)
    interface.refuse_plans(model)
    path = _arguments.to_path(path)
    version = _arguments.to_version(version)
    temperature = _arguments.to_temperature(temperature)
    n_iters = to_count(n_iters, "n_iters", 0)
    assets_extra = _arguments.to_assets(assets_extra)
    jit_variant = _arguments.to_flag(jit_variant, "jit_variant")

    solver = _signatures.Solver(model, interface, temperature, n_iters)
    all_signatures = solver.signatures()
    for name, signature in _signatures.to_signatures(
        signatures, all_signatures
    ).items():
        all_signatures[name] = _signatures.bind_solve(signature, solver.solve)

    plain = _signatures.to_functions(all_signatures, jit_compile=None)
    specs = {name: function.input_signature for name, function in plain.items()}
    resources = _servable.resources(plain.values())
    if jit_variant:
        _servable.refuse_what_xla_refuses(specs, resources)
    requests = {}
    if warmup_examples is not None:
        if not isinstance(warmup_examples, Mapping):
            warmup_examples = solver.warmup_requests(warmup_examples)
        requests = _warmup.to_requests(warmup_examples, plain, specs)

    variants = [(path, plain, False)]
    if jit_variant:
        compiled = _signatures.to_functions(all_signatures, jit_compile=True)
        variants.append((f"{path}_xla", compiled, True))
    version = _to_common_version([place for place, *_ in variants], version)
    # The plain variant comes first: it fails for everything that the other would.
    written = [
        _versions.write_version(
            place,
            version,
            functools.partial(
                _write,
                model=model,
                functions=functions,
                allow_jit=allow_jit,
                assets=assets_extra,
                requests=requests,
                name=os.path.basename(os.path.abspath(path)),
            ),
        )
        for place, functions, allow_jit in variants
    ]
    return written[0]


def _to_common_version(places, version):
    """A version that all the directories lack, or None for the next one of one."""
    for place in places:
        if os.path.exists(place) and not os.path.isdir(place):
            raise FileExistsError(f"Not a directory of versions. Received: {place}")
    if len(places) == 1:
        return version
    if version is None:
        version = max(_versions.next_version(place) for place in places)
    for place in places:
        _versions.refuse_existing(place, version)
    return version


def _write(directory, *, model, functions, allow_jit, assets, requests, name):
    """Writes one version: the SavedModel, checked, and what goes with it."""
    resources = _servable.resources(functions.values())
    # The functions may hold more variables than Keras knows of.
    weights = [*(x.value for x in model.variables), *resources.variables]
    weights = list({id(x): x for x in weights}.values())
    module = _signatures.SolverModule(functions, weights, resources.tables)
    tf.saved_model.save(module, directory, functions)
    _servable.prepare_for_serving(directory)
    _servable.refuse_what_serving_refuses(directory, allow_jit=allow_jit)
    extra = os.path.join(directory, "assets.extra")
    os.makedirs(extra)
    for file_name, text in assets.items():
        with open(os.path.join(extra, file_name), "w", encoding="utf-8") as file:
            file.write(text)
    if requests:
        _warmup.write(os.path.join(extra, _warmup.FILE_NAME), requests, name)
