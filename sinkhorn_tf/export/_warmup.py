"""Warm-up requests, which TensorFlow Serving answers before it takes any others."""

import typing
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

FILE_NAME = "tf_serving_warmup_requests"


def to_requests(
    examples: Mapping[str, Mapping],
    functions: dict[str, Callable],
    specs: dict[str, tuple],
) -> dict[str, dict[str, tf.Tensor]]:
    """Converts the requests to tensors and answers each of them once.

    A request that fails would keep the server from loading the model.

    Args:
        examples: The inputs of one request for each signature.
        functions: The function of each signature.
        specs: The inputs of each signature.

    Raises:
        ImportError: If the classes of the records are not installed.
        ValueError: If a signature, an input, a shape or a dtype does not fit.
    """
    _prediction_log()
    requests = {}
    for name, inputs in examples.items():
        if name not in specs:
            raise ValueError(
                f"warmup_examples takes the signatures {', '.join(specs)}. "
                f"Received: {name!r}"
            )
        by_name = {spec.name: spec for spec in specs[name]}
        if set(inputs) != set(by_name):
            raise ValueError(
                f"A warm-up request for {name} has the inputs {', '.join(by_name)}. "
                f"Received: {', '.join(inputs)}"
            )
        requests[name] = {
            key: to_tensor(value, by_name[key], name) for key, value in inputs.items()
        }
        functions[name](*(requests[name][spec.name] for spec in specs[name]))
    return requests


def write(path: str, requests: dict[str, dict[str, tf.Tensor]], model: str) -> None:
    """Writes one PredictionLog record for each request.

    Args:
        path: Path of the file.
        requests: What `to_requests` returned.
        model: The name that the server will know the model by.
    """
    log = _prediction_log()
    with tf.io.TFRecordWriter(path) as file:
        for signature, inputs in requests.items():
            record = log.PredictionLog()
            request = record.predict_log.request
            request.model_spec.name = model
            request.model_spec.signature_name = signature
            for name, value in inputs.items():
                request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
            file.write(record.SerializeToString())


def to_tensor(value: object, spec: tf.TensorSpec, signature: str) -> tf.Tensor:
    """The value of an input, which may be nested lists.

    Raises:
        ValueError: If it does not fit `spec`, the input of the signature.
    """
    # Through NumPy, so that Python floats do not become float64 tensors by chance.
    try:
        value = np.asarray(value)
    except ValueError:
        raise ValueError(
            f"Input {spec.name} of {signature} takes the shape {spec.shape}. "
            "Received: lists of different lengths"
        ) from None
    is_text = value.dtype.kind in "SUO"
    if is_text != (spec.dtype == tf.string) or not np.can_cast(
        value.dtype, spec.dtype.as_numpy_dtype, "same_kind"
    ):
        raise ValueError(
            f"Input {spec.name} of {signature} takes {spec.dtype.name}. "
            f"Received: {value.dtype}"
        )
    if not spec.shape.is_compatible_with(value.shape) or not value.size:
        raise ValueError(
            f"Input {spec.name} of {signature} takes the shape {spec.shape}. "
            f"Received: {value.shape}"
        )
    return tf.constant(value, spec.dtype)


def _prediction_log() -> typing.Any:
    try:
        from tensorflow_serving.apis import prediction_log_pb2
    except ImportError as error:
        raise ImportError(
            "warmup_examples needs the package tensorflow-serving-api: "
            "pip install 'sinkhorn_tf[serving]'"
        ) from error
    return prediction_log_pb2
