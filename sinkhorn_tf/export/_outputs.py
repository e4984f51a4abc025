"""The outputs of a model: which are the logits and the plan, and what made them."""

from collections.abc import Mapping

import keras
import tensorflow as tf

from sinkhorn_tf.layers import (
    GumbelSinkhorn,
    Matching,
    PartialSinkhorn,
    Restore,
    SinkhornLayer,
)

_PLANNERS = (GumbelSinkhorn, Matching, PartialSinkhorn, Restore, SinkhornLayer)
# Layers of Keras, and operations of `keras.ops` (whose classes are not public), whose
# outputs at inference are the numbers of their inputs, rearranged or averaged at most.
_PASSES_ON = frozenset(
    [
        *("ActivityRegularization", "AlphaDropout", "Average", "BroadcastTo", "Cast"),
        *("Copy", "Dropout", "ExpandDims", "Flatten", "GaussianDropout"),
        *("GaussianNoise", "GetItem", "Identity", "Mean", "Moveaxis", "Permute"),
        *("Reshape", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D"),
        *("Squeeze", "StopGradient", "Swapaxes", "Transpose"),
    ]
)


def logits_and_plan(outputs):
    """The logits of a model's outputs, and the plan or None.

    Args:
        outputs: A tensor, a list of one or two, or a dict of them by name.

    Raises:
        ValueError: If the outputs are of another structure or have other names.
    """
    if not isinstance(outputs, (Mapping, list, tuple)):
        return outputs, None
    named = isinstance(outputs, Mapping)
    parts = list(outputs.values() if named else outputs)
    if len(parts) not in (1, 2) or any(
        isinstance(part, (Mapping, list, tuple)) for part in parts
    ):
        raise ValueError(
            "The model has to end at its logits [B, N, M], or at these and a plan "
            '[B, N, M]: [logits, plan] or {"logits": logits, "plan": plan}. '
            f"Received: outputs of the shapes {shapes_of(outputs)}"
        )
    if not named:
        return parts[0], parts[1] if len(parts) == 2 else None
    # The output beside a plan is the logits, whatever its name.
    others = [name for name in outputs if name != "plan"]
    if len(others) != 1:
        raise ValueError(
            'Outputs in a dict need the names "logits" and, where the model has its own '
            f'plan, "plan". Received: {", ".join(map(repr, outputs))}'
        )
    return outputs[others[0]], outputs.get("plan")


def shapes_of(outputs) -> str:
    """The shapes of tensors in a nested structure, as a message shows them."""
    if isinstance(outputs, Mapping):
        parts = (f"{name!r}: {shapes_of(part)}" for name, part in outputs.items())
        return f"{{{', '.join(parts)}}}"
    if isinstance(outputs, (list, tuple)):
        parts = (
            f"[{shapes_of(x)}]" if isinstance(x, list) else shapes_of(x)
            for x in outputs
        )
        return ", ".join(parts)
    return str(tuple(outputs.shape))


def sizes_of_logits(
    logits: keras.KerasTensor, plan: keras.KerasTensor | None
) -> tuple[int | None, int | None]:
    """N and M, where logits and plan are `[B, N, M]`; None for one that varies.

    Raises:
        ValueError: If they have other shapes.
    """
    outputs = [x for x in (logits, plan) if x is not None]
    try:
        matrix = tf.TensorShape([None, None])
        for x in outputs:
            matrix = matrix.merge_with(tf.TensorShape(x.shape).with_rank(3)[1:])
    except ValueError:
        matrix = None
    if matrix is None or 0 in matrix:
        raise ValueError(
            "The model has to end at logits [B, N, M], or these and a plan [B, N, M]. "
            f"Received: outputs of the shapes {shapes_of(outputs)}"
        )
    n, m = matrix.as_list()
    return n, m


def refuse_permutation_as_logits(model: keras.Model, logits: keras.KerasTensor) -> None:
    """Raises ValueError if a layer of this package made what should be logits."""
    layer, tensors = _source_layer(logits)
    if layer is None:
        return
    # The permutation was made by the layer that takes the logits.
    source = layer
    if isinstance(layer, Restore) and tensors:
        source, tensors = _source_layer(tensors[0])
    advice = ""
    if source in model.layers and tensors and source.input is tensors[0]:
        advice = (
            f", as in keras.Model(model.inputs, model.get_layer({source.name!r}).input)"
        )
    product = "restored items" if isinstance(layer, Restore) else "a permutation"
    raise ValueError(
        f"The model has to end at its logits [B, N, M], not at {product}; pass it up to "
        f"the logits that the permutation is made of{advice}. "
        f"Received: the output of {type(layer).__name__} {layer.name!r}"
    )


def refuse_items_as_plan(plan: keras.KerasTensor | None) -> None:
    """Raises ValueError if the layer `Restore` made what should be a plan."""
    layer = None if plan is None else _source_layer(plan)[0]
    if not isinstance(layer, Restore):
        return
    raise ValueError(
        "The second output of the model has to be a plan [B, N, M], not restored items, "
        "which the solver adds by itself. "
        f"Received: the output of {type(layer).__name__} {layer.name!r}"
    )


def _source_layer(tensor, outside=None):
    """The layer of this package that a KerasTensor comes from, through `_PASSES_ON`.

    Args:
        tensor: The KerasTensor.
        outside: Maps the id of each input of a nested model to the tensor that the
            model was called with, and to the `outside` of that tensor.

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
    if isinstance(layer, _PLANNERS):
        return layer, tensors
    if isinstance(layer, keras.Model) and getattr(layer, "outputs", None):
        inside = {
            id(x): (called_with, outside)
            for x, called_with in zip(layer.inputs, tensors, strict=False)
        }
        return _source_layer(layer.outputs[index], inside)
    if _passes_on(layer):
        for before in tensors:
            source = _source_layer(before, outside)
            if source[0] is not None:
                return source
    return None, ()


def _passes_on(operation):
    if isinstance(operation, keras.layers.Activation):
        return operation.activation is keras.activations.linear
    cls = type(operation)
    return cls.__module__.split(".")[0] == "keras" and cls.__name__ in _PASSES_ON
