"""Faults of real processes: each ends in recovery, or in an error of one sentence."""

import os
import re
import resource

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from pipelines.shared.training.trainer import checkpoints
from tests.pipelines.shared.training.test_strategy import assert_same

pytestmark = pytest.mark.slow

FLAGS = (
    "--network=paper",
    "--steps=400",
    "--validate_every=100",
    "--checkpoint_every=20",
    "--filters=32",
    "--batch_size=8",
    "--noexport",
)
JIGSAW = ("-m", "pipelines.jigsaw")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The directory of a run that nothing befell; each test says that it waits."""
    return tmp_path_factory.mktemp("whole") / "run"


@pytest.fixture
def assert_recovers(start, whole):
    """Resumes a run, and compares what comes of it with what nothing befell.

    Returns:
        What the resumed program said.
    """

    def assert_recovers(workdir, said="resumed at step"):
        if not (whole / "metrics.json").exists():
            start(*JIGSAW, *FLAGS, f"--workdir={whole}").succeeded()
        resumed = start(*JIGSAW, *FLAGS, f"--workdir={workdir}", "--resume")
        resumed.succeeded()
        assert said in resumed.said()
        assert_same(workdir, whole, logs=False)
        return resumed.said()

    return assert_recovers


@pytest.fixture
def killed(start, tmp_path):
    """The directory of a run that was killed after some checkpoints."""
    workdir = tmp_path / "killed"
    program = start(*JIGSAW, *FLAGS, f"--workdir={workdir}")
    program.wait_for(workdir / "checkpoints" / "ckpt-100.index")
    program.process.kill()
    program.ended()
    assert not (workdir / "metrics.json").exists()
    return workdir


@pytest.mark.parametrize("killed", [0, 1])
def test_workers_of_which_one_is_killed_are_started_again(
    killed, start_workers, assert_recovers, tmp_path
):
    workdir = tmp_path / "run"
    command = (*JIGSAW, *FLAGS, f"--workdir={workdir}")
    workers = start_workers(*command)
    workers[0].wait_for(workdir / "checkpoints" / "ckpt-100.index")
    workers[killed].process.kill()
    workers[1 - killed].failed("Another worker ended: start all of them again")
    # Their supervisor does.
    workers = start_workers(*command, "--resume")
    for worker in workers:
        worker.succeeded()
        assert re.search("resumed at step [1-9]", worker.said())
    assert_recovers(workdir, said="Metrics")


def test_a_full_disk_keeps_the_checkpoint_before(start, assert_recovers, tmp_path):
    workdir = tmp_path / "run"
    program = start(*JIGSAW, *FLAGS, f"--workdir={workdir}")
    program.wait_for(workdir / "checkpoints" / "ckpt-100.index")
    # Less than a checkpoint, more than what the process says.
    (data,) = workdir.glob("checkpoints/ckpt-100.data-*")
    assert data.stat().st_size > 2**14
    resource.prlimit(program.process.pid, resource.RLIMIT_FSIZE, (2**14, 2**14))
    program.failed("cannot be written; the one before is kept")
    assert "File too large" in program.said().splitlines()[-1]
    assert_recovers(workdir)
    assert not list(workdir.glob("checkpoints/*_temp"))


@pytest.mark.parametrize(
    "kind, left", [("data-00000-of-00001", 50), ("index", 50), ("checkpoint", 0)]
)
def test_a_truncated_checkpoint_gives_way_to_the_one_before(
    kind, left, killed, assert_recovers
):
    *_, before, newest = checkpoints(str(killed))
    path = f"{newest}.{kind}"
    if kind == "checkpoint":
        path = os.path.join(os.path.dirname(newest), "checkpoint")
    os.truncate(path, left)
    said = assert_recovers(killed)
    if kind == "checkpoint":
        # The list of the checkpoints is not needed.
        assert f"resumed at step {newest.rpartition('-')[2]}\n" in said
    else:
        assert f"{newest} cannot be read" in said
        assert f"resumed at step {before.rpartition('-')[2]}\n" in said


def test_no_checkpoint_that_can_be_read_is_one_sentence(start, killed):
    for path in checkpoints(str(killed)):
        os.truncate(f"{path}.index", 50)
    resumed = start(*JIGSAW, *FLAGS, f"--workdir={killed}", "--resume")
    resumed.failed("None of the checkpoints can be read.")


def test_clocks_do_not_tell_which_checkpoint_is_the_newest(killed, assert_recovers):
    *_, before, newest = checkpoints(str(killed))
    # As if the clock had been set back by years in between, and TensorFlow had noted
    # the other one as the latest.
    for path, time in ((before, 4e9), (newest, 1e6)):
        for part in killed.glob(f"checkpoints/{os.path.basename(path)}.*"):
            os.utime(part, (time, time))
    names = [os.path.basename(path) for path in (newest, before)]
    (killed / "checkpoints" / "checkpoint").write_text(
        f'model_checkpoint_path: "{names[1]}"\n'
        f'all_model_checkpoint_paths: "{names[0]}"\n'
        f'all_model_checkpoint_paths: "{names[1]}"\n'
        "all_model_checkpoint_timestamps: 1000000\n"
        "all_model_checkpoint_timestamps: 4000000000\n"
        "last_preserved_timestamp: 4100000000\n"
    )
    said = assert_recovers(killed)
    assert f"resumed at step {names[0].rpartition('-')[2]}\n" in said


@pytest.mark.parametrize("damage", ["flipped", "truncated", "removed"])
def test_a_spoiled_record_of_images_is_one_sentence(damage, start, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (60, 28, 28, 1), np.uint8)

    def split(count):
        return tf.data.Dataset.from_tensor_slices({"image": images[:count]})

    tfds.dataset_builders.store_as_tfds_dataset(
        name="mnist",
        version="3.0.1",
        features=tfds.features.FeaturesDict(
            {"image": tfds.features.Image(shape=(28, 28, 1))}
        ),
        split_datasets={"train": split(60), "test": split(20)},
        data_dir=tmp_path,
        disable_shuffling=True,
    )
    (record,) = tmp_path.glob("mnist/3.0.1/*-train.tfrecord-*")
    content = bytearray(record.read_bytes())
    content[len(content) // 2] ^= 1
    if damage == "flipped":
        record.write_bytes(content)
    elif damage == "truncated":
        os.truncate(record, len(content) // 2)
    else:
        record.unlink()
    workdir = tmp_path / "run"
    program = start(
        "-m",
        "pipelines.jigsaw",
        "--dataset=tfds:mnist",
        f"--data_dir={tmp_path}",
        f"--workdir={workdir}",
    )
    program.failed("is incomplete or damaged")
    assert not workdir.exists()
