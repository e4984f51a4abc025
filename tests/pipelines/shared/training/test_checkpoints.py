"""Checkpoints in directories whose names TensorFlow takes for patterns."""

import gc
import os

import numpy as np
import pytest
import tensorflow as tf

from pipelines.shared.errors import UserError
from pipelines.shared.plain_paths import plain_path
from pipelines.shared.training.checkpoints import Checkpoints, paths, steps
from pipelines.solve.offline import Offline

# A name, and a neighbour that it matches as a pattern.
PATTERNS = [
    ("run[1]", "run1"),
    ("run[!a]", "runb"),
    ("run[a-c]", "runb"),
    ("run*", "runx"),
    ("*", "run"),
    ("a?b", "axb"),
    (r"back\slash", "backslash"),
    (r"\[1\]", "[1]"),
    ("open[", "open"),
    ("an öpen space", "an"),
    ("{a,b}", "a"),
    ("%s$HOME~", "s"),
]


def files(folder):
    """The bytes of all files below a folder, by their names."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def saved(folder, values):
    """The `Checkpoints` of a variable, saved with each value at steps 1, 2, ..."""
    variable = tf.Variable(0.0)
    checkpoints = Checkpoints(tf.train.Checkpoint(variable=variable), str(folder))
    for step, value in enumerate(values, 1):
        variable.assign(value)
        checkpoints.save(step)
    return checkpoints, variable


def save_solver(folder, scale):
    """Writes a solver whose answers are its images times a variable."""
    module = tf.Module()
    module.scale = tf.Variable(scale)

    def solve(image):
        answer = tf.reshape(image, [-1, 4]) * module.scale
        return {"permutation": answer, "value": answer, "gap": answer}

    spec = tf.TensorSpec([None, 2, 2, 1], tf.float32, name="image")
    module.solve = tf.function(solve, input_signature=[spec], autograph=False)
    tf.saved_model.save(module, str(folder), {"solve_image": module.solve})


@pytest.mark.parametrize("name, neighbour", PATTERNS)
def test_names_are_not_patterns(name, neighbour, tmp_path, caplog, capfd):
    saved(tmp_path / neighbour / "checkpoints", [-1.0, -2.0])
    before = files(tmp_path / neighbour)
    folder = tmp_path / name / "checkpoints"
    checkpoints, variable = saved(folder, [1.0, 2.0, 3.0, 4.0])
    assert sorted(os.listdir(folder)) == [
        "checkpoint",
        "ckpt-3.data-00000-of-00001",
        "ckpt-3.index",
        "ckpt-4.data-00000-of-00001",
        "ckpt-4.index",
    ]
    assert steps(str(folder)) == [3, 4]
    for path, expected in zip(paths(str(folder)), [3.0, 4.0], strict=True):
        variable.assign(0.0)
        checkpoints.restore(path)
        assert variable.numpy() == expected
    assert files(tmp_path / neighbour) == before


@pytest.mark.parametrize("name, neighbour", PATTERNS[:8])
def test_a_solver_is_read_where_it_is(name, neighbour, tmp_path):
    for folder, scale in ((neighbour, -1.0), (name, 2.0)):
        save_solver(tmp_path / folder / "1", scale)
    answer = Offline(str(tmp_path / name)).solve(np.ones([1, 2, 2, 1]))
    np.testing.assert_array_equal(answer["value"], [[2.0] * 4])


def test_a_plain_path_is_the_path_itself(tmp_path):
    with plain_path(str(tmp_path)) as path:
        assert path == str(tmp_path)


def test_a_link_ends_with_its_context_and_takes_nothing_with_it(tmp_path, monkeypatch):
    # The directory of temporary files has such a name too.
    temporary = tmp_path / "tmp[1]"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    (temporary / "kept").write_text("kept")
    with plain_path(temporary) as path:
        assert not set("*?[]\\") & set(path)
        assert os.listdir(path) == ["kept"]
    assert not os.path.lexists(path)
    assert os.listdir(temporary) == ["kept"]


def test_checkpoints_of_the_manager_of_tensorflow_are_read(tmp_path, caplog):
    variable = tf.Variable(5.0)
    state = tf.train.Checkpoint(variable=variable)
    manager = tf.train.CheckpointManager(state, str(tmp_path), max_to_keep=2)
    for step in (10, 20):
        manager.save(checkpoint_number=step)
    checkpoints, variable = saved(tmp_path, [])
    checkpoints.restore(paths(str(tmp_path))[-1])
    assert variable.numpy() == 5.0
    checkpoints.save(30)
    assert steps(str(tmp_path)) == [20, 30]
    assert tf.train.latest_checkpoint(str(tmp_path)) == str(tmp_path / "ckpt-30")
    del checkpoints
    gc.collect()
    assert "unrestored" not in caplog.text


def test_a_checkpoint_saved_again_replaces_only_itself(tmp_path):
    checkpoints, variable = saved(tmp_path, [1.0, 2.0])
    variable.assign(7.0)
    checkpoints.save(1)
    assert steps(str(tmp_path)) == [1, 2]
    for path, expected in zip(paths(str(tmp_path)), [7.0, 2.0], strict=True):
        checkpoints.restore(path)
        assert variable.numpy() == expected


def test_the_sentence_of_a_failed_save_names_the_directory(tmp_path):
    folder = tmp_path / "run[1]"
    checkpoints, _ = saved(folder, [1.0])
    # In the way of what is written.
    (folder / "ckpt-2_temp").write_text("")
    with pytest.raises(UserError, match="the one before is kept") as caught:
        checkpoints.save(2)
    assert str(folder) in str(caught.value)
    assert "linked" not in str(caught.value)
    assert steps(str(folder)) == [1]
