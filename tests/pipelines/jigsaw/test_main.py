"""The whole program, on small data; in processes of its own where that matters."""

import functools
import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

import sinkhorn_tf as st
from pipelines.jigsaw.__main__ import main
from pipelines.jigsaw.config import JigsawConfig
from pipelines.shared import datasets, machine
from pipelines.shared.errors import UserError
from pipelines.shared.puzzles import cutting
from pipelines.shared.training import profiling
from tests.pipelines.jigsaw.runs import process, run, scores
from tests.pipelines.programs import run_with


def evaluate(workdir, **flags):
    run_with(main, JigsawConfig(), evaluate=str(workdir), **flags)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("jigsaw") / "run"
    run(workdir, steps=300, validate_every=100, filters=32, batch_size=32)
    return workdir


@pytest.mark.slow
def test_pieces_that_see_each_other_train_with_what_suits_them(tmp_path):
    run(tmp_path, network="context", steps=150, batch_size=32, width=32, depth=2)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["proportion_wrong"] < 0.1
    assert metrics["pieces_right"] == 1 - metrics["proportion_wrong"]
    assert 0 <= metrics["standard_error"]["proportion_wrong"] < 0.05
    flags = metrics["flags"]
    assert (flags["loss"], flags["noise_scale"]) == ("cross_entropy", 0)
    assert flags["learning_rate"] == 0.001


@pytest.mark.slow
def test_pieces_that_do_not_meet_are_cut_from_the_image_that_is_restored(tmp_path):
    run(tmp_path, image_size=16, erode=1, offset=True, export=True)
    evaluate(tmp_path)
    metrics = json.loads((tmp_path / "metrics_digits_test.json").read_text())
    assert metrics["flags"]["erode"] == 1
    # As if the run were of before there was the flag --color.
    flags = json.loads((tmp_path / "flags.json").read_text())
    del flags["color"]
    (tmp_path / "flags.json").write_text(json.dumps(flags))
    run(tmp_path, image_size=16, erode=1, offset=True, resume=True)
    first, again = scores(tmp_path), scores(tmp_path, "metrics_digits_test.json")
    assert first == again
    image = datasets.load("digits", "test", size=16).images[:5] / np.float32(255)
    solver = tf.saved_model.load(tmp_path / "solver" / "1")
    answer = solver.signatures["solve_image"](image=tf.constant(image))
    assert answer["plan"].shape == (5, 4, 4)
    restored = st.permutations.apply(answer["permutation"], cutting.cut(image, 2))
    np.testing.assert_array_equal(answer["restored"], cutting.join(restored, 2))
    with pytest.raises(UserError, match="--erode=8"):
        run(tmp_path / "none", image_size=16, erode=8)


@pytest.mark.parametrize(
    "flags, message",
    [
        ({"network": "context", "heads": 3}, "--heads=3. Received: --width=64"),
        ({"profile": True, "distribute": "mirrored"}, "--distribute=mirrored"),
    ],
)
def test_flags_that_do_not_fit_are_refused(tmp_path, flags, message):
    with pytest.raises(UserError, match=message):
        run(tmp_path / "run", **flags)
    assert not (tmp_path / "run").exists()


def test_profile_times_and_leaves_nothing(tmp_path, capsys, monkeypatch):
    short = functools.partial(profiling.profile, rounds=1, burst=0.1)
    monkeypatch.setattr(profiling, "profile", short)
    run(tmp_path / "run", profile=True)
    assert "images per second" in capsys.readouterr().out
    assert not (tmp_path / "run").exists()


def test_a_run_leaves_metrics_picture_network_and_solver(finished):
    metrics = json.loads((finished / "metrics.json").read_text())
    assert set(metrics) == {
        "proportion_wrong",
        "proportion_any_wrong",
        "kendall_tau",
        "l1",
        "l2",
        "cross_entropy",
        "pieces_right",
        "puzzles_right",
        "standard_error",
        "n_examples",
        "chance",
        "oracle",
        "by_content",
        "seconds",
        "flags",
        "versions",
        "processor",
    }
    assert metrics["processor"] == machine.processor()
    assert metrics["processor"]["cpu"]
    assert metrics["n_examples"] == 179
    assert metrics["proportion_wrong"] < 0.35 < metrics["chance"]["proportion_wrong"]
    assert metrics["flags"]["filters"] == 32
    for name in ("puzzles", "best", "worst"):
        picture = tf.io.decode_png((finished / f"{name}.png").read_bytes())
        assert picture.shape[0] > 100
    assert (finished / "solver" / "1" / "saved_model.pb").exists()
    assert (finished / "solver/1/assets.extra/metrics.json").read_bytes() == (
        finished / "metrics.json"
    ).read_bytes()


def test_the_solver_answers_without_the_package_as_the_network_does(finished, tmp_path):
    images = datasets.load("digits", "test", size=8).images.astype(np.float32) / 255
    network = keras.saving.load_model(finished / "network.keras")
    pieces = cutting.cut(tf.constant(images), 2)
    certified = st.certified_matching(network(pieces))
    np.save(tmp_path / "images.npy", images)
    program = """
import sys
class Absent:
    def find_spec(self, name, *_):
        if name.split(".")[0] in ("sinkhorn_tf", "pipelines"):
            raise ImportError(name)
sys.meta_path.insert(0, Absent())
import numpy as np, tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
images = np.load(sys.argv[2] + "/images.npy")
answer = model.signatures["solve_image"](image=tf.constant(images))
np.savez(sys.argv[2] + "/answer.npz", **{k: v.numpy() for k, v in answer.items()})
"""
    subprocess.run(
        [sys.executable, "-c", program, finished / "solver" / "1", tmp_path],
        check=True,
        cwd=tmp_path,
        capture_output=True,
    )
    answer = np.load(tmp_path / "answer.npz")
    unique = certified.gap.numpy() == 0
    assert unique.mean() > 0.5
    np.testing.assert_array_equal(
        answer["permutation"][unique], certified.perm.numpy()[unique]
    )
    restored = st.permutations.apply(answer["permutation"], pieces)
    np.testing.assert_array_equal(answer["restored"], cutting.join(restored, 2))
    assert (answer["gap"] >= 0).all()
    np.testing.assert_allclose(answer["plan"].sum(1), 1, atol=1e-5)


def test_a_solver_has_a_blank_warm_up_request_for_each_signature(finished):
    prediction_log_pb2 = pytest.importorskip(
        "tensorflow_serving.apis.prediction_log_pb2"
    )
    path = finished / "solver" / "1" / "assets.extra" / "tf_serving_warmup_requests"
    requests = [
        prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
    ]
    signatures = [request.model_spec.signature_name for request in requests]
    assert sorted(signatures) == sorted(
        ["serving_default", "solve_image", "match", "match_at_temperature"]
    )
    for request in requests:
        for tensor in request.inputs.values():
            array = tf.make_ndarray(tensor)
            assert len(array) == 1 and not array.any()


def test_evaluate_measures_a_finished_run_the_same_way(finished, capsys):
    evaluate(finished, evaluation_batch_size=7)
    again = scores(finished, "metrics_digits_test.json")
    expected = scores(finished)
    for name in ("proportion_wrong", "proportion_any_wrong", "n_examples"):
        assert again[name] == pytest.approx(expected[name], rel=1e-12)
    assert "179 examples" in capsys.readouterr().out


def test_evaluate_records_the_flags_of_the_run(finished):
    metrics = json.loads((finished / "metrics_digits_test.json").read_text())
    assert metrics["flags"]["filters"] == 32
    assert metrics["flags"]["evaluation_batch_size"] == 7


def test_evaluate_says_that_a_network_is_spoiled(finished, tmp_path):
    (tmp_path / "network.keras").write_bytes(b"no network")
    with pytest.raises(UserError, match="network.keras cannot be read"):
        evaluate(tmp_path)


def test_evaluate_on_a_prepared_directory_with_a_test_split_alone(finished, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (12, 28, 28, 1), np.uint8)
    tfds.dataset_builders.store_as_tfds_dataset(
        name="mnist",
        version="3.0.1",
        features=tfds.features.FeaturesDict(
            {"image": tfds.features.Image(shape=(28, 28, 1))}
        ),
        split_datasets={"test": tf.data.Dataset.from_tensor_slices({"image": images})},
        data_dir=tmp_path,
        disable_shuffling=True,
    )
    evaluate(finished, dataset="mnist", data_dir=str(tmp_path), split="test")
    assert scores(finished, "metrics_mnist_test.json")["n_examples"] == 12


def test_evaluate_refuses_other_channels_and_a_missing_run(finished, tmp_path):
    with pytest.raises(UserError, match="Received: --dataset=photos with 3"):
        evaluate(finished, dataset="photos")
    with pytest.raises(UserError, match=f"Received: --evaluate={tmp_path}"):
        evaluate(tmp_path)


def test_photographs_in_a_folder_train_evaluate_draw_and_export(tmp_path):
    rng = np.random.default_rng(0)
    folder = tmp_path / "photographs"
    folder.mkdir()
    for k in range(30):
        image = rng.integers(0, 256, (40, 50, 3), np.uint8)
        (folder / f"{k}.png").write_bytes(tf.io.encode_png(image).numpy())
    (folder / "broken.png").write_bytes(b"no image")
    run(
        tmp_path / "run",
        dataset="folder",
        data_dir=str(folder),
        grid=3,
        image_size=24,
        n_samples=2,
    )
    assert scores(tmp_path / "run")["n_examples"] == 3
    assert (tmp_path / "run" / "puzzles.png").exists()
    assert (tmp_path / "run" / "solver" / "1").is_dir()


@pytest.mark.parametrize(
    "flags, message",
    [
        ({"image_size": 9}, "--image_size must be a multiple .* --image_size=9"),
        ({"dataset": "cifar"}, "cifar"),
        ({"split": "train"}, "--split goes with --evaluate"),
        (
            {"dataset": "imagenet", "data_dir": "nowhere"},
            "imagenet2012 in .*nowhere.*tfds build imagenet2012",
        ),
        ({"dataset": "folder", "data_dir": "nowhere"}, "nowhere"),
    ],
)
def test_bad_flags_are_one_sentence(tmp_path, flags, message):
    with pytest.raises(UserError, match=message) as caught:
        run(tmp_path / "run", **flags)
    assert "\n" not in str(caught.value)


def test_a_command_line_shows_no_traceback():
    result = process("--image_size=9")
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert result.stderr.strip().splitlines()[-1].startswith("error: --image_size")
