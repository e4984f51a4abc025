"""The settings of a dispatcher or worker of tf.data service."""

import dataclasses

from pipelines.shared.options import Options, option


@dataclasses.dataclass(frozen=True)
class DataServiceConfig(Options):
    """All settings of `python -m pipelines.data_service`."""

    port: int = option(
        0, "Port to listen at; 0: any that is free.", lower=0, upper=65535
    )
    dispatcher: str | None = option(
        None, "grpc://host:port: be a worker of this dispatcher."
    )
    host: str = option(
        "localhost", "Of a worker: the name under which trainings reach it."
    )
