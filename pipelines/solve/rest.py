"""A solver behind the REST endpoint of TensorFlow Serving."""

import socket
import urllib.parse

import numpy as np
import requests

from pipelines.shared.errors import UserError
from pipelines.solve import clients


class Rest:
    """A model at a server, a `clients.Solver`.

    Args:
        server: `host:port`, by default at port 8501.
        name: The name of the model.
        timeout: Seconds to wait for each answer.
        retries: How often to ask again while the server is unavailable.
    """

    def __init__(self, server, name, timeout, retries):
        self._server, self._name = server, name
        self._timeout, self._retries = timeout, retries
        self._url = f"http://{server}/v1/models/{urllib.parse.quote(name)}"
        answer = self._ask("GET", f"{self._url}/metadata")
        try:
            signatures = answer["metadata"]["signature_def"]["signature_def"]
        except (KeyError, TypeError) as error:
            raise _not_serving(server) from error
        if clients.SIGNATURE not in signatures:
            raise clients.no_signature(name)
        signature = signatures[clients.SIGNATURE]
        self.shape = _sizes(signature["inputs"]["image"])[1:]
        self.n = _sizes(signature["outputs"]["permutation"])[1]

    def solve(self, images):
        """Solves images, see `clients.Solver`."""
        body = {
            "signature_name": clients.SIGNATURE,
            "inputs": {"image": images.tolist()},
        }
        outputs = self._ask("POST", f"{self._url}:predict", body)["outputs"]
        return {
            name: np.array(outputs[name], dtype)
            for name, dtype in clients.OUTPUTS.items()
        }

    def _ask(self, method, url, body=None):
        return clients.ask_again(
            lambda: self._ask_once(method, url, body), self._retries, self._server
        )

    def _ask_once(self, method, url, body):
        try:
            answer = requests.request(method, url, json=body, timeout=self._timeout)
        except requests.RequestException as error:
            raise self._explain(_first_cause(error)) from error
        if answer.status_code == 503:
            raise clients.Unavailable(_reason(answer))
        if answer.status_code == 404:
            raise clients.no_model(self._server, self._name)
        if not answer.ok:
            raise clients.refused(_reason(answer))
        try:
            return answer.json()
        except ValueError as error:
            raise _not_serving(self._server) from error

    def _explain(self, cause):
        """The error to raise where there was no answer."""
        if isinstance(cause, TimeoutError):
            return clients.too_late(self._timeout)
        if isinstance(cause, socket.gaierror):
            return UserError(f"No such host. Received: --server={self._server}")
        # An error of requests is an OSError too, though not of the network.
        if isinstance(cause, OSError) and not isinstance(
            cause, requests.RequestException
        ):
            return clients.Unavailable(str(cause))
        return _not_serving(self._server)


def _first_cause(error):
    """The error that began a chain, such as the refused connection."""
    while error.__context__ is not None:
        error = error.__context__
    return error


def _reason(answer):
    """The reason that a server gives for an error."""
    try:
        return answer.json()["error"]
    except (ValueError, KeyError, TypeError):
        return answer.text or answer.reason


def _sizes(tensor):
    dimensions = tensor["tensor_shape"]["dim"]
    return tuple(int(dimension["size"]) for dimension in dimensions)


def _not_serving(server):
    return UserError(
        f"{server} does not answer as TensorFlow Serving does over REST; its port for "
        "gRPC (--protocol=grpc) is another."
    )
