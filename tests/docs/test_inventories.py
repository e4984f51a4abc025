"""The inventories of docs/inventories are those of its names.txt."""

import importlib.util
import pathlib

import pytest

DOCS = pathlib.Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def make():
    path = DOCS / "inventories" / "make.py"
    spec = importlib.util.spec_from_file_location("make_inventories", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_inventories_are_what_make_writes(make):
    kept = {
        path.name: make.to_lines(path.read_bytes())
        for path in (DOCS / "inventories").glob("*.inv")
    }
    assert kept == make.inventories(), "run python docs/inventories/make.py"


def test_the_names_are_in_order(make):
    lines = (DOCS / "inventories" / "names.txt").read_text().splitlines()
    assert lines == make.names()


@pytest.mark.parametrize(
    "name, role, uri",
    [
        ("tf.function", "function", "tf/function"),
        ("tf.data.Dataset.map", "method", "tf/data/Dataset#map"),
        ("keras.Model", "class", "models/model#model-class"),
        ("keras.Model.fit", "method", "models/model_training_apis#fit-method"),
        (
            "scipy.optimize.linear_sum_assignment",
            "function",
            "reference/generated/scipy.optimize.linear_sum_assignment.html#"
            + "scipy.optimize.linear_sum_assignment",
        ),
        ("numpy.sort", "function", "reference/generated/numpy.sort.html#numpy.sort"),
    ],
)
def test_a_name_has_its_page(make, name, role, uri):
    assert make.to_line(name) == f"{name} py:{role} 1 {uri} -\n"


@pytest.mark.parametrize("name", ["tf.no_such_name", "keras.layers.Sinkhorn"])
def test_a_name_that_nothing_bears_is_refused(make, name):
    with pytest.raises(LookupError, match=name):
        make.to_role(name)
