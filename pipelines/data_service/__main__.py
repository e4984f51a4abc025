"""tf.data service for trainings: one dispatcher, and workers that make the batches.

    python -m pipelines.data_service --port=5000
    python -m pipelines.data_service --dispatcher=grpc://a:5000 --host=b
    python -m pipelines.jigsaw --data_service=grpc://a:5000 --cache_dir=SHARED

Prints its address when it is ready, and serves until it is ended. One service can serve
several trainings. It computes whatever those say who reach it: keep it on a network of
those you trust.
"""

import socket
import threading

import tensorflow as tf
from absl import flags

from pipelines import runs, service
from pipelines.errors import UserError

FLAGS = flags.FLAGS

flags.DEFINE_integer(
    "port", 0, "To listen at; 0: any that is free.", lower_bound=0, upper_bound=65535
)
flags.DEFINE_string(
    "dispatcher", None, "grpc://host:port: be a worker of this dispatcher."
)
flags.DEFINE_string(
    "host", "localhost", "Of a worker: the name under which trainings reach it."
)

# After it the batches of a worker that is gone are given up.
_WORKER_TIMEOUT_MS = 20_000
# Seconds for which a worker looks for its dispatcher.
_DISPATCHER_PATIENCE = 60


def main():
    tf_service = tf.data.experimental.service
    # TensorFlow would share a port that is taken, and wait for a dispatcher in silence.
    _check_free(FLAGS.port)
    if FLAGS.dispatcher is not None:
        service.check_address(FLAGS.dispatcher, "dispatcher", _DISPATCHER_PATIENCE)
    try:
        if FLAGS.dispatcher is None:
            server = tf_service.DispatchServer(
                tf_service.DispatcherConfig(
                    port=FLAGS.port, worker_timeout_ms=_WORKER_TIMEOUT_MS
                )
            )
            print(server.target, flush=True)
        else:
            server = tf_service.WorkerServer(
                tf_service.WorkerConfig(
                    dispatcher_address=FLAGS.dispatcher.removeprefix("grpc://"),
                    worker_address=f"{FLAGS.host}:%port%",
                    port=FLAGS.port,
                    heartbeat_interval_ms=1000,
                    dispatcher_timeout_ms=1000 * _DISPATCHER_PATIENCE,
                )
            )
            print(f"worker of {FLAGS.dispatcher}", flush=True)
    # A port that is taken is a RuntimeError.
    except (tf.errors.OpError, RuntimeError) as error:
        raise UserError(str(error).splitlines()[0]) from error
    # It serves for as long as there is the object.
    threading.Event().wait()
    del server


def _check_free(port):
    with socket.socket() as own:
        # What only lingers after its end does not take the port.
        own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            own.bind(("", port))
        except OSError as error:
            raise UserError(
                f"The port is taken: {error.strerror}. Received: --port={port}"
            ) from error


if __name__ == "__main__":
    runs.main(main)
