"""Batches of a service: here, without one that answers."""

import socket

import numpy as np
import pytest
import tensorflow as tf
from absl import flags

from pipelines.shared import lists, program
from pipelines.shared.errors import UserError
from pipelines.shared.input_pipeline import batches, service
from pipelines.shared.options import Options
from tests.pipelines.processes import free_ports


def one_step(address):
    """The batches of a step, from a service that has a second for it."""
    plan = batches.BatchPlan(2, 0, 1, 0, service.Service(address, timeout=1))
    return list(lists.training_lists(5, plan, tf.distribute.InputContext()))


def test_a_service_that_listens_and_does_not_answer_is_one_sentence():
    with socket.socket() as silent:
        silent.bind(("localhost", 0))
        silent.listen()
        address = f"grpc://localhost:{silent.getsockname()[1]}"
        with pytest.raises(tf.errors.OpError, match="gave nothing for 1 seconds"):
            one_step(address)


def test_rows_are_read_from_a_file(tmp_path, rng):
    images = rng.integers(0, 256, (20, 3, 4, 2), np.uint8)
    np.save(tmp_path / "images.npy", images)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    index = np.array([19, 0, 7, 7])
    take = tf.function(service.lookup(mapped), autograph=False)
    np.testing.assert_array_equal(take(tf.constant(index)), images[index])
    np.testing.assert_array_equal(service.lookup(images)(index), images[index])


def test_images_that_are_too_large_to_send_need_a_file(monkeypatch):
    monkeypatch.setattr(service, "_MAX_SENT", 100)
    with pytest.raises(UserError, match="--cache_dir"):
        service.lookup(np.zeros([101], np.uint8))


@pytest.mark.parametrize("address", ["grpc://localhost:{port}", "localhost", "x:y"])
def test_no_dispatcher_is_one_sentence(address):
    address = address.format(port=free_ports(1)[0])
    with pytest.raises(UserError, match=f"Received: --data_service={address}"):
        one_step(address)


def test_what_is_raised_where_batches_are_made_is_one_sentence(capsys, monkeypatch):
    def generate():
        raise UserError("It is lost.")
        yield 0

    spec = tf.TensorSpec([], tf.int64)
    dataset = tf.data.Dataset.from_generator(generate, output_signature=spec)
    monkeypatch.setattr(program.app, "run", lambda main, **_: main(["program"]))
    monkeypatch.setenv("MPLBACKEND", "Agg")
    with pytest.raises(SystemExit):
        program.run(lambda *_: list(dataset), Options(), flags.FlagValues())
    assert capsys.readouterr().err == "error: It is lost.\n"
