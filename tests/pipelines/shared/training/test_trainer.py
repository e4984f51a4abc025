import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipelines.shared.training import strategy
from pipelines.shared.training.config import TrainingConfig
from pipelines.shared.training.experiment import FunctionTask
from pipelines.shared.training.trainer import Diverged, Trainer, checkpoints


def of_ones(plan, context):
    """The same batch at every step."""
    dataset = tf.data.Dataset.from_tensors(tf.ones([4, 3]))
    return dataset.repeat(plan.last_step - plan.first_step)


@pytest.mark.parametrize("weight_decay", [0.0, 0.5])
def test_weight_decay_shrinks_kernels_and_spares_biases(tmp_path, weight_decay):
    # A loss without a gradient: nothing else moves the weights.
    task = FunctionTask(
        lambda: keras.Sequential(
            [keras.Input([3]), keras.layers.Dense(2, bias_initializer="ones")]
        ),
        lambda network, batch: 0 * tf.reduce_sum(network(batch), axis=1),
        of_ones,
        lambda network: 0.0,
    )
    config = TrainingConfig(
        steps=5,
        batch_size=4,
        learning_rate=0.1,
        schedule="constant",
        warmup_steps=0,
        averaging=0.0,
        weight_decay=weight_decay,
        jit_compile="step",
    )
    trainer = Trainer(task, config, strategy.strategy("none"), str(tmp_path))
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
    paths = checkpoints(str(tmp_path / "[run]"))
    assert [path.rpartition("/")[2] for path in paths] == [
        "ckpt-9",
        "ckpt-20",
        "ckpt-100",
    ]
    assert checkpoints(str(tmp_path / "none")) == []


class Stopped(Exception):
    pass


def with_dropout(workdir, score=lambda network: 0.7, stop_at=None):
    """A training of 12 steps with dropout, with a checkpoint every 4."""

    def observe(network, step, folder):
        assert folder == str(workdir)
        if step == stop_at:
            raise Stopped

    keras.utils.set_random_seed(0)
    task = FunctionTask(
        lambda: keras.Sequential(
            [keras.Input([3]), keras.layers.Dropout(0.5, seed=1), keras.layers.Dense(2)]
        ),
        lambda network, batch: tf.reduce_sum(network(batch, training=True), axis=1),
        of_ones,
        score,
        observe,
    )
    config = TrainingConfig(
        steps=12,
        batch_size=4,
        learning_rate=0.1,
        validate_every=4,
        jit_compile="none",
    )
    return Trainer(task, config, strategy.strategy("none"), str(workdir))


def test_dropout_goes_on_where_it_was(tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    expected = with_dropout(whole).run().get_weights()
    with pytest.raises(Stopped):
        with_dropout(cut, stop_at=10).run()
    resumed = with_dropout(cut)
    assert [path[-1] for path in checkpoints(str(cut))] == ["4", "8"]
    for a, b in zip(resumed.run().get_weights(), expected, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name, neighbour", [("run[1]", "run1"), ("run*", "runx")])
def test_the_name_of_a_run_is_not_a_pattern(name, neighbour, tmp_path):
    expected = with_dropout(tmp_path / neighbour).run().get_weights()
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    with pytest.raises(Stopped):
        with_dropout(tmp_path / name, stop_at=10).run()
    resumed = with_dropout(tmp_path / name)
    for a, b in zip(resumed.run().get_weights(), expected, strict=True):
        np.testing.assert_array_equal(a, b)
    paths = checkpoints(str(tmp_path / name))
    assert paths == [str(tmp_path / name / f"checkpoints/ckpt-{k}") for k in (8, 12)]
    assert len(list((tmp_path / name / "best").glob("*.index"))) == 2
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize("score", [0.5, 0.7, 0.019])
def test_of_equal_scores_the_later_weights_are_kept(tmp_path, score):
    trainer = with_dropout(tmp_path, lambda network: score)
    best = trainer.run().get_weights()
    for a, b in zip(best, trainer.average.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def scoring(*scores):
    """A validation that finds these scores, one after the other."""
    scores = iter(scores)
    return lambda network: next(scores)


def test_the_step_of_the_weights_that_are_kept_is_said(tmp_path, capsys):
    sentence = "kept the weights of step 8, which validated best: 0.2500\n"
    with_dropout(tmp_path / "whole", scoring(0.5, 0.25, 0.75)).run()
    assert capsys.readouterr().err.endswith(sentence)
    cut = tmp_path / "cut"
    with pytest.raises(Stopped):
        with_dropout(cut, scoring(0.5, 0.25), stop_at=10).run()
    assert "kept the weights" not in capsys.readouterr().err
    # As if it had been killed between its two saves of step 12.
    for kind in ("index", "data-00000-of-00001"):
        shutil.copy(cut / f"best/ckpt-8.{kind}", cut / f"best/ckpt-12.{kind}")
    # One that goes on after that step, and one that has ended.
    for scores in ([0.75], []):
        with_dropout(cut, scoring(*scores)).run()
        assert capsys.readouterr().err.endswith(sentence)
        (cut / "best/ckpt-12.index").unlink(missing_ok=True)


def test_nan_replaces_no_checkpoint(tmp_path):
    trainer = with_dropout(tmp_path, stop_at=10)
    with pytest.raises(Stopped):
        trainer.run()
    broken = with_dropout(tmp_path)
    broken._replica_step = lambda batch: tf.constant(np.nan)
    with pytest.raises(Diverged, match="at step 12"):
        broken.run()
    assert [path[-1] for path in checkpoints(str(tmp_path))] == ["4", "8"]
