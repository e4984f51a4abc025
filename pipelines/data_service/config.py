"""The settings of a dispatcher or worker of tf.data service."""

import dataclasses

from pipelines.shared.options import Options, option


@dataclasses.dataclass(frozen=True)
class DataServiceConfig(Options):
    """All settings of `python -m pipelines.data_service`."""

    port: int = option(
        0, "Port to listen at; 0 takes any that is free.", lower=0, upper=65535
    )
    dispatcher: str | None = option(
        None, "grpc://host:port of a dispatcher, to be a worker of it."
    )
    host: str = option(
        "localhost", "Name under which trainings reach this machine, for a worker."
    )
