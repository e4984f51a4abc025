"""The examples of the README."""

import pathlib
import re

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

README = pathlib.Path(__file__).parent.parent / "README.md"


@pytest.fixture(scope="module")
def examples():
    return re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)


def test_the_keras_example_sorts(examples, capsys):
    names = {}
    exec(examples[0], names)  # noqa: S102
    numbers = names["examples"][:100]
    outputs = names["model"].predict(numbers, verbose=0)[:, :, 0]
    expected = np.sort(np.asarray(numbers)[:, :, 0], axis=1)
    assert np.abs(outputs - expected).mean() < 0.03
    printed = np.array(re.findall(r"[\d.]+", capsys.readouterr().out), float)
    assert (np.diff(printed) > 0).all()


def test_the_exported_example_sorts(examples, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(examples[0] + examples[11], names)  # noqa: S102
    assert names["path"] == "runs/sorter/1"
    restored = names["answer"]["restored"].numpy()
    assert (np.sort(names["examples"][:2], axis=1) == restored).mean() > 0.5
    assert (names["answer"]["gap"].numpy() == 0).all()


def test_the_solver_answers(examples, monkeypatch):
    monkeypatch.chdir(README.parent)
    names = {}
    exec(examples[10], names)  # noqa: S102
    assert names["answer"]["restored"].shape == (1, 8, 8, 1)


def test_the_temperature_is_low_enough(examples):
    names = {}
    exec(examples[9], names)  # noqa: S102
    assert 0 < names["loss"] <= 0.1
    assert names["bound"] == "fast_rate" and names["temperature"] < 1


def test_the_functions_have_the_shapes_that_are_printed(examples):
    names = {}
    exec(examples[1], names)  # noqa: S102
    assert names["plan"].shape == (64, 9, 9)
    assert names["soft"].shape == names["noisy_logits"].shape == (64, 3, 9, 9)
    assert names["perm"].shape == (64, 9)
    assert (names["gap"].numpy() >= 0).all()


def test_the_smaller_set_is_placed_whole(examples):
    names = {}
    exec(examples[2], names)  # noqa: S102
    plan, perm = names["plan"].numpy(), names["perm"].numpy()
    np.testing.assert_allclose(plan.sum(1), 1, atol=1e-5)
    assert (plan.sum(2) < 1.01).all()
    assert [sorted(row) for row in perm] == [[-1] * 5 + list(range(5))] * 2
    cost = names["cost"].numpy()
    least = [each[linear_sum_assignment(each)].sum() for each in cost]
    matched_cost = (names["matrix"] * cost).numpy().sum((1, 2))
    np.testing.assert_allclose(matched_cost, least, rtol=1e-6)


def test_what_is_padded_has_no_place(examples):
    names = {}
    exec(examples[3], names)  # noqa: S102
    assert names["perm"].numpy().tolist() == [[2, 0, 1, -1, -1], [0, 4, 3, 2, 1]]
    present = names["present"].numpy()
    pairs = present[:, :, None] & present[:, None]
    assert (names["plan"].numpy()[~pairs] == 0).all()


def test_masks_are_inputs_of_a_model(examples):
    names = {}
    exec(examples[4], names)  # noqa: S102
    numbers = np.array([[[3.0], [1.0], [2.0], [np.nan], [7.0]]], np.float32)
    present = np.array([[True, True, True, False, False]])
    restored = names["model"]([numbers, present]).numpy()[0, :, 0]
    assert (restored[3:] == 0).all() and restored[:3].all()


def test_each_expert_has_its_load(examples):
    names = {}
    exec(examples[5], names)  # noqa: S102
    plan = names["plan"].numpy()
    np.testing.assert_allclose(plan.sum(0), names["load"], rtol=1e-4)
    assert abs(plan.sum(1) - 1).max() < 0.05


def test_dustbins_take_what_fits_nowhere(examples):
    names = {}
    exec(examples[6], names)  # noqa: S102
    assert names["perm"].numpy().tolist() == [0, -1]
    np.testing.assert_allclose(names["unmatched_rows"], [0, 1], atol=0.01)


def test_the_two_largest_are_selected(examples):
    names = {}
    exec(examples[7], names)  # noqa: S102
    np.testing.assert_allclose(names["shares"], [1, 0.08, 0.92, 0], atol=0.005)


def test_the_temperature_is_learnt(examples):
    names = {}
    exec(examples[0].replace("epochs=20", "epochs=1") + examples[8], names)  # noqa: S102
    assert 0 < names["layer"].temperature.numpy() < 0.9
