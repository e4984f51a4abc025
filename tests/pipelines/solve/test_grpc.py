"""The gRPC client at a server that is unavailable for a while, or for good."""

import contextlib
import time
from concurrent import futures

import pytest

from pipelines.shared.errors import UserError
from pipelines.solve.grpc import Grpc

grpc = pytest.importorskip("grpc", reason="needs tensorflow-serving-api")
metadata_pb2 = pytest.importorskip(
    "tensorflow_serving.apis.get_model_metadata_pb2",
    reason="needs tensorflow-serving-api",
)


@pytest.fixture
def pauses(monkeypatch):
    seconds = []
    monkeypatch.setattr(time, "sleep", seconds.append)
    return seconds


def metadata():
    signatures = metadata_pb2.SignatureDefMap()
    signature = signatures.signature_def["solve_image"]
    for tensor, sizes in (
        (signature.inputs["image"], [-1, 8, 8, 1]),
        (signature.outputs["permutation"], [-1, 4]),
    ):
        for size in sizes:
            tensor.tensor_shape.dim.add(size=size)
    answer = metadata_pb2.GetModelMetadataResponse()
    answer.metadata["signature_def"].Pack(signatures)
    return answer


@contextlib.contextmanager
def answering(*answers):
    """A server that gives each request the next answer: a message, or a status code.
    Yields its address and the answers that are left."""
    left = list(answers)

    def answer(request, context):
        this = left.pop(0)
        if isinstance(this, grpc.StatusCode):
            context.abort(this, "first line\nsecond line")
        return this

    method = grpc.unary_unary_rpc_method_handler(
        answer,
        metadata_pb2.GetModelMetadataRequest.FromString,
        metadata_pb2.GetModelMetadataResponse.SerializeToString,
    )
    server = grpc.server(futures.ThreadPoolExecutor(1))
    service = "tensorflow.serving.PredictionService"
    handler = grpc.method_handlers_generic_handler(
        service, {"GetModelMetadata": method}
    )
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}", left
    finally:
        server.stop(None).wait()


def test_asks_until_the_server_is_there(pauses):
    busy = grpc.StatusCode.UNAVAILABLE
    # More attempts than gRPC itself would make.
    with answering(*[busy] * 6, metadata()) as (server, left):
        solver = Grpc(server, "model", 5, 6)
    assert (solver.shape, solver.n, left) == ((8, 8, 1), 4, [])
    assert pauses == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0]


def test_a_server_that_stays_unavailable_is_one_sentence(pauses):
    with (
        answering(*[grpc.StatusCode.UNAVAILABLE] * 3) as (server, left),
        pytest.raises(UserError) as error,
    ):
        Grpc(server, "model", 5, 2)
    assert str(error.value) == f"No server answers at {server} (first line)."
    assert pauses == [0.2, 0.4] and left == []


@pytest.mark.parametrize(
    "code, message",
    [
        ("NOT_FOUND", "has no model of this name: model$"),
        ("DEADLINE_EXCEEDED", "No answer within 5 s; --timeout allows more.$"),
        ("INVALID_ARGUMENT", "refused the request: INVALID_ARGUMENT: first line$"),
    ],
)
def test_other_answers_are_final(pauses, code, message):
    with (
        answering(grpc.StatusCode[code]) as (server, left),
        pytest.raises(UserError, match=message),
    ):
        Grpc(server, "model", 5, 3)
    assert pauses == left == []
