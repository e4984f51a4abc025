"""The private interfaces of Keras Tuner, each of which fails with a sentence of its own."""

import inspect
import pathlib
import re

import keras_tuner
import pytest
from keras_tuner.src import config
from keras_tuner.src.distribute import oracle_client, utils

from pipelines.tune import keras_tuner_private, search

CLASSES = {
    "Oracle": keras_tuner.Oracle,
    "HyperbandOracle": keras_tuner.oracles.HyperbandOracle,
    "BayesianOptimizationOracle": keras_tuner.oracles.BayesianOptimizationOracle,
    "BaseTuner": keras_tuner_private.BaseTuner,
}
ATTRIBUTES = [
    (class_name, name, reason)
    for class_name, names in keras_tuner_private.ATTRIBUTES.items()
    for name, reason in names.items()
]


@pytest.mark.parametrize("class_name, name, reason", ATTRIBUTES)
def test_private_attributes_exist(class_name, name, reason):
    known = CLASSES[class_name]
    # Some are attributes of objects, which `__init__` sets.
    exists = hasattr(known, name) or f"self.{name} = " in inspect.getsource(known)
    assert exists, (
        f"Keras Tuner {keras_tuner.__version__} has no {class_name}.{name}, which "
        f"pipelines/tune/search.py needs. {reason}"
    )


@pytest.mark.parametrize(
    "module, name, use",
    [
        (config, "DEBUG", "hides the tracebacks of failed trials"),
        (
            oracle_client,
            "TIMEOUT",
            "is the time for which a worker waits for its chief",
        ),
        (utils, "is_chief_oracle", "tells the role of a process"),
        (utils, "has_chief_oracle", "tells the role of a process"),
    ],
)
def test_private_names_of_modules_exist(module, name, use):
    assert hasattr(module, name), (
        f"Keras Tuner {keras_tuner.__version__} has no {module.__name__}.{name}, "
        f"which {use}."
    )


def test_the_list_is_complete():
    """`search.py` uses and overrides no other name of Keras Tuner with an underscore."""
    source = pathlib.Path(search.__file__).read_text()
    assert "keras_tuner.src" not in source and "keras_tuner.engine" not in source
    names = set(re.findall(r"\b(?:self|super\(\)|oracle)\.(_[a-z]\w*)", source))
    names |= set(re.findall(r"def (_[a-z]\w*)\(self", source))
    of_keras_tuner = {
        name
        for name in names
        for known in CLASSES.values()
        if hasattr(known, name) or f"self.{name} = " in inspect.getsource(known)
    }
    listed = {name for _, name, _ in ATTRIBUTES}
    assert of_keras_tuner == listed, of_keras_tuner ^ listed


def test_a_process_without_the_variables_is_alone(monkeypatch):
    for name in ("TUNER_ID", "ORACLE_IP", "ORACLE_PORT"):
        monkeypatch.delenv(f"KERASTUNER_{name}", raising=False)
    assert keras_tuner_private.role() == "alone"
