"""tf.data service for trainings: one dispatcher, and workers that make the batches.

    python -m pipelines.data_service --port=5000
    python -m pipelines.data_service --dispatcher=grpc://a:5000 --host=b
    python -m pipelines.jigsaw --data_service=grpc://a:5000 --cache_dir=SHARED

Prints its address when it is ready, and serves until it is ended. One service can serve
several trainings. It computes whatever those say who reach it: keep it on a network of
those you trust.
"""

import threading

import tensorflow as tf
from absl import flags

from pipelines import runs
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
# For which a worker looks for its dispatcher.
_DISPATCHER_TIMEOUT_MS = 60_000


def main():
    service = tf.data.experimental.service
    try:
        if FLAGS.dispatcher is None:
            server = service.DispatchServer(
                service.DispatcherConfig(
                    port=FLAGS.port, worker_timeout_ms=_WORKER_TIMEOUT_MS
                )
            )
            print(server.target, flush=True)
        else:
            server = service.WorkerServer(
                service.WorkerConfig(
                    dispatcher_address=FLAGS.dispatcher.removeprefix("grpc://"),
                    worker_address=f"{FLAGS.host}:%port%",
                    port=FLAGS.port,
                    heartbeat_interval_ms=1000,
                    dispatcher_timeout_ms=_DISPATCHER_TIMEOUT_MS,
                )
            )
            print(f"worker of {FLAGS.dispatcher}", flush=True)
    # A port that is taken is a RuntimeError.
    except (tf.errors.OpError, RuntimeError) as error:
        raise UserError(str(error).splitlines()[0]) from error
    # It serves for as long as there is the object.
    threading.Event().wait()
    del server


if __name__ == "__main__":
    runs.main(main)
