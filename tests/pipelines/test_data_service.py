"""Batches made by a dispatcher and two workers, all processes of their own."""

import socket

import numpy as np
import pytest
import tensorflow as tf
from processes import PATIENCE, free_ports
from test_distribution import PROGRAMS, assert_same

from pipelines import batches, lists, runs, service
from pipelines.errors import UserError


@pytest.fixture
def served(start, tmp_path):
    """A `service.Service`, and its three programs."""
    (port,) = free_ports(1)
    address = f"grpc://localhost:{port}"
    program = ("-m", "pipelines.data_service")
    programs = [start(*program, f"--port={port}")]
    for name in ("first", "second"):
        # What a worker reads under a relative name tells which it is.
        folder = tmp_path / name
        folder.mkdir()
        (folder / "name").write_text(name)
        programs.append(start(*program, f"--dispatcher={address}", cwd=folder))
    for each in programs:
        each.wait_for_line(address)
    return service.Service(address, PATIENCE), programs


def of_one_worker(dataset):
    return list(dataset(tf.distribute.InputContext()))


def one_step(address):
    """The batches of a step, from a service that has a second for it."""
    steps = {"batch_size": 2, "first_step": 0, "last_step": 1, "seed": 0}
    served_by = service.Service(address, timeout=1)
    return of_one_worker(lists.training_lists(5, **steps, served_by=served_by))


def test_a_port_that_is_taken_and_no_dispatcher_are_one_sentence(start):
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = taken.getsockname()[1]
        start("-m", "pipelines.data_service", f"--port={port}").failed("is taken")
    start("-m", "pipelines.data_service", "--dispatcher=nonsense").failed(
        "Received: --dispatcher=nonsense"
    )


def test_a_service_that_listens_and_does_not_answer_is_one_sentence():
    with socket.socket() as silent:
        silent.bind(("localhost", 0))
        silent.listen()
        address = f"grpc://localhost:{silent.getsockname()[1]}"
        with pytest.raises(tf.errors.OpError, match="gave nothing for 1 seconds"):
            one_step(address)


def test_each_example_comes_once_an_epoch_and_in_order(served):
    count, batch = 96, 8
    epoch = count // batch
    make = lambda step, position, part: {
        "step": step,
        "position": position,
        "example": part,
        "by": tf.io.read_file("name"),
    }
    options = {"batch_size": batch, "seed": 3}
    workers = set()
    for first in range(0, 500 * epoch, 10 * epoch):
        found = of_one_worker(
            batches.made_of(
                np.arange(count),
                make,
                first_step=first,
                last_step=first + 10 * epoch,
                served_by=served[0],
                **options,
            )
        )
        assert [int(x["step"]) for x in found] == list(range(first, first + 10 * epoch))
        for start in range(0, 10 * epoch, epoch):
            examples = [x["example"].numpy() for x in found[start : start + epoch]]
            assert sorted(np.concatenate(examples)) == list(range(count))
        workers |= {x["by"].numpy() for x in found}
        # Which of them is quicker is not for a test to say; both take part.
        if workers == {b"first", b"second"}:
            break
    assert workers == {b"first", b"second"}
    # The same as without a service, from any step on, and for any replica.
    local = batches.made_of(
        np.arange(count), lambda *x: x, first_step=first, last_step=first + 5, **options
    )
    for (_, _, example), served_one in zip(of_one_worker(local), found, strict=False):
        np.testing.assert_array_equal(example, served_one["example"])
    context = tf.distribute.InputContext(2, 1, 4)
    of_lists = {"batch_size": 8, "first_step": 7, "last_step": 12, "seed": 1}
    here = list(lists.training_lists(5, **of_lists)(context))
    there = list(lists.training_lists(5, **of_lists, served_by=served[0])(context))
    assert len(here) == len(there) == 10
    for a, b in zip(here, there, strict=True):
        for name in a:
            np.testing.assert_array_equal(a[name], b[name])


@pytest.mark.slow
@pytest.mark.parametrize("name, ended", [("sorting", 0), ("jigsaw", 1), ("jigsaw", 2)])
def test_a_training_whose_service_ends_is_resumed_as_the_same(
    name, ended, served, start, tmp_path
):
    flags = (
        *(x for x in PROGRAMS[name] if not x.startswith("--steps")),
        "--steps=600",
        "--checkpoint_every=10",
        "--jit_compile=none",
    )
    one, two = tmp_path / "one", tmp_path / "two"
    program = ("-m", f"pipelines.{name}", *flags)
    cut = start(
        *program,
        f"--workdir={two}",
        f"--data_service={served[0].address}",
        "--startup_timeout=20",
    )
    cut.wait_for(two / "checkpoints" / "ckpt-50.index")
    served[1][ended].process.kill()
    cut.failed(f"--data_service={served[0].address}")
    start(*program, f"--workdir={two}", "--resume").succeeded()
    start(*program, f"--workdir={one}").succeeded()
    assert_same(two, one, logs=False)


def test_rows_are_read_from_a_file(tmp_path, rng):
    images = rng.integers(0, 256, (20, 3, 4, 2), np.uint8)
    np.save(tmp_path / "images.npy", images)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    index = np.array([19, 0, 7, 7])
    take = tf.function(service.lookup(mapped), autograph=False)
    np.testing.assert_array_equal(take(tf.constant(index)), images[index])
    np.testing.assert_array_equal(service.lookup(images)(index), images[index])


def test_images_that_are_too_large_to_send_need_a_file(monkeypatch):
    monkeypatch.setattr(service, "_MOST_SENT", 100)
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
    monkeypatch.setattr(runs.app, "run", lambda program: program(["program"]))
    with pytest.raises(SystemExit):
        runs.main(lambda: list(dataset))
    assert capsys.readouterr().err == "error: It is lost.\n"
