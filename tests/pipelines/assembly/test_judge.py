import concurrent.futures
import time

import numpy as np
import tensorflow as tf

from pipelines.assembly import judge
from pipelines.shared.puzzles.config import ImagesConfig
from pipelines.shared.training import metrics_file


def test_the_judge_is_the_network_of_the_tutorial():
    network = judge.network(1, 10)
    sizes = [tuple(weight.shape) for weight in network.trainable_weights]
    assert sizes[::2] == [(5, 5, 1, 32), (5, 5, 32, 64), (3136, 1024), (1024, 10)]


def test_the_judge_sees_images_of_other_sizes_at_its_own(rng):
    network = judge.network(1, 10)
    images = rng.random((3, 30, 30, 1), np.float32)
    resized = tf.image.resize(images, [28, 28], method="bilinear", antialias=True)
    expected = network(resized).numpy().argmax(axis=1)
    np.testing.assert_array_equal(judge.classify(network, images), expected)


def test_of_runs_at_once_one_trains_the_judge(tmp_path, monkeypatch):
    trained = []

    def train(workdir, source, images, steps):
        trained.append(steps)
        time.sleep(0.3)
        said = {"dataset": source.name, "judge_steps": steps}
        scores = {"accuracy": 1.0, "n_examples": 2}
        metrics_file.write_metrics(f"{workdir}/metrics.json", scores, said, 0.0)
        judge.network(1, 10).save(f"{workdir}/network.keras")

    monkeypatch.setattr(judge, "_train", train)
    images = ImagesConfig(dataset="digits")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        waiting = [
            pool.submit(judge.load_or_train_judge, f"{tmp_path}/judge", images, 7)
            for _ in range(2)
        ]
    assert [x.result()[1] for x in waiting] == [{"accuracy": 1.0, "n_examples": 2}] * 2
    assert trained == [7]
