"""Solvers of jigsaw images: a SavedModel here, or one behind TensorFlow Serving.

Each has `shape` `(height, width, channels)` of the images that it takes, `n`, the
pieces of one, and `solve(images)`: float32 `[B, height, width, channels]` in [0, 1]
to a dict of `permutation` int32 `[B, n]`, `value` and `gap` float64 `[B]`. What the
user can mend is raised as UserError in one sentence.
"""

import http.client
import json
import os
import socket
import time
import urllib.error
import urllib.parse
import urllib.request

import numpy as np

from pipelines.shared.errors import UserError
from pipelines.shared.image_files import shown
from pipelines.shared.plain_paths import plain_path

SIGNATURE = "solve_image"
_WANTED = {"permutation": np.int32, "value": np.float64, "gap": np.float64}
_FIRST_DELAY = 0.2
_LONGEST_DELAY = 5.0


class Offline:
    """The newest version of a SavedModel in this process.

    Args:
        path: Directory of a model, or of one version of it.
    """

    def __init__(self, path):
        import tensorflow as tf

        if not os.path.isdir(path):
            raise UserError(
                f"No such directory{_did_you_mean(path)}. Received: --model={path}"
            )
        if not os.path.exists(os.path.join(path, "saved_model.pb")):
            versions = _versions(path)
            if not versions:
                raise UserError(
                    f"No version of a model there{_did_you_mean(path)}. "
                    f"Received: --model={path}"
                )
            path = os.path.join(path, str(max(versions)))
        try:
            path.encode()
        except UnicodeEncodeError as error:
            raise UserError(
                "TensorFlow loads models from paths that are UTF-8: rename or copy "
                f"the model. Received: --model={shown(path)}"
            ) from error
        try:
            # Kept: its variables are freed with it.
            with plain_path(path) as plain:
                self._model = tf.saved_model.load(plain)
        except (OSError, ValueError, tf.errors.OpError) as error:
            raise UserError(
                f"{path} cannot be read ({type(error).__name__})."
            ) from error
        if SIGNATURE not in self._model.signatures:
            raise _no_signature(path)
        self._solve = self._model.signatures[SIGNATURE]
        _, inputs = self._solve.structured_input_signature
        self.shape = tuple(inputs["image"].shape[1:])
        self.n = self._solve.structured_outputs["permutation"].shape[1]

    def solve(self, images):
        import tensorflow as tf

        found = self._solve(image=tf.constant(images, tf.float32))
        return {name: found[name].numpy() for name in _WANTED}


def _versions(path):
    """The numbers of the versions in the directory of a model, none elsewhere."""
    try:
        names = os.listdir(path)
    except OSError:
        return []
    return [int(name) for name in names if name.isdecimal()]


def _did_you_mean(path):
    """Names the models that are near: of a run, or in a directory of models."""
    run = os.path.normpath(path)
    near = [os.path.join(run, "solver")]
    if not os.path.isdir(run) or os.path.isfile(os.path.join(run, "checkpoint")):
        # A file of the run, or its checkpoints.
        near.append(os.path.join(os.path.dirname(run), "solver"))
    else:
        near += [os.path.join(run, name) for name in sorted(os.listdir(run))]
    near = [each for each in dict.fromkeys(near) if _versions(each)]
    if near:
        return f" (did you mean {' or '.join(near[:5])}?)"
    if os.path.isfile(os.path.join(run, "flags.json")):
        return " (this run has not exported a solver)"
    return ""


class Rest:
    """A model behind the REST endpoint of TensorFlow Serving.

    Args:
        server: `host:port`, the port is 8501 unless the server was told otherwise.
        name: Of the model.
        timeout: Seconds to wait for each answer.
        retries: How often to ask again while the server is unavailable.
    """

    def __init__(self, server, name, timeout, retries):
        self._server, self._name = server, name
        self._timeout, self._retries = timeout, retries
        self._url = f"http://{server}/v1/models/{urllib.parse.quote(name)}"
        found = self._ask(f"{self._url}/metadata")
        try:
            signatures = found["metadata"]["signature_def"]["signature_def"]
        except (KeyError, TypeError) as error:
            raise _not_serving(server) from error
        if SIGNATURE not in signatures:
            raise _no_signature(name)
        size = lambda tensor: [int(d["size"]) for d in tensor["tensor_shape"]["dim"]]
        signature = signatures[SIGNATURE]
        self.shape = tuple(size(signature["inputs"]["image"])[1:])
        self.n = size(signature["outputs"]["permutation"])[1]

    def solve(self, images):
        body = {"signature_name": SIGNATURE, "inputs": {"image": images.tolist()}}
        outputs = self._ask(f"{self._url}:predict", body)["outputs"]
        return {name: np.array(outputs[name], kind) for name, kind in _WANTED.items()}

    def _ask(self, url, body=None):
        data = None if body is None else json.dumps(body).encode()
        return _retried(
            lambda: self._once(url, data), self._retries, _unreachable(self._server)
        )

    def _once(self, url, data):
        request = urllib.request.Request(
            url, data, {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=self._timeout) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            said = error.read().decode(errors="replace")
            try:
                said = json.loads(said)["error"]
            except (ValueError, KeyError, TypeError):
                said = said or error.reason
            if error.code == 503:
                raise _Unavailable(said) from error
            if error.code == 404:
                raise _no_model(self._server, self._name) from error
            raise _refused(said) from error
        except TimeoutError as error:
            raise _too_late(self._timeout) from error
        except urllib.error.URLError as error:
            if isinstance(error.reason, TimeoutError):
                raise _too_late(self._timeout) from error
            if isinstance(error.reason, socket.gaierror):
                raise UserError(
                    f"No such host. Received: --server={self._server}"
                ) from error
            raise _Unavailable(str(error.reason)) from error
        except ConnectionError as error:
            raise _Unavailable(str(error)) from error
        except (ValueError, http.client.HTTPException) as error:
            raise _not_serving(self._server) from error


class Grpc:
    """A model behind the gRPC endpoint of TensorFlow Serving.

    Args:
        server: `host:port`, the port is 8500 unless the server was told otherwise.
        name, timeout, retries: As those of `Rest`.
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
        options = {
            # Whatever the size of a batch; the server has its own limit.
            "grpc.max_send_message_length": -1,
            "grpc.max_receive_message_length": -1,
            # So that asking again tries to connect again.
            "grpc.initial_reconnect_backoff_ms": 100,
        }
        channel = grpc.insecure_channel(server, list(options.items()))
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        request = get_model_metadata_pb2.GetModelMetadataRequest()
        request.model_spec.name = name
        request.metadata_field.append("signature_def")
        found = self._ask(self._stub.GetModelMetadata, request)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        found.metadata["signature_def"].Unpack(signatures)
        if SIGNATURE not in signatures.signature_def:
            raise _no_signature(name)
        signature = signatures.signature_def[SIGNATURE]
        size = lambda tensor: [d.size for d in tensor.tensor_shape.dim]
        self.shape = tuple(size(signature.inputs["image"])[1:])
        self.n = size(signature.outputs["permutation"])[1]

    def solve(self, images):
        import tensorflow as tf

        request = self._new_request()
        request.model_spec.name = self._name
        request.model_spec.signature_name = SIGNATURE
        request.inputs["image"].CopyFrom(tf.make_tensor_proto(images, tf.float32))
        request.output_filter.extend(_WANTED)
        outputs = self._ask(self._stub.Predict, request).outputs
        return {name: tf.make_ndarray(outputs[name]) for name in _WANTED}

    def _ask(self, method, request):
        return _retried(
            lambda: self._once(method, request),
            self._retries,
            _unreachable(self._server),
        )

    def _once(self, method, request):
        codes = self._grpc.StatusCode
        try:
            return method(request, timeout=self._timeout)
        except self._grpc.RpcError as error:
            code, said = error.code(), error.details()
            if code == codes.UNAVAILABLE:
                raise _Unavailable(said) from error
            if code == codes.DEADLINE_EXCEEDED:
                raise _too_late(self._timeout) from error
            if code == codes.NOT_FOUND:
                raise _no_model(self._server, self._name) from error
            raise _refused(f"{code.name}: {said}") from error


class _Unavailable(Exception):
    """The one error after which it helps to ask again."""


def _retried(ask, retries, unreachable):
    """Calls `ask` until it answers, with growing pauses while it is unavailable."""
    for attempt in range(retries + 1):
        try:
            return ask()
        except _Unavailable as error:
            if attempt == retries:
                raise unreachable(error) from error
        time.sleep(min(_FIRST_DELAY * 2**attempt, _LONGEST_DELAY))


def _unreachable(server):
    return lambda error: UserError(
        f"No server answers at {server} ({_first_line(error)})."
    )


def _too_late(timeout):
    return UserError(f"No answer within {timeout:g} s; --timeout allows more.")


def _not_serving(server):
    return UserError(
        f"{server} does not answer as TensorFlow Serving does over REST; its port for "
        "gRPC (--protocol=grpc) is another."
    )


def _no_model(server, name):
    return UserError(f"The server at {server} has no model of this name: {name}")


def _no_signature(name):
    return UserError(
        f"The model has no signature {SIGNATURE}. Received: --model={name}"
    )


def _refused(said):
    return UserError(f"The server refused the request: {_first_line(said)}")


def _first_line(said):
    return (str(said).strip().splitlines() or [""])[0][:300]
