"""Batches that tf.data service makes in other processes, put in order again.

Each element belongs to a step and follows from it alone. So the service hands out steps
to its workers, each step to one of them (dynamic sharding). In order, their elements are
the batches that this process would have made. Since an epoch is a range of steps, each
example is taken once an epoch.
"""

import functools
import queue
import threading
import time
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from pipelines.shared import network
from pipelines.shared.errors import UserError

# Steps of a job of the service. While one of its workers is slow, as many batches may
# have to wait here for the first.
_SPAN = 200

# Arrays above this size, in bytes, must be in a file that the workers can read.
_MAX_SENT = 2**30


class Service(NamedTuple):
    """A tf.data service.

    Attributes:
        address: The address of its dispatcher, `grpc://host:port`.
        timeout: Seconds to wait for a batch.
    """

    address: str
    timeout: float


def in_order(elements, positions, plan):
    """Has a service make the elements of a range of steps, and puts them in order.

    Args:
        elements: Function `(first_step, last_step)` to a `tf.data.Dataset` of dicts
            with the entries `step` and `position`, one for each step and row of
            `positions`. It consists of graph ops, and begins with a range or slices,
            which the service can split.
        positions: int64 array `[parts, b]`, see `batches.replica_positions`.
        plan: `batches.BatchPlan` with a `Service`.

    Returns:
        A `tf.data.Dataset` of these dicts. Where one is lost, because a worker of the
        service ended, its iteration raises `tf.errors.OpError` with a `UserError` in
        its message.

    Raises:
        UserError: If no dispatcher is at the address.
    """
    service = plan.service
    check_address(service.address, "data_service")
    share = tf.data.experimental.service.distribute(
        tf.data.experimental.service.ShardingPolicy.DYNAMIC, service.address
    )

    def shared(first, last):
        return elements(first, last).apply(share)

    def generate():
        for first in range(plan.first_step, plan.last_step, _SPAN):
            last = min(first + _SPAN, plan.last_step)
            arrivals = _iterate_with_timeout(
                functools.partial(shared, first, last), service
            )
            early = {}
            for step in range(first, last):
                for position in positions[:, 0]:
                    while (step, position) not in early:
                        element = next(arrivals, None)
                        if element is None:
                            raise UserError(
                                f"--data_service={service.address} lost a batch of step "
                                f"{step}: did one of its workers end? Go on with "
                                "--resume."
                            )
                        place = int(element["step"]), int(element["position"][0])
                        early[place] = element
                    yield early.pop((step, position))

    spec = elements(plan.first_step, plan.first_step + 1).element_spec
    dataset = tf.data.Dataset.from_generator(generate, output_signature=spec)
    # A small buffer is enough, since the service itself works ahead.
    return dataset.prefetch(2)


def lookup(array):
    """Makes a function that takes rows of an array in graph ops of another process.

    The array travels with the graph, or is mapped from the file that holds it.

    Args:
        array: `[M, ...]`.

    Returns:
        Function of integer indices `[b]` to the rows `[b, ...]`.

    Raises:
        UserError: If the array is too large to travel.
    """
    if not isinstance(array, np.memmap):
        if array.nbytes > _MAX_SENT:
            raise UserError(
                f"--data_service needs --cache_dir for {array.nbytes / 2**30:.1f} GiB of "
                "images: a folder in which its workers find them."
            )
        with tf.device("CPU"):
            whole = tf.constant(array)
        return lambda index: tf.gather(whole, index)
    shape, dtype = array.shape[1:], tf.as_dtype(array.dtype)
    row = int(np.prod(shape))
    skipped = array.offset // dtype.size

    def rows(index):
        whole = tf.raw_ops.ImmutableConst(
            dtype=dtype,
            shape=[skipped + array.size],
            memory_region_name=str(array.filename),
        )
        flat_rows = tf.map_fn(
            lambda i: tf.slice(whole, [skipped + i * row], [row]),
            tf.cast(index, tf.int64),
            fn_output_signature=tf.TensorSpec([row], dtype),
        )
        return tf.reshape(flat_rows, [index.shape[0], *shape])

    return rows


def check_address(address, flag, patience=0):
    """Raises UserError unless something listens at `grpc://host:port`.

    Args:
        address: The address.
        flag: The name of the flag that says the address.
        patience: Seconds to wait for an answer.
    """
    deadline = time.monotonic() + patience
    while True:
        try:
            return network.connect(*network.host_and_port(address), 10)
        except (OSError, ValueError) as error:
            if not isinstance(error, ConnectionError) or time.monotonic() > deadline:
                raise UserError(
                    "No dispatcher of tf.data service answers. "
                    f"Received: --{flag}={address}"
                ) from error
        time.sleep(0.2)


def _iterate_with_timeout(make, service):
    """Iterates over a dataset; raises UserError if an element does not come in time.

    TensorFlow itself tries for an hour to reach a service that is gone, both when it
    registers a dataset and when it asks for elements.

    Args:
        make: Function without arguments that returns the dataset.
        service: `Service`.
    """
    elements = queue.Queue(maxsize=2)

    def read():
        try:
            for element in make():
                elements.put(element)
            elements.put(None)
        # The loop below raises it.
        except Exception as error:  # noqa: BLE001
            elements.put(error)

    threading.Thread(target=read, daemon=True).start()
    while True:
        try:
            element = elements.get(timeout=service.timeout)
        except queue.Empty:
            raise UserError(
                f"--data_service={service.address} gave nothing for {service.timeout:g} "
                "seconds (--startup_timeout): did it or one of its workers end? Go on "
                "with --resume."
            ) from None
        if isinstance(element, Exception):
            raise element
        if element is None:
            return
        yield element
