"""The examples of the README, its length and its links."""

import pathlib
import re

import numpy as np
import pytest

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


def test_the_functions_have_the_shapes_that_are_printed(examples):
    names = {}
    exec(examples[1], names)  # noqa: S102
    assert names["plan"].shape == (64, 9, 9)
    assert names["soft"].shape == names["noisy_logits"].shape == (64, 3, 9, 9)
    assert names["perm"].shape == (64, 9)
    np.testing.assert_allclose(names["ranks"], [[2, 0, 1]], atol=0.1)
    assert (names["gap"].numpy() >= 0).all()


def test_it_is_one_page():
    assert len(README.read_text().split()) <= 1000


def test_what_it_links_to_is_there():
    links = re.findall(r"\]\(([^)#:]+)\)", README.read_text())
    assert len(links) > 10
    for link in links:
        assert (README.parent / link).exists(), link
