"""The interface of a model: its inputs as they are served, and its sizes."""

import re
import typing
from collections.abc import Iterable, Mapping, Sequence

import keras
import tensorflow as tf

from sinkhorn_tf.export import _outputs
from sinkhorn_tf.layers._masks import mask_of


class Interface(typing.NamedTuple):
    """The inputs of a model that can be exported.

    Attributes:
        n: N, the number of items, or None if it varies.
        m: M, the number of positions, or None.
        structure: The KerasTensors in the structure that the model takes.
        inputs: The same tensors in one list, in the order in which they were given to
            Keras, which itself sorts a dict by its keys.
        specs: A TensorSpec for each input, under the name that is served.
        items: The index of the input that holds the items.
        row_mask, col_mask: The indices of the inputs that are masks, or None.
    """

    n: int | None
    m: int | None
    structure: object
    inputs: list[keras.KerasTensor]
    specs: tuple[tf.TensorSpec, ...]
    items: int
    row_mask: int | None
    col_mask: int | None

    def masks(self, tensors: Sequence[tf.Tensor]) -> dict[str, tf.Tensor]:
        """Those of a tensor for each of `inputs` that are masks, by name."""
        places = {"row_mask": self.row_mask, "col_mask": self.col_mask}
        return {name: tensors[k] for name, k in places.items() if k is not None}

    def logits_and_plan(self, model: keras.Model, tensors: Iterable[tf.Tensor]):
        """Calls the model with a tensor for each of `inputs`.

        Returns:
            `(logits, plan, mask)`; the plan, and Keras' mask of the logits, may be None.
        """
        by_input = {
            id(x): tf.cast(tensor, x.dtype)
            for x, tensor in zip(self.inputs, tensors, strict=True)
        }
        structure = keras.tree.map_structure(lambda x: by_input[id(x)], self.structure)
        logits, plan = _outputs.logits_and_plan(model(structure, training=False))
        mask = mask_of(logits)
        if logits.shape.rank is None:
            # A layer with a mutable table loses the shape that Keras knows.
            logits = tf.ensure_shape(logits, [None, self.n, self.m])
        return logits, plan, mask

    def refuse_plans(self, model: keras.Model) -> None:
        """Raises ValueError where the numbers of a model are a plan rather than logits.

        The history of Keras ends at a layer or model of the user's own; random items
        tell there. Models whose inputs are neither masks nor floating point of known
        shape are passed over, and those with more positions than items, where not even
        the columns of a plan sum to 1.
        """
        masks = self.masks(self.specs).values()
        are_known = all(
            (spec.dtype.is_floating or any(spec is mask for mask in masks))
            and spec.shape[1:].is_fully_defined()
            for spec in self.specs
        )
        if not are_known or self.n == 1 or not (self.n and self.m):
            return
        if self.n < self.m:
            return
        items = [
            tf.random.stateless_normal([4, *spec.shape[1:]], [0, k], dtype=tf.float32)
            if spec.dtype.is_floating
            else tf.ones([4, *spec.shape[1:]], spec.dtype)
            for k, spec in enumerate(self.specs)
        ]
        logits = tf.cast(self.logits_and_plan(model, items)[0], tf.float64)
        sums = tf.reduce_sum(logits, axis=-2)
        looks_like_a_plan = tf.reduce_all(logits >= 0) & tf.reduce_all(
            tf.abs(sums - 1) < 1e-3
        )
        if looks_like_a_plan:
            raise ValueError(
                "The model has to end at its logits [B, N, M], not at a permutation. "
                "Received: a model whose outputs on random items are at least 0, with "
                "columns that sum to 1"
            )


def to_interface(model: keras.Model) -> Interface:
    """The interface of a model.

    Raises:
        ValueError: If the model cannot be exported.
    """
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
    logits, plan = _outputs.logits_and_plan(outputs)
    _outputs.refuse_permutation_as_logits(model, logits)
    _outputs.refuse_items_as_plan(plan)
    n, m = _outputs.sizes_of_logits(logits, plan)
    inputs = list(_leaves_in_order(structure))
    names = to_served_names([x.name for x in inputs], "An input of the model")
    specs = tuple(
        tf.TensorSpec([None, *x.shape[1:]], x.dtype, name=name)
        for x, name in zip(inputs, names, strict=True)
    )
    row_mask = _index_of_mask(specs, "row_mask", n)
    col_mask = _index_of_mask(specs, "col_mask", m)
    items = _index_of_items(specs, n, (row_mask, col_mask))
    return Interface(n, m, structure, inputs, specs, items, row_mask, col_mask)


def _leaves_in_order(structure):
    """The leaves of a nested structure, those of a dict in the order of the dict."""
    if isinstance(structure, Mapping):
        structure = list(structure.values())
    if not isinstance(structure, (list, tuple)):
        yield structure
        return
    for part in structure:
        yield from _leaves_in_order(part)


def _index_of_mask(specs, name, size):
    """The index of the input with the name of a mask, or None."""
    for index, spec in enumerate(specs):
        if spec.name != name:
            continue
        if spec.dtype != tf.bool or not spec.shape.is_compatible_with([None, size]):
            raise ValueError(
                f"An input named {name} tells what exists: give it another name, or "
                f"make it a keras.Input(({size},), dtype='bool'). "
                f"Received: {name} of dtype {spec.dtype.name} and shape {spec.shape}"
            )
        return index
    return None


def _index_of_items(specs, n, masks):
    """The index of the first input that can hold N items for each example."""
    for index, spec in enumerate(specs):
        if index not in masks and spec.shape.rank >= 2 and spec.shape[1] in (n, None):
            return index
    number = "that varies" if n is None else f"= {n}"
    raise ValueError(
        f"One input of the model has to hold its items, [B, N, ...] with N {number} as in "
        f"the logits. Received: inputs of the shapes {_outputs.shapes_of(specs)}"
    )


def to_served_names(names: Sequence[str], owner: str) -> list[str]:
    """The names that inputs have in a signature.

    Args:
        names: Of the inputs.
        owner: The inputs in words, for a message: "An input of the model".

    Raises:
        ValueError: If TensorFlow does not take a name, or two would be the same.
    """
    for name in names:
        if not re.fullmatch(r"[A-Za-z0-9.][A-Za-z0-9_.\\/>-]*", name):
            raise ValueError(
                f"{owner} has to have a name of the letters a to z, digits, '_', '.', "
                f"'-' or '/' that does not begin with '_'. Received: {name!r}"
            )
    # TensorFlow would do the same at the end, where warm-up requests do not see it.
    served = [re.sub(r"^(?=\d)", "arg_", re.sub(r"\W", "_", name)) for name in names]
    if len(set(served)) < len(served):
        raise ValueError(
            f"{owner} has to have a name of its own. Received: {', '.join(served)}"
        )
    return served


def to_served_dtype(dtype: tf.DType | str) -> tf.DType:
    """float32 in place of half precision, which JSON lacks and few clients write."""
    result = tf.as_dtype(dtype)
    return tf.float32 if result.is_floating and result.size < 4 else result
