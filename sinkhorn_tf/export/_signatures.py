"""The signatures of a solver: serving_default, match and its kin, and more."""

import dataclasses
import functools
import inspect
import typing
from collections.abc import Callable, Mapping

import keras
import tensorflow as tf

from sinkhorn_tf import permutations
from sinkhorn_tf._core import batching
from sinkhorn_tf._matching.matching import certified_matching
from sinkhorn_tf._sinkhorn.operator import sinkhorn
from sinkhorn_tf.export import _warmup
from sinkhorn_tf.export._interface import (
    Interface,
    to_served_dtype,
    to_served_names,
)


class Signature(typing.NamedTuple):
    """A function of tensors and the TensorSpecs of its inputs, with names."""

    function: Callable
    specs: tuple[tf.TensorSpec, ...]


class SolverModule(tf.Module):
    """What is saved: a method for each signature, and what their functions hold.

    The variables and tables are attributes themselves: a Keras model would bring its
    Python classes along.
    """

    def __init__(self, functions, weights, tables):
        super().__init__()
        for name, function in functions.items():
            setattr(self, name, function)
        self.weights = weights
        self.tables = tables


@dataclasses.dataclass(frozen=True, eq=False)
class Solver:
    """The functions of the signatures that every solver has.

    Attributes:
        model: The network.
        interface: Its inputs.
        temperature, n_iters: Of the plans.
    """

    model: keras.Model
    interface: Interface
    temperature: float
    n_iters: int

    def answer(
        self,
        logits: tf.Tensor,
        temperature: tf.Tensor | None = None,
        *,
        row_mask: tf.Tensor | None = None,
        col_mask: tf.Tensor | None = None,
    ) -> dict:
        """The answer for logits `[B, N, M]`, at a temperature `[B]` or the solver's."""
        # In half precision the sums of a plan would be off by a hundredth.
        logits = tf.cast(logits, to_served_dtype(logits.dtype))
        if temperature is None:
            temperature = self.temperature
        n, m = batching.sizes(logits, 1)
        row_mask, col_mask = _with_size(row_mask, n), _with_size(col_mask, m)
        certified = certified_matching(logits, row_mask=row_mask, col_mask=col_mask)
        plan = sinkhorn(
            logits, temperature, self.n_iters, row_mask=row_mask, col_mask=col_mask
        )
        return {
            "permutation": certified.perm,
            "plan": tf.cast(plan, tf.float32),
            "value": certified.value,
            "gap": certified.gap,
        }

    def solve(self, *inputs: tf.Tensor) -> dict:
        """The answer for inputs of the model, and the items in their places."""
        logits, plan, mask = self.interface.logits_and_plan(self.model, inputs)
        masks = self.interface.masks(inputs)
        if mask is not None:
            # Keras' own mask, as of an embedding, is that of the items.
            masks.setdefault("row_mask", mask)
        answer = self.answer(logits, **masks)
        if plan is not None:
            answer["plan"] = tf.cast(plan, tf.float32)
        items = inputs[self.interface.items]
        restored = permutations.apply(
            answer["permutation"],
            items,
            n_positions=batching.static_or_dynamic(logits, 2),
        )
        if restored.dtype.is_floating:
            restored = tf.cast(restored, tf.float32)
        return {**answer, "restored": restored}

    def answer_masked(
        self, logits: tf.Tensor, row_mask: tf.Tensor, col_mask: tf.Tensor
    ) -> dict:
        """The answer for what exists of logits `[B, N, M]`."""
        return self.answer(logits, row_mask=row_mask, col_mask=col_mask)

    def signatures(self) -> dict[str, Signature]:
        """The signatures that every solver has, by name."""
        n, m = self.interface.n, self.interface.m
        logits = tf.TensorSpec([None, n, m], tf.float32, name="logits")
        temperature = tf.TensorSpec([None], tf.float32, name="temperature")
        row_mask = tf.TensorSpec([None, n], tf.bool, name="row_mask")
        col_mask = tf.TensorSpec([None, m], tf.bool, name="col_mask")
        return {
            "serving_default": Signature(self.solve, self.interface.specs),
            "match": Signature(self.answer, (logits,)),
            "match_at_temperature": Signature(self.answer, (logits, temperature)),
            "match_masked": Signature(self.answer_masked, (logits, row_mask, col_mask)),
        }

    def warmup_requests(self, items: object) -> dict[str, dict[str, tf.Tensor]]:
        """A request made of the items for each signature that every solver has.

        Everything exists in these requests.

        Raises:
            ValueError: If the model has several inputs that are no masks, or the items do
                not fit.
        """
        specs = self.interface.specs
        spec = specs[self.interface.items]
        n_others = len(specs) - len(self.interface.masks(specs))
        if n_others > 1:
            raise ValueError(
                "A model of several inputs needs warmup_examples as a dict of signatures "
                f"to their inputs. Received: {n_others} inputs"
            )
        served = tf.TensorSpec(spec.shape, to_served_dtype(spec.dtype), spec.name)
        items_tensor = _warmup.to_tensor(items, served, "serving_default")
        batch, n = items_tensor.shape[:2]
        # A number of positions that varies can only be that of the items.
        sizes = {"row_mask": n, "col_mask": self.interface.m or n}
        masks = {name: tf.ones([batch, size], tf.bool) for name, size in sizes.items()}
        inputs = {x.name: items_tensor if x is spec else masks[x.name] for x in specs}
        logits, *_ = self.interface.logits_and_plan(self.model, inputs.values())
        logits = tf.cast(logits, tf.float32)
        return {
            "serving_default": inputs,
            "match": {"logits": logits},
            "match_at_temperature": {"logits": logits, "temperature": tf.ones([batch])},
            "match_masked": {
                "logits": logits,
                "row_mask": tf.ones(logits.shape[:2], tf.bool),
                "col_mask": tf.ones([batch, logits.shape[2]], tf.bool),
            },
        }


def _with_size(mask, size):
    """A mask `[B, size]`, or None; a request with one of another size fails here."""
    if mask is None:
        return None
    # A mask of one element would broadcast.
    return tf.reshape(mask, [tf.shape(mask)[0], size])


def to_signatures(
    signatures: object, solver_signatures: Mapping[str, Signature]
) -> dict[str, Signature]:
    """Checks the argument `signatures` of `export_solver`.

    Returns:
        A dict of name to a function of `(solve, *inputs)` and its TensorSpecs.

    Raises:
        TypeError, ValueError: If a signature is of another form, or has a name that is
            taken.
    """
    if not isinstance(signatures, (Mapping, type(None))):
        raise TypeError(
            "signatures must be a dict of name to (function, TensorSpec). "
            f"Received: {signatures!r}"
        )
    reserved = {*dir(SolverModule), "weights", "tables"}
    checked = {}
    for name, pair in (signatures or {}).items():
        if name in solver_signatures:
            raise ValueError(
                "signatures must not redefine one that every solver already has. "
                f"Received: {name!r}"
            )
        if not isinstance(name, str) or not name or name in reserved:
            raise ValueError(
                "A signature has a name that no attribute of tf.Module has, nor "
                f"'weights' or 'tables'. Received: {name!r}"
            )
        checked[name] = _to_signature(name, pair)
    return checked


def _to_signature(name: str, pair: typing.Any) -> Signature:
    is_pair = isinstance(pair, (tuple, list)) and len(pair) == 2
    function, specs = pair if is_pair else (None, None)
    specs: typing.Any = (specs,) if isinstance(specs, tf.TensorSpec) else specs
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
        # TensorFlow itself would name them by the parameters after `solve`.
        parameters = list(inspect.signature(function).parameters)[1:]
        names = [
            spec.name or (parameters[k] if k < len(parameters) else f"inputs_{k}")
            for k, spec in enumerate(specs)
        ]
    names = to_served_names(names, f"An input of signature {name}")
    return Signature(
        function,
        tuple(
            tf.TensorSpec(spec.shape, spec.dtype, served)
            for spec, served in zip(specs, names, strict=True)
        ),
    )


def bind_solve(signature: Signature, solve: Callable) -> Signature:
    """Gives a signature its first argument, and the dtypes of its specs.

    The signature may be served with wider dtypes than its specs have.
    """
    function, specs = signature

    def call(*inputs):
        casted = (tf.cast(x, spec.dtype) for x, spec in zip(inputs, specs, strict=True))
        return function(solve, *casted)

    return Signature(call, specs)


def to_functions(
    signatures: Mapping[str, Signature], jit_compile: bool | None
) -> dict[str, tf.types.experimental.GenericFunction]:
    """A tf.function for each signature, without half precision at either end."""
    return {
        name: tf.function(
            functools.partial(_serve, name, function),
            [tf.TensorSpec(x.shape, to_served_dtype(x.dtype), x.name) for x in specs],
            autograph=False,
            jit_compile=jit_compile,
        )
        for name, (function, specs) in signatures.items()
    }


def _serve(name, function, *inputs):
    outputs = function(*inputs)
    if not isinstance(outputs, Mapping):
        raise TypeError(
            f"The function of signature {name} has to return a dict of tensors. "
            f"Received: {type(outputs).__name__}"
        )
    return {key: _to_served_output(name, key, x) for key, x in outputs.items()}


def _to_served_output(name, key, value):
    if not isinstance(key, str) or isinstance(value, (Mapping, tf.RaggedTensor)):
        raise TypeError(
            f"The function of signature {name} has to return a dict of names to dense "
            f"tensors. Received: {key!r}: {type(value).__name__}"
        )
    value = tf.convert_to_tensor(value)
    return tf.cast(value, to_served_dtype(value.dtype))
