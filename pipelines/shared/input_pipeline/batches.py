"""Batches of examples that any worker can make again from the step alone."""

import numpy as np
import tensorflow as tf

from pipelines import seeds, service
from pipelines.errors import UserError


def made_of(examples, make, *, batch_size, first_step, last_step, seed, served_by=None):
    """The `replica_batches` of examples, with something made of each part.

    Args:
        examples, batch_size, first_step, last_step, seed: As of `replica_batches`.
        make: Function of `(step, position, part)`, in graph ops, to a dict with the
            entries `step` and `position`.
        served_by: A `service.Service` that does this work, or None.

    Returns:
        Function of a `tf.distribute.InputContext` to a prefetched `tf.data.Dataset` of
        what `make` returns.
    """

    def served(context):
        positions = replica_positions(context, batch_size)
        take = service.lookup(examples)

        def elements(first, last):
            found = list(_index_batches(len(examples), batch_size, first, last, seed))
            steps = np.repeat([step for step, _ in found], len(positions))
            index = np.concatenate([index[positions] for _, index in found])
            rows = (steps, np.tile(positions, (len(found), 1)), index)
            return tf.data.Dataset.from_tensor_slices(rows).map(
                lambda step, position, index: make(step, position, take(index)),
                tf.data.AUTOTUNE,
            )

        return service.in_order(elements, positions, first_step, last_step, served_by)

    def dataset(context):
        parts = replica_batches(
            examples,
            context,
            batch_size=batch_size,
            first_step=first_step,
            last_step=last_step,
            seed=seed,
        )
        return parts.map(make, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)

    return served if served_by else dataset


def replica_batches(examples, context, *, batch_size, first_step, last_step, seed):
    """The parts of the global batches that belong to one input pipeline.

    A `tf.data` shuffle buffer cannot be resumed at a step. Here the order of an epoch
    is a permutation keyed by (seed, epoch), and a batch follows from its step.

    Args:
        examples: Array `[M, ...]`.
        context: The `tf.distribute.InputContext` of the input pipeline.
        batch_size: Examples of a step, over all replicas.
        first_step, last_step: The range of steps.
        seed: Python int >= 0.

    Returns:
        A `tf.data.Dataset` of `(step, position, part)`: int64 scalar, int64 `[b]`
        positions in the global batch, and `[b, ...]`; each step has one element for
        each replica that the pipeline feeds.

    Raises:
        UserError: As `replica_positions`.
    """
    positions = replica_positions(context, batch_size)

    def generate():
        for step, index in _index_batches(
            len(examples), batch_size, first_step, last_step, seed
        ):
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


def _index_batches(n_examples, batch_size, first_step, last_step, seed):
    """Yields `(step, index)`; batches run on across the ends of epochs."""
    epoch = None
    for step in range(first_step, last_step):
        places = np.arange(step * batch_size, (step + 1) * batch_size)
        index = np.empty(batch_size, np.int64)
        for wanted in np.unique(places // n_examples):
            if wanted != epoch:
                epoch = wanted
                order = seeds.epoch_order(seed, epoch, n_examples)
            here = places // n_examples == epoch
            index[here] = order[places[here] % n_examples]
        yield step, index
