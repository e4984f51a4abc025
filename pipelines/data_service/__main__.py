"""A tf.data service for trainings: one dispatcher, and workers that make the batches.

    python -m pipelines.data_service --port=5000
    python -m pipelines.data_service --dispatcher=grpc://a:5000 --host=b
    python -m pipelines.jigsaw --data_service=grpc://a:5000 --cache_dir=SHARED

The program prints its address when it is ready, and serves until it is ended. One
service can serve several trainings. It computes anything for anybody who can reach it:
keep it on a network of people you trust.
"""

import threading

from absl import flags

from pipelines.data_service.config import DataServiceConfig
from pipelines.shared import network, program
from pipelines.shared.errors import UserError, first_line

# Milliseconds after which the dispatcher takes a silent worker for ended.
_WORKER_TIMEOUT_MS = 20_000
# Seconds for which a worker looks for its dispatcher.
_DISPATCHER_PATIENCE = 60


def main(config, explicit_names=frozenset()):
    """Serves until the process is ended.

    Args:
        config: `DataServiceConfig`.
        explicit_names: The names of the settings that the command line sets.
    """
    import tensorflow as tf

    # TensorFlow would share a port that is taken.
    try:
        network.check_free(config.port)
    except OSError as error:
        raise UserError(
            f"The port is taken: {error.strerror}. Received: --port={config.port}"
        ) from error
    try:
        if config.dispatcher is None:
            server = dispatcher(config)
            print(server.target, flush=True)
        else:
            server = worker(config)
            print(f"worker of {config.dispatcher}", flush=True)
    # A port that is taken is a RuntimeError.
    except (tf.errors.OpError, RuntimeError) as error:
        raise UserError(first_line(error)) from error
    # The service ends when the object is deleted.
    threading.Event().wait()
    del server


def dispatcher(config):
    """Starts the dispatcher of a service."""
    from tensorflow.data.experimental import service

    return service.DispatchServer(
        service.DispatcherConfig(port=config.port, worker_timeout_ms=_WORKER_TIMEOUT_MS)
    )


def worker(config):
    """Starts a worker; raises UserError if its dispatcher does not answer."""
    from tensorflow.data.experimental import service

    from pipelines.shared.input_pipeline.service import check_address

    # TensorFlow would wait for a dispatcher in silence.
    check_address(config.dispatcher, "dispatcher", _DISPATCHER_PATIENCE)
    return service.WorkerServer(
        service.WorkerConfig(
            dispatcher_address=config.dispatcher.removeprefix("grpc://"),
            worker_address=f"{config.host}:%port%",
            port=config.port,
            heartbeat_interval_ms=1000,
            dispatcher_timeout_ms=1000 * _DISPATCHER_PATIENCE,
        )
    )


if __name__ == "__main__":
    program.run(main, DataServiceConfig(), flags.FLAGS)
