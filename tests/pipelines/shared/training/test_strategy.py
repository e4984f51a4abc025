"""The same training on one device, on two, and in two processes."""

import glob
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import sinkhorn_tf  # noqa: F401, whose layers are loaded
from pipelines.shared.errors import UserError
from pipelines.shared.training import strategy as strategies
from tests.pipelines.processes import free_ports, tf_config

# Trainings one after the other: their flags, and whether replicas go their own ways.
PROGRAM = """
import json, sys
import tensorflow as tf
from absl import flags
from keras.src.backend.tensorflow.optimizer import TFOptimizer
from pipelines.jigsaw import __main__ as jigsaw, report
from pipelines.jigsaw.config import JigsawConfig
from pipelines.shared import program

trainings = json.loads(sys.argv.pop(1))
if len(trainings) > 1:
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0],
        [tf.config.LogicalDeviceConfiguration()] * 2)
report.report = lambda *arguments: None
summed = TFOptimizer._all_reduce_sum_gradients

def main(config, given):
    for changes, apart in trainings:
        TFOptimizer._all_reduce_sum_gradients = (
            (lambda self, pairs: pairs) if apart else summed)
        jigsaw.main(config.replace(**changes), given | changes.keys())

program.run(main, JigsawConfig(), flags.FLAGS)
"""
QUICK = (
    "--network=paper",
    "--steps=150",
    "--validate_every=50",
    "--filters=4",
    "--batch_size=8",
    "--jit_compile=none",
    "--noexport",
)
# Whole programs.
PROGRAMS = {
    "sorting": (
        "--n=6",
        "--steps=100",
        "--batch_size=20",
        "--n_iters=20",
        "--learning_rate=0.01",
    ),
    "jigsaw": (
        "--network=paper",
        "--steps=50",
        "--validate_every=25",
        "--filters=4",
        "--batch_size=8",
    ),
    "assembly": (
        "--steps=50",
        "--validate_every=25",
        "--batch_size=16",
        "--width=32",
        "--n_iters=10",
        "--judges=2",
        "--judge_steps=12",
    ),
}


def logged(workdir):
    """The logged losses and validations: a dict of (name, step) to the value."""
    values_by_step = {}
    for path in glob.glob(f"{workdir}/logs/*"):
        for event in tf.compat.v1.train.summary_iterator(path):
            for value in event.summary.value:
                if value.tag != "learning_rate":
                    key = value.tag, event.step
                    values_by_step[key] = float(tf.make_ndarray(value.tensor))
    return values_by_step


def listed(workdir):
    """The files of a run but for its logs, relative to its directory."""
    return {
        str(path.relative_to(workdir))
        for path in workdir.glob("**/*")
        if "events" not in path.name
    }


def assert_same(workdir, expected, logs=True, rel=1e-5, weights=2e-4):
    """Losses, scores and weights agree but for the order of float32 sums.

    Args:
        workdir, expected: Run directories.
        logs: Whether the same has to be logged: a resumed run logs some twice.
        rel: Of losses and scores.
        weights: The largest difference between them, or None to compare none.
    """
    values, others = logged(workdir), logged(expected)
    assert values.keys() == others.keys() or not logs
    for key, value in values.items():
        assert value == pytest.approx(others[key], rel=rel), key
    networks = [
        keras.saving.load_model(f"{path}/network.keras") for path in (workdir, expected)
    ]
    for a, b in zip(*(network.get_weights() for network in networks), strict=True):
        if weights is not None:
            np.testing.assert_allclose(a, b, atol=weights)


@pytest.mark.slow
def test_two_devices_and_two_workers_train_as_one_device_does(
    start, start_workers, tmp_path
):
    one, two, apart, workers = (
        tmp_path / x for x in ("one", "two", "apart", "workers")
    )

    def training(workdir, distribute):
        return {"workdir": str(workdir), "distribute": distribute}

    joined = start_workers(
        "-c", PROGRAM, json.dumps([[training(workers, "multiworker"), False]]), *QUICK
    )
    here = start(
        "-c",
        PROGRAM,
        json.dumps(
            [
                [training(one, "none"), False],
                [training(two, "mirrored"), False],
                [training(apart, "mirrored"), True],
            ]
        ),
        *QUICK,
    )
    for program in (*joined, here):
        program.succeeded()
    assert_same(two, one)
    assert_same(workers, one)
    losses = {k: v for k, v in logged(one).items() if k[0] == "loss"}
    assert losses["loss", 150] < 0.5 * losses["loss", 50]
    # The comparison can fail: of gradients that are not summed every loss differs.
    others = logged(apart)
    for key, value in losses.items():
        assert others[key] != pytest.approx(value, rel=1e-3)
    # The chief alone has written: one file of events.
    assert len(list((workers / "logs").iterdir())) == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", PROGRAMS)
def test_the_chief_of_two_workers_leaves_what_one_process_leaves(
    name, start, start_workers, tmp_path
):
    one, two = tmp_path / "one", tmp_path / "two"
    flags = PROGRAMS[name]
    if name == "assembly":
        flags += (f"--judge={tmp_path / 'judge'}",)
    workers = start_workers("-m", f"pipelines.{name}", *flags, f"--workdir={two}")
    for program in workers:
        program.succeeded()
    start("-m", f"pipelines.{name}", *flags, f"--workdir={one}").succeeded()
    if name == "sorting":
        # Adam's first step is the sign of the gradient, and here some are 0 but for
        # rounding: the losses are of two kinds, 2 % apart, on one device too, by
        # --jit_compile.
        assert_same(two, one, rel=0.05, weights=None)
    else:
        assert_same(two, one, rel=1e-4, weights=0.1)
    assert listed(two) == listed(one)
    assert "Metrics" in workers[0].said() and "Metrics" not in workers[1].said()


def test_a_worker_whose_peers_do_not_come_ends(start, tmp_path):
    absent, own = (f"localhost:{port}" for port in free_ports(2))
    alone = start(
        "-m",
        "pipelines.sorting",
        "--distribute=multiworker",
        "--startup_timeout=2",
        f"--workdir={tmp_path / 'run'}",
        environment={"TF_CONFIG": tf_config([absent, own], 1)},
    )
    alone.failed("--startup_timeout=2 seconds. Without an answer: " + absent)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_workers_with_different_flags_or_directories_refuse(start, tmp_path):
    for changed in ("--seed=2", f"--workdir={tmp_path / 'other'}"):
        addresses = [f"localhost:{port}" for port in free_ports(2)]
        workers = [
            start(
                "-m",
                "pipelines.sorting",
                *PROGRAMS["sorting"],
                "--distribute=multiworker",
                f"--workdir={tmp_path / 'run'}",
                *([changed] if index else []),
                environment={"TF_CONFIG": tf_config(addresses, index)},
            )
            for index in range(2)
        ]
        for worker in workers:
            worker.failed("given different flags or images")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"cluster": {"worker": ["a:1"]}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "chief", "index": 0}}',
        '{"cluster": {"worker": ["a:1"], "ps": []}, "task": {"type": "ps", "index": 0}}',
        '{"cluster": {"worker": ["a"], "ps": ["b"]}, "task": {"type": "ps", "index": 0}}',
        '{"cluster": {"worker": [1]}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": "a:1"}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"chief": ["a", "b"]}, "task": {"type": "chief", "index": 0}}',
    ],
)
def test_a_tf_config_that_names_no_workers_is_one_sentence(text):
    with pytest.raises(UserError, match="TF_CONFIG") as caught:
        strategies.addresses(text)
    assert "\n" not in str(caught.value)


def test_one_process_agrees_with_itself():
    strategy = strategies.strategy("none")
    assert strategies.gather_from_processes(strategy, 3).tolist() == [3]
    assert strategies.gather_from_processes(strategy, 0.5).tolist() == [0.5]
    strategies.check_same(strategy, "text", "never said")
