"""Batches made by a dispatcher and two workers, all processes of their own."""

import dataclasses
import socket

import numpy as np
import pytest
import tensorflow as tf

from pipelines.shared import lists
from pipelines.shared.input_pipeline import batches, service
from tests.pipelines.processes import PATIENCE, free_ports
from tests.pipelines.shared.training.test_strategy import PROGRAMS, assert_same


@pytest.fixture
def served(start, tmp_path):
    """A `service.Service`, and its three programs."""
    (port,) = free_ports(1)
    address = f"grpc://localhost:{port}"
    program = ("-m", "pipelines.data_service")
    programs = [start(*program, f"--port={port}")]
    for name in ("first", "second"):
        # The file that a worker reads under a relative name tells which worker it is.
        folder = tmp_path / name
        folder.mkdir()
        (folder / "name").write_text(name)
        programs.append(start(*program, f"--dispatcher={address}", cwd=folder))
    for each in programs:
        each.wait_for_line(address)
    return service.Service(address, PATIENCE), programs


def of_one_worker(dataset):
    return list(dataset(tf.distribute.InputContext()))


def test_a_port_that_is_taken_and_no_dispatcher_are_one_sentence(start):
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = taken.getsockname()[1]
        start("-m", "pipelines.data_service", f"--port={port}").failed("is taken")
    start("-m", "pipelines.data_service", "--dispatcher=nonsense").failed(
        "Received: --dispatcher=nonsense"
    )


def test_each_example_comes_once_an_epoch_and_in_order(served):
    count, batch = 96, 8
    epoch = count // batch

    def make(step, position, part):
        return {
            "step": step,
            "position": position,
            "example": part,
            "by": tf.io.read_file("name"),
        }

    def plan(first, steps, service=None):
        return batches.BatchPlan(batch, first, first + steps, 3, service)

    workers = set()
    for first in range(0, 500 * epoch, 10 * epoch):
        elements = of_one_worker(
            lambda context, first=first: batches.batches_from(
                np.arange(count), make, plan(first, 10 * epoch, served[0]), context
            )
        )
        assert [int(x["step"]) for x in elements] == list(
            range(first, first + 10 * epoch)
        )
        for start in range(0, 10 * epoch, epoch):
            examples = [x["example"].numpy() for x in elements[start : start + epoch]]
            assert sorted(np.concatenate(examples)) == list(range(count))
        workers |= {x["by"].numpy() for x in elements}
        # Which of them is quicker is not for a test to say; both take part.
        if workers == {b"first", b"second"}:
            break
    assert workers == {b"first", b"second"}
    # The same as without a service, from any step on, and for any replica.
    local = of_one_worker(
        lambda context: batches.batches_from(
            np.arange(count), lambda *x: x, plan(first, 5), context
        )
    )
    for (_, _, example), served_one in zip(local, elements, strict=False):
        np.testing.assert_array_equal(example, served_one["example"])
    context = tf.distribute.InputContext(2, 1, 4)
    of_lists = batches.BatchPlan(8, 7, 12, 1)
    of_service = dataclasses.replace(of_lists, service=served[0])
    here = list(lists.training_lists(5, of_lists, context))
    there = list(lists.training_lists(5, of_service, context))
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
