"""A solver behind the gRPC endpoint of TensorFlow Serving.

In this module, too, `import grpc` imports the package of that name.
"""

import tensorflow as tf

from pipelines.shared.errors import UserError
from pipelines.solve import clients

_CHANNEL = {
    # Messages have any size here; the server has its own limit.
    "grpc.max_send_message_length": -1,
    "grpc.max_receive_message_length": -1,
    # This pause is shorter than that before the server is asked again, so that each
    # attempt connects again.
    "grpc.initial_reconnect_backoff_ms": 100,
}


class Grpc:
    """A model at a server, a `clients.Solver`.

    Args:
        server: `host:port`, by default at port 8500.
        name: The name of the model.
        timeout: Seconds to wait for each answer.
        retries: How often to ask again while the server is unavailable.
    """

    def __init__(self, server, name, timeout, retries):
        try:
            import grpc
            from tensorflow_serving.apis import (
                get_model_metadata_pb2,
                predict_pb2,
                prediction_service_pb2_grpc,
            )
        except ImportError as error:
            raise UserError(
                "--protocol=grpc needs the package tensorflow-serving-api: "
                "pip install 'sinkhorn_tf[serving]'"
            ) from error
        self._grpc, self._new_request = grpc, predict_pb2.PredictRequest
        self._server, self._name = server, name
        self._timeout, self._retries = timeout, retries
        channel = grpc.insecure_channel(server, list(_CHANNEL.items()))
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        request = get_model_metadata_pb2.GetModelMetadataRequest()
        request.model_spec.name = name
        request.metadata_field.append("signature_def")
        answer = self._ask(self._stub.GetModelMetadata, request)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        answer.metadata["signature_def"].Unpack(signatures)
        if clients.SIGNATURE not in signatures.signature_def:
            raise clients.no_signature(name)
        signature = signatures.signature_def[clients.SIGNATURE]
        self.shape = _sizes(signature.inputs["image"])[1:]
        self.n = _sizes(signature.outputs["permutation"])[1]

    def solve(self, images):
        """Solves images, see `clients.Solver`."""
        request = self._new_request()
        request.model_spec.name = self._name
        request.model_spec.signature_name = clients.SIGNATURE
        request.inputs["image"].CopyFrom(tf.make_tensor_proto(images, tf.float32))
        request.output_filter.extend(clients.OUTPUTS)
        outputs = self._ask(self._stub.Predict, request).outputs
        return {name: tf.make_ndarray(outputs[name]) for name in clients.OUTPUTS}

    def _ask(self, method, request):
        return clients.ask_again(
            lambda: self._ask_once(method, request), self._retries, self._server
        )

    def _ask_once(self, method, request):
        codes = self._grpc.StatusCode
        try:
            return method(request, timeout=self._timeout)
        except self._grpc.RpcError as error:
            code, details = error.code(), error.details()
            if code == codes.UNAVAILABLE:
                raise clients.Unavailable(details) from error
            if code == codes.DEADLINE_EXCEEDED:
                raise clients.too_late(self._timeout) from error
            if code == codes.NOT_FOUND:
                raise clients.no_model(self._server, self._name) from error
            raise clients.refused(f"{code.name}: {details}") from error


def _sizes(tensor):
    return tuple(dimension.size for dimension in tensor.tensor_shape.dim)
