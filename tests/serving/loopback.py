"""A stand-in for TensorFlow Serving on loopback, for the tests only.

    python loopback.py LIBRARIES C_API_FILE NAME=DIRECTORY...

The gRPC PredictionService with the messages of the official stubs, and what of the REST
endpoint the client uses, in front of the C API with XLA disabled, as `c_api` runs it:
one request at a time. It prints the two ports. It is not the server: batching,
versions and limits are not there.
"""

import http.server
import importlib.util
import json
import math
import os
import sys
import threading
from concurrent import futures

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf import json_format
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    predict_pb2,
)

MOST_ELEMENTS = 2**24
# The numbers of `DataType` that are parsed; a graph is kept for each.
DTYPES = {
    dtype.as_datatype_enum
    for dtype in (tf.float32, tf.float64, tf.int8, tf.int32, tf.int64)
    + (tf.bool, tf.complex64, tf.string)
}
# The codes of `TF_Code` are those of gRPC.
CODES = {code.value[0]: code for code in grpc.StatusCode}


class Refused(Exception):
    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


def refuse_large_claim(tensor):
    """Refuses a tensor that claims far more numbers than it has.

    TensorFlow's parser would repeat the last one, or zero, and take the memory for it:
    bytes that become gigabytes before a model is asked. The server itself has no limit
    of this kind; here it would hide what the models do.
    """
    claimed = math.prod(max(dim.size, 1) for dim in tensor.tensor_shape.dim)
    if claimed > MOST_ELEMENTS:
        message = f"{claimed} elements, the most are {MOST_ELEMENTS}"
        raise Refused(grpc.StatusCode.INVALID_ARGUMENT, message)


class Parser:
    """Arrays of TensorProtos, by TensorFlow's own parser, as in the server.

    In graphs: each eager op that fails keeps a kilobyte for good.
    """

    def __init__(self):
        self._lock = threading.Lock()
        self._calls = {}

    def __call__(self, tensor):
        refuse_large_claim(tensor)
        if tensor.dtype not in DTYPES:
            raise Refused(grpc.StatusCode.INVALID_ARGUMENT, f"dtype {tensor.dtype}")
        with self._lock:
            if tensor.dtype not in self._calls:
                self._calls[tensor.dtype] = self._build(tensor.dtype)
        return self._calls[tensor.dtype](tensor.SerializeToString())

    def _build(self, dtype):
        with tf.Graph().as_default() as graph:
            data = tf.compat.v1.placeholder(tf.string, [])
            parsed = tf.io.parse_tensor(data, dtype)
        return tf.compat.v1.Session(graph=graph).make_callable(parsed, [data])


class Models:
    def __init__(self, c_api, runtime, places):
        self._failed = c_api.Failed
        self._lock = threading.Lock()
        self._loaded, self._metadata = {}, {}
        for name, directory in places.items():
            version = max(int(x) for x in os.listdir(directory) if x.isdecimal())
            directory = os.path.join(directory, str(version))
            self._loaded[name] = c_api.Model(runtime, directory)
            model = saved_model_pb2.SavedModel()
            with open(os.path.join(directory, "saved_model.pb"), "rb") as file:
                model.ParseFromString(file.read())
            self._metadata[name] = get_model_metadata_pb2.SignatureDefMap(
                signature_def=model.meta_graphs[0].signature_def
            )

    def metadata(self, name):
        if name not in self._metadata:
            raise Refused(grpc.StatusCode.NOT_FOUND, f"Servable not found: {name}")
        return self._metadata[name]

    def predict(self, name, signature, inputs, wanted):
        signatures = self.metadata(name).signature_def
        invalid = grpc.StatusCode.INVALID_ARGUMENT
        if signature not in signatures or not signatures[signature].method_name:
            raise Refused(invalid, f"Serving signature name: {signature!r} not found")
        chosen = signatures[signature]
        if set(inputs) != set(chosen.inputs):
            raise Refused(invalid, f"input size does not match: {sorted(inputs)[:8]}")
        if not set(wanted) <= set(chosen.outputs):
            raise Refused(invalid, "output tensor alias not found in signature")
        try:
            with self._lock:
                model = self._loaded[name]
                return model.run(signature, inputs, wanted or sorted(chosen.outputs))
        except self._failed as error:
            raise Refused(CODES[error.code], str(error)) from error
        except KeyError as error:
            raise Refused(invalid, f"dtype {error}") from error


class Service:
    def __init__(self, models):
        self._models = models
        self._parse = Parser()

    def Predict(self, request, context):
        spec = request.model_spec
        try:
            arrays = self._models.predict(
                spec.name,
                spec.signature_name or "serving_default",
                {name: self._parse(x) for name, x in request.inputs.items()},
                list(request.output_filter),
            )
        except Refused as error:
            context.abort(error.code, str(error)[:1000])
        except (tf.errors.OpError, TypeError, ValueError) as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error)[:1000])
        answer = predict_pb2.PredictResponse(model_spec=spec)
        for name, array in arrays.items():
            answer.outputs[name].CopyFrom(tf.make_tensor_proto(array))
        return answer

    def GetModelMetadata(self, request, context):
        answer = get_model_metadata_pb2.GetModelMetadataResponse()
        answer.model_spec.CopyFrom(request.model_spec)
        try:
            metadata = self._models.metadata(request.model_spec.name)
        except Refused as error:
            context.abort(error.code, str(error))
        answer.metadata["signature_def"].Pack(metadata)
        return answer


def methods(service):
    """The PredictionService with the messages of the official stubs.

    What cannot be parsed is refused here: gRPC for Python, which would do it for a
    registered servicer, keeps 16 KiB of each such request for good.
    """

    def method(function, message):
        def answer(data, context):
            try:
                request = message.FromString(data)
            except DecodeError as error:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
            return function(request, context).SerializeToString()

        return grpc.unary_unary_rpc_method_handler(answer)

    known = {
        "Predict": (service.Predict, predict_pb2.PredictRequest),
        "GetModelMetadata": (
            service.GetModelMetadata,
            get_model_metadata_pb2.GetModelMetadataRequest,
        ),
    }
    return grpc.method_handlers_generic_handler(
        "tensorflow.serving.PredictionService",
        {name: method(*entry) for name, entry in known.items()},
    )


def handler(models):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self._answer(lambda name: {"metadata": {"signature_def": metadata(name)}})

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self._answer(lambda name: {"outputs": predict(name, body)})

        def log_message(self, *_):
            pass

        def _answer(self, find):
            name = self.path.removeprefix("/v1/models/").partition("/")[0]
            try:
                code, said = 200, find(name.partition(":")[0])
            except Refused as error:
                unknown = error.code == grpc.StatusCode.NOT_FOUND
                code, said = 404 if unknown else 400, {"error": str(error)}
            except ValueError as error:
                code, said = 400, {"error": str(error)}
            text = json.dumps(said).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

    def metadata(name):
        message = models.metadata(name)
        return json_format.MessageToDict(message, preserving_proto_field_name=True)

    def predict(name, body):
        signature = body.get("signature_name", "serving_default")
        inputs = {k: np.array(v, np.float32) for k, v in body["inputs"].items()}
        arrays = models.predict(name, signature, inputs, [])
        return {key: array.tolist() for key, array in arrays.items()}

    return Handler


def main():
    libraries, c_api_path, *places = sys.argv[1:]
    spec = importlib.util.spec_from_file_location("c_api", c_api_path)
    c_api = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(c_api)
    places = dict(place.split("=", 1) for place in places)
    models = Models(c_api, c_api.Runtime(libraries), places)
    server = grpc.server(
        futures.ThreadPoolExecutor(4), options=[("grpc.max_receive_message_length", -1)]
    )
    server.add_generic_rpc_handlers((methods(Service(models)),))
    grpc_port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    rest = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler(models))
    print(json.dumps({"grpc": grpc_port, "rest": rest.server_port}), flush=True)
    rest.serve_forever()


if __name__ == "__main__":
    main()
