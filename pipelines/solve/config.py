"""The settings of the solver of scrambled images."""

import dataclasses

from pipelines.shared.errors import UserError
from pipelines.shared.options import Options, option


@dataclasses.dataclass(frozen=True)
class SolveConfig(Options):
    """All settings of `python -m pipelines.solve`."""

    model: str | None = option(
        None, "Directory of a SavedModel, or its name at the server."
    )
    image: str | None = option(None, "An image, or a folder of images.")
    out: str | None = option(
        None, "The solved image to write, .png or .jpg, or the folder for several."
    )
    server: str | None = option(None, "HOST:PORT of TensorFlow Serving.")
    protocol: str = option(
        "rest",
        "Protocol of the server (ports 8501 and 8500).",
        choices=("rest", "grpc"),
    )
    timeout: float = option(
        10.0, "Seconds to wait for an answer.", lower=1e-3, upper=1e6
    )
    retries: int = option(
        4, "How often to ask again while a server is unavailable.", lower=0
    )
    batch_size: int = option(64, "Images of a request.", lower=1)
    scramble: bool = option(False, "The images are in order: scramble them first.")
    seed: int = option(0, "Seed of the scrambling.", lower=0)

    def check(self, explicit_names=frozenset()):
        """Raises UserError if a setting is missing, or the server is no address."""
        for name in ("model", "image", "out"):
            if not getattr(self, name):
                raise UserError(f"--{name} is missing.")
        if self.server is None:
            return
        host, _, port = self.server.rpartition(":")
        if not host or not port.isdecimal() or "/" in host:
            raise UserError(f"A server is HOST:PORT. Received: --server={self.server}")
