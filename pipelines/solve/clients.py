"""The common part of the solvers of jigsaw images: a protocol, patience, and errors.

`offline.Offline` is a SavedModel in this process; `rest.Rest` and `grpc.Grpc` ask one
behind TensorFlow Serving. An error that the user can mend is a UserError of one sentence.
"""

from typing import Protocol

import numpy as np

from pipelines.shared.errors import UserError, first_line

SIGNATURE = "solve_image"
# The outputs of the signature that are used here, and their types.
OUTPUTS = {"permutation": np.int32, "value": np.float64, "gap": np.float64}

# Seconds of the pauses before a server is asked again; each is twice as long as the last.
_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 5.0


class Solver(Protocol):
    """A solver of scrambled images.

    Attributes:
        shape: `(height, width, channels)` of the images that it takes.
        n: The number of pieces of an image.
    """

    shape: tuple
    n: int

    def solve(self, images):
        """Solves images.

        Args:
            images: float32 `[B, height, width, channels]` in [0, 1].

        Returns:
            Dict of `permutation` int32 `[B, n]`, `value` and `gap` float64 `[B]`.
        """


class Unavailable(Exception):
    """The server does not answer just now; after no other error it is asked again."""


def ask_again(ask, retries, server):
    """Calls `ask` until it answers, with growing pauses while it raises `Unavailable`.

    Neither urllib3's `Retry` nor gRPC's `retryPolicy` can do this. `Retry` also asks again
    after an answer that came too late, and pauses as long as the server likes. With
    `retryPolicy` all attempts share one timeout, and there are five of them at most.

    Args:
        ask: Function without arguments.
        retries: How often to call it again.
        server: `host:port`, for the error.

    Returns:
        What `ask` returns.

    Raises:
        UserError: If the server is still unavailable at the last attempt.
    """
    # Imported here, since a model in this process is never asked again.
    import tenacity

    attempts = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(Unavailable),
        wait=tenacity.wait_exponential(_FIRST_PAUSE, max=_LONGEST_PAUSE),
        stop=tenacity.stop_after_attempt(retries + 1),
        reraise=True,
    )
    try:
        return attempts(ask)
    except Unavailable as error:
        raise UserError(
            f"No server answers at {server} ({first_line(error)[:300]})."
        ) from error


def too_late(timeout):
    """The error about an answer that did not come within `timeout` seconds."""
    return UserError(f"No answer within {timeout:g} s; --timeout allows more.")


def no_model(server, name):
    """The error about a server that has no model of this name."""
    return UserError(f"The server at {server} has no model of this name: {name}")


def no_signature(name):
    """The error about a model that does not solve images."""
    return UserError(
        f"The model has no signature {SIGNATURE}. Received: --model={name}"
    )


def refused(reason):
    """The error about a request that the server refused."""
    return UserError(f"The server refused the request: {first_line(reason)[:300]}")
