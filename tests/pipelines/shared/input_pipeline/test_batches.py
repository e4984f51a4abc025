import numpy as np
import tensorflow as tf

from pipelines.shared.input_pipeline import batches
from pipelines.shared.input_pipeline.batches import BatchPlan


def test_an_epoch_visits_every_example_once_also_across_batches():
    examples = np.arange(10)
    dataset = batches.replica_batches(
        examples,
        BatchPlan(batch_size=4, first_step=0, last_step=10, seed=0),
        tf.distribute.InputContext(),
    )
    seen = np.concatenate([part for _, _, part in dataset.as_numpy_iterator()])
    epochs = seen.reshape(4, 10)
    for epoch in epochs:
        assert sorted(epoch) == list(range(10))
    assert (epochs[0] != epochs[1]).any()


def test_a_batch_larger_than_the_data_is_filled_from_several_epochs():
    dataset = batches.replica_batches(
        np.arange(3),
        BatchPlan(batch_size=7, first_step=0, last_step=3, seed=0),
        tf.distribute.InputContext(),
    )
    seen = np.concatenate([part for _, _, part in dataset.as_numpy_iterator()])
    assert np.bincount(seen).tolist() == [7, 7, 7]
