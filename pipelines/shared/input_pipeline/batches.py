"""Batches of examples that any worker can make again from the step alone."""

import dataclasses

import numpy as np
import tensorflow as tf

from pipelines.shared.errors import UserError
from pipelines.shared.input_pipeline import seeds
from pipelines.shared.input_pipeline.service import Service, in_order, lookup


@dataclasses.dataclass(frozen=True)
class BatchPlan:
    """The batches that a training takes, and the service that makes them.

    Attributes:
        batch_size: Examples of a step, over all replicas.
        first_step: The first step.
        last_step: The step after the last one.
        seed: Python int >= 0, the key of everything random.
        service: The `service.Service` that makes the batches, or None.
    """

    batch_size: int
    first_step: int
    last_step: int
    seed: int
    service: Service | None = None

    @classmethod
    def from_config(cls, config, first_step, last_step):
        """The plan of a `TrainingConfig` for a range of steps."""
        service = None
        if config.data_service is not None:
            service = Service(config.data_service, config.startup_timeout)
        return cls(config.batch_size, first_step, last_step, config.seed, service)


def batches_from(examples, make, plan, context):
    """Applies a function to the `replica_batches` of examples.

    Args:
        examples: Array `[M, ...]`.
        make: Function of `(step, position, part)`, in graph ops, to a dict with the
            entries `step` and `position`.
        plan: `BatchPlan`.
        context: The `tf.distribute.InputContext` of the input pipeline.

    Returns:
        A prefetched `tf.data.Dataset` of what `make` returns.
    """
    if plan.service is None:
        parts = replica_batches(examples, plan, context)
        return parts.map(make, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
    positions = replica_positions(context, plan.batch_size)
    take = lookup(examples)

    def elements(first, last):
        part = dataclasses.replace(plan, first_step=first, last_step=last)
        indexed = list(_index_batches(len(examples), part))
        steps = np.repeat([step for step, _ in indexed], len(positions))
        index = np.concatenate([index[positions] for _, index in indexed])
        rows = (steps, np.tile(positions, (len(indexed), 1)), index)
        return tf.data.Dataset.from_tensor_slices(rows).map(
            lambda step, position, index: make(step, position, take(index)),
            tf.data.AUTOTUNE,
        )

    return in_order(elements, positions, plan)


def replica_batches(examples, plan, context):
    """The parts of the global batches that belong to one input pipeline.

    A `tf.data` shuffle buffer cannot be resumed at a step. Here the order of an epoch
    is a permutation keyed by (seed, epoch), and a batch follows from its step.

    Args:
        examples: Array `[M, ...]`.
        plan: `BatchPlan`.
        context: The `tf.distribute.InputContext` of the input pipeline.

    Returns:
        A `tf.data.Dataset` of `(step, position, part)`: int64 scalar, int64 `[b]`
        positions in the global batch, and `[b, ...]`; each step has one element for
        each replica that the pipeline feeds.

    Raises:
        UserError: If the batch size does not divide among the replicas.
    """
    positions = replica_positions(context, plan.batch_size)

    def generate():
        for step, index in _index_batches(len(examples), plan):
            for position in positions:
                yield step, position, examples[index[position]]

    return tf.data.Dataset.from_generator(
        generate,
        output_signature=(
            tf.TensorSpec([], tf.int64),
            tf.TensorSpec(positions.shape[1:], tf.int64),
            tf.TensorSpec([positions.shape[1], *examples.shape[1:]], examples.dtype),
        ),
    )


def replica_positions(context, batch_size):
    """The positions in the global batch that belong to one input pipeline.

    Args:
        context: The `tf.distribute.InputContext` of the input pipeline.
        batch_size: Examples of a step, over all replicas.

    Returns:
        int64 array `[replicas, b]`, a row for each replica that the pipeline feeds.

    Raises:
        UserError: If the batch size does not divide among the replicas.
    """
    replicas = context.num_replicas_in_sync
    if batch_size % replicas:
        raise UserError(
            "The batch size must be a multiple of the number of replicas. "
            f"Received: --batch_size={batch_size}, {replicas} replicas"
        )
    parts_here = replicas // context.num_input_pipelines
    first = context.input_pipeline_id * parts_here
    positions = np.arange(batch_size).reshape(replicas, -1)
    return positions[first : first + parts_here]


def _index_batches(n_examples, plan):
    """Yields `(step, index)`; a batch may hold the end of one epoch and the next's start."""
    epoch, batch_size = None, plan.batch_size
    for step in range(plan.first_step, plan.last_step):
        places = np.arange(step * batch_size, (step + 1) * batch_size)
        index = np.empty(batch_size, np.int64)
        for place_epoch in np.unique(places // n_examples):
            if place_epoch != epoch:
                epoch = place_epoch
                order = seeds.epoch_order(plan.seed, epoch, n_examples)
            here = places // n_examples == epoch
            index[here] = order[places[here] % n_examples]
        yield step, index
