"""Lists of numbers to sort (Mena et al. 2018, section 4.1).

A batch of lists is a dict of tensors: `values` float32 `[B, N]`, in random order, and
`sorted` float32 `[B, N]`.
"""

import tensorflow as tf

from pipelines.shared.input_pipeline import batches, seeds, service

# The intervals of Mena et al. (2018), table 1; a network is trained on the first alone.
INTERVALS = {
    f"U({low},{high})": (low, high)
    for low, high in (
        (0, 1),
        (0, 10),
        (0, 1000),
        (1, 2),
        (10, 11),
        (100, 101),
        (1000, 1001),
    )
}


def draw(count, n, interval, seed):
    """Uniform numbers, rounded to float32: far from 0 many of them are equal.

    Args:
        count: The number of lists.
        n: The numbers in a list.
        interval: `(low, high)`.
        seed: int32 tensor `[2]`.

    Returns:
        A batch of lists.
    """
    low, high = interval
    uniform = tf.random.stateless_uniform([count, n], seed, dtype=tf.float64)
    values = tf.cast(low + (high - low) * uniform, tf.float32)
    return {"values": values, "sorted": tf.sort(values, axis=1)}


def training_lists(n, plan, context):
    """Fresh lists for each step, keyed by the seed and the step.

    Args:
        n: The numbers in a list.
        plan: `batches.BatchPlan`.
        context: The `tf.distribute.InputContext` of the input pipeline.

    Returns:
        A `tf.data.Dataset` of the lists of one replica, with the entries `step` and
        `position` of `batches`.
    """
    positions = batches.replica_positions(context, plan.batch_size)

    def parts(step):
        seed = seeds.stream(plan.seed, "lists", step)
        lists = draw(plan.batch_size, n, INTERVALS["U(0,1)"], seed)
        each = tf.data.Dataset.from_tensor_slices(positions)
        return each.map(
            lambda position: {
                **{k: tf.gather(x, position) for k, x in lists.items()},
                "step": step,
                "position": position,
            }
        )

    def elements(first, last):
        return tf.data.Dataset.range(first, last).flat_map(parts)

    if plan.service is not None:
        return service.in_order(elements, positions, plan)
    return elements(plan.first_step, plan.last_step).prefetch(tf.data.AUTOTUNE)


def evaluation_lists(n, interval, purpose, count=1000):
    """Lists to measure on; no flag changes them.

    Args:
        n: The numbers in a list.
        interval: A key of `INTERVALS`.
        purpose: "test" or "validation".
        count: The number of lists.

    Returns:
        A batch of lists.
    """
    name = f"{purpose} {interval}"
    seed = seeds.stream(seeds.EVALUATION, name, n)
    return draw(count, n, INTERVALS[interval], seed)
