import keras
import numpy as np
import pytest
import tensorflow as tf

from pipelines import distribution, training


@pytest.mark.parametrize("weight_decay", [0.0, 0.5])
def test_weight_decay_shrinks_kernels_and_spares_biases(tmp_path, weight_decay):
    # A loss without a gradient: nothing else moves the weights.
    trainer = training.Training(
        lambda: keras.Sequential(
            [keras.Input([3]), keras.layers.Dense(2, bias_initializer="ones")]
        ),
        lambda network, batch: 0 * tf.reduce_sum(network(batch), axis=1),
        lambda first, last: (
            lambda context: tf.data.Dataset.from_tensors(tf.ones([4, 3])).repeat(
                last - first
            )
        ),
        lambda network: 0.0,
        workdir=str(tmp_path),
        strategy=distribution.strategy("none"),
        steps=5,
        batch_size=4,
        learning_rate=0.1,
        schedule="constant",
        warmup_steps=0,
        averaging=0.0,
        weight_decay=weight_decay,
    )
    before = trainer.network.get_weights()
    kernel, bias = trainer.run().get_weights()
    expected = before[0] * (1 - 0.1 * weight_decay) ** 5
    np.testing.assert_allclose(kernel, expected, rtol=1e-5)
    np.testing.assert_array_equal(bias, before[1])


def test_checkpoints_are_ordered_by_their_steps(tmp_path):
    folder = tmp_path / "[run]" / "checkpoints"
    folder.mkdir(parents=True)
    # That of step 300 was not finished: it has no index.
    for name in ("ckpt-9.index", "ckpt-20.index", "ckpt-100.index", "ckpt-300.data-0"):
        (folder / name).write_text("")
    found = training.checkpoints(str(tmp_path / "[run]"))
    assert [path.rpartition("/")[2] for path in found] == [
        "ckpt-9",
        "ckpt-20",
        "ckpt-100",
    ]
    assert training.checkpoints(str(tmp_path / "none")) == []
