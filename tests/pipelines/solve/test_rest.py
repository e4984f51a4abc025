"""The REST client at servers that are unavailable, or none of TensorFlow Serving."""

import contextlib
import http.server
import json
import socket
import threading
import time

import pytest

from pipelines.shared.errors import UserError
from pipelines.solve.rest import Rest


def of_shape(*sizes):
    return {"tensor_shape": {"dim": [{"size": str(size)} for size in sizes]}}


def metadata():
    signature = {
        "inputs": {"image": of_shape(-1, 8, 8, 1)},
        "outputs": {"permutation": of_shape(-1, 4)},
    }
    return {
        "metadata": {"signature_def": {"signature_def": {"solve_image": signature}}}
    }


@pytest.fixture
def pauses(monkeypatch):
    seconds = []
    monkeypatch.setattr(time, "sleep", seconds.append)
    return seconds


@contextlib.contextmanager
def answering(*answers):
    """A server that gives each request the next answer: a status and a body, or None
    for a connection that is reset. Yields its address and the answers that are left."""
    left = list(answers)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            answer = left.pop(0)
            if answer is None:
                # The socket is closed without an answer.
                self.close_connection = True
                return
            status, body = answer
            body = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Retry-After", "3600")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        try:
            yield f"localhost:{server.server_port}", left
        finally:
            server.shutdown()
            thread.join()


def test_asks_until_the_server_is_there(pauses, caplog, capsys):
    busy = (503, {"error": "loading"})
    with answering(busy, None, busy, (200, metadata())) as (server, left):
        solver = Rest(server, "model", 5, 3)
    assert (solver.shape, solver.n, left) == ((8, 8, 1), 4, [])
    assert pauses == [0.2, 0.4, 0.8]
    # Nothing is said of it.
    assert caplog.text == "" and capsys.readouterr() == ("", "")


def test_a_server_that_stays_unavailable_is_one_sentence(pauses):
    with (
        answering(*[(503, {"error": "loading\nfor long"})] * 7) as (server, left),
        pytest.raises(UserError) as error,
    ):
        Rest(server, "model", 5, 6)
    assert str(error.value) == f"No server answers at {server} (loading)."
    assert pauses == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0] and left == []


@pytest.mark.parametrize(
    "answer, message",
    [
        ((400, {"error": "no\nway"}), "The server refused the request: no$"),
        ((500, b""), "The server refused the request: Internal Server Error$"),
        ((404, {"error": "Servable not found"}), "has no model of this name: model$"),
        ((200, b"<html>"), "does not answer as TensorFlow Serving"),
        ((200, {"metadata": {}}), "does not answer as TensorFlow Serving"),
        ((200, [1]), "does not answer as TensorFlow Serving"),
    ],
)
def test_other_answers_are_final(pauses, answer, message):
    with (
        answering(answer) as (server, left),
        pytest.raises(UserError, match=message) as error,
    ):
        Rest(server, "model", 5, 3)
    assert "\n" not in str(error.value)
    assert pauses == left == []


def test_a_refused_connection_is_named(pauses):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        server = f"127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(UserError) as error:
            Rest(server, "model", 5, 0)
    expected = f"No server answers at {server} ([Errno 111] Connection refused)."
    assert str(error.value) == expected and pauses == []


def test_a_host_that_is_unknown_is_final(pauses, monkeypatch):
    def unknown(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(UserError, match="No such host. Received: --server=nowhere:1"):
        Rest("nowhere:1", "model", 5, 3)
    assert pauses == []
