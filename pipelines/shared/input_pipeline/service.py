"""Batches that tf.data service makes: elsewhere, in any order, and here in order again.

Each element belongs to a step and is made from it alone. So the steps are what the
service hands out to its workers, each to one (dynamic sharding), and put in order here
they are the batches that would have been made here. Since an epoch is a range of steps,
each example is taken once an epoch.
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

# Steps of a job of the service: as many batches may have to wait here for the first,
# while one of its workers is slow.
_SPAN = 200

# Arrays above this size, in bytes, must be in a file that the workers can read.
_MAX_SENT = 2**30


class Service(NamedTuple):
    """A tf.data service.

    Attributes:
        address: Of its dispatcher, `grpc://host:port`.
        timeout: Seconds to wait for a batch.
    """

    address: str
    timeout: float


def in_order(elements, positions, plan):
    """The elements of a range of steps, made by a service, in their order.

    Args:
        elements: Function `(first_step, last_step)` to a `tf.data.Dataset` of dicts
            with the entries `step` and `position`, one for each step and row of
            `positions`: of graph ops alone, and from a range or slices on, which the
            service can split.
        positions: int64 array `[parts, b]`, as of `batches.replica_positions`.
        plan: `batches.BatchPlan` with a `Service`.

    Returns:
        A `tf.data.Dataset` of these dicts. Where one is lost, as when a worker of the
        service ends, its iteration raises `tf.errors.OpError` with a `UserError` in
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
            found = _iterate_with_timeout(
                functools.partial(shared, first, last), service
            )
            early = {}
            for step in range(first, last):
                for position in positions[:, 0]:
                    while (step, position) not in early:
                        element = next(found, None)
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
    # Few, since the service itself works ahead.
    return dataset.prefetch(2)


def lookup(array):
    """Function of indices `[b]` to rows of an array `[M, ...]`, in graph ops that work
    in another process: the array travels along, or is mapped from the file it is in.

    Raises:
        UserError: If the array is too large to travel.
    """
    if not isinstance(array, np.memmap):
        if array.nbytes > _MAX_SENT:
            raise UserError(
                f"--data_service needs --cache_dir for {array.nbytes / 2**30:.1f} GiB of "
                "images, where its workers find them too."
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
        found = tf.map_fn(
            lambda i: tf.slice(whole, [skipped + i * row], [row]),
            tf.cast(index, tf.int64),
            fn_output_signature=tf.TensorSpec([row], dtype),
        )
        return tf.reshape(found, [index.shape[0], *shape])

    return rows


def check_address(address, flag, patience=0):
    """Raises UserError unless something listens at `grpc://host:port`.

    Args:
        address: The address.
        flag: The flag that it is from.
        patience: Seconds to wait for it.
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

    TensorFlow itself tries for an hour to reach a service that is gone, when it is told
    of a dataset no less than when it asks for elements.

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
        # Whatever it is, it is raised below.
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
