import concurrent.futures
import json
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipelines.assembly import judge, judge_networks
from pipelines.assembly.config import JUDGES
from pipelines.shared import datasets
from pipelines.shared.errors import UserError
from pipelines.shared.puzzles.config import ImagesConfig
from pipelines.shared.training import metrics_file


def test_the_judge_is_the_network_of_the_tutorial():
    network = judge_networks.convolutional(1, 10, seed=0)
    sizes = [tuple(weight.shape) for weight in network.trainable_weights]
    assert sizes[::2] == [(5, 5, 1, 32), (5, 5, 32, 64), (3136, 1024), (1024, 10)]


def test_the_judge_sees_images_of_other_sizes_at_its_own(rng):
    network = judge_networks.convolutional(1, 10, seed=0)
    images = rng.random((3, 30, 30, 1), np.float32)
    resized = tf.image.resize(images, [28, 28], method="bilinear", antialias=True)
    expected = network(resized).numpy().argmax(axis=1)
    np.testing.assert_array_equal(judge.classify(network, images), expected)


def test_every_kind_of_the_panel_can_be_made():
    assert tuple(judge.KINDS) == JUDGES
    seeds = [kind.seed for kind in judge.KINDS.values()]
    assert len(set(seeds)) == len(seeds)
    images = tf.random.stateless_uniform([3, 28, 28, 1], [0, 1])
    for name, kind in judge.KINDS.items():
        if kind.network:
            network = kind.network(1, 7, kind.seed)
            assert judge.logits(network, images).shape == (3, 7), name


def test_the_nearest_neighbour_against_a_loop(rng, tmp_path):
    images = rng.integers(0, 256, (30, 28, 28, 1), np.uint8)
    labels = np.arange(30) % 4
    network = judge_networks.nearest(images, labels, 4)
    asked = rng.random((5, 28, 28, 1), np.float32)
    known = images / np.float32(255)
    distance = ((asked[:, None] - known[None]) ** 2).sum(axis=(2, 3, 4))
    best = np.stack([distance[:, labels == k].min(axis=1) for k in range(4)], axis=1)
    np.testing.assert_allclose(judge.logits(network, asked), -best / 2, rtol=1e-4)
    network.save(tmp_path / "network.keras")
    again = keras.saving.load_model(tmp_path / "network.keras")
    np.testing.assert_array_equal(judge.logits(again, asked), network(asked))
    # A label without an image is never the nearest.
    without = judge_networks.nearest(images[labels != 2], labels[labels != 2], 4)
    assert (judge.logits(without, asked).numpy()[:, 2] == -np.inf).all()


def test_the_nearest_neighbour_keeps_a_part_of_many_images(monkeypatch):
    monkeypatch.setattr(judge_networks, "_MAX_NEIGHBOURS", 10)
    images, labels = np.zeros((24, 28, 28, 1), np.uint8), np.arange(24) % 2
    network = judge_networks.nearest(images, labels, 2)
    assert network.weights[0].shape == (8, 784)


def test_a_panel_is_trained_once_and_knows_its_kinds(tmp_path):
    images = ImagesConfig(dataset="digits")
    names = ["dense", "nearest"]
    panel = judge.load_or_train_panel(names, f"{tmp_path}/judge", images, 20)
    assert [x.name for x in panel] == names
    # Chance is .1. Digits of 8 pixels are easy for a nearest neighbour.
    assert panel[0].scores["accuracy"] > 0.5
    assert panel[1].scores["accuracy"] > 0.95
    written = [p.stat().st_mtime_ns for p in sorted(tmp_path.glob("*/network.keras"))]
    again = judge.load_or_train_panel(names, f"{tmp_path}/judge", images, 20)
    assert [x.scores for x in again] == [x.scores for x in panel]
    assert written == [
        p.stat().st_mtime_ns for p in sorted(tmp_path.glob("*/network.keras"))
    ]
    data = datasets.load("digits", "test", size=28)
    image = data.images / np.float32(255)
    for known in again:
        right = judge.classify(known.network, image).numpy() == data.labels
        assert right.mean() == known.scores["accuracy"]
    with pytest.raises(UserError, match="Not a convolutional judge but a dense one"):
        judge.load_or_train_judge(f"{tmp_path}/judge_dense", images, 20)
    metrics = tmp_path / "judge_dense" / "metrics.json"
    written = json.loads(metrics.read_text())
    # Before there were kinds, every judge was convolutional.
    del written["flags"]["kind"]
    metrics.write_text(json.dumps(written))
    with pytest.raises(UserError, match="Not a dense judge but a convolutional one"):
        judge.load_or_train_judge(f"{tmp_path}/judge_dense", images, 20, "dense")


def test_a_short_training_settles_the_averages_of_batch_normalization(tmp_path):
    images = ImagesConfig(dataset="digits")
    known = judge.load_or_train_judge(f"{tmp_path}/judge", images, 100, "strided")
    momenta = [x.momentum for x in known.network.layers if hasattr(x, "momentum")]
    assert momenta == [0.9] * 3
    # With the momentum of .99 that is the default, .40 are right.
    assert known.scores["accuracy"] > 0.8


def test_a_nearest_neighbour_that_was_stopped_is_made_again(tmp_path):
    images, workdir = ImagesConfig(dataset="digits"), f"{tmp_path}/judge_nearest"
    first = judge.load_or_train_judge(workdir, images, kind="nearest")
    (tmp_path / "judge_nearest" / "network.keras").unlink()
    again = judge.load_or_train_judge(workdir, images, kind="nearest")
    assert again.scores == first.scores


def test_of_runs_at_once_one_trains_the_judge(tmp_path, monkeypatch):
    trained = []

    def train(workdir, source, images, steps, kind):
        trained.append(steps)
        time.sleep(0.3)
        said = {"dataset": source.name, "judge_steps": steps}
        scores = {"accuracy": 1.0, "n_examples": 2}
        metrics_file.write_metrics(f"{workdir}/metrics.json", scores, said, 0.0)
        network = judge_networks.dense(1, 10, seed=0)
        network.save(f"{workdir}/network.keras")

    monkeypatch.setattr(judge, "_train", train)
    images = ImagesConfig(dataset="digits")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        waiting = [
            pool.submit(judge.load_or_train_judge, f"{tmp_path}/judge", images, 7)
            for _ in range(2)
        ]
    assert [x.result().scores for x in waiting] == [
        {"accuracy": 1.0, "n_examples": 2}
    ] * 2
    assert trained == [7]
