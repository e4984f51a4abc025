"""The examples of all docstrings run, and every public name has one."""

import doctest
import importlib
import inspect
import pkgutil

import keras
import numpy as np
import pytest
import tensorflow as tf

import sinkhorn_tf as st

# The names that an example may use without importing them.
NAMES = {"tf": tf, "np": np, "keras": keras, "st": st}


def modules():
    yield st
    for info in pkgutil.walk_packages(st.__path__, f"{st.__name__}."):
        yield importlib.import_module(info.name)


def defined_in(module):
    """The functions and classes that a module defines, decorated ones too."""
    # Not by `doctest.testmod`, which takes a decorated function for another module's.
    for value in vars(module).values():
        can_have_examples = inspect.isfunction(value) or inspect.isclass(value)
        if can_have_examples and value.__module__ == module.__name__:
            yield value


def examples():
    """Every docstring with examples, by its name."""
    finder = doctest.DocTestFinder(exclude_empty=True)
    result = {}
    for module in modules():
        text = doctest.DocTestParser().get_doctest(
            module.__doc__ or "", {}, module.__name__, module.__file__, 0
        )
        tests = [text]
        for value in defined_in(module):
            name = f"{module.__name__}.{value.__qualname__}"
            tests += finder.find(value, name, module=False)
        result |= {test.name: test for test in tests if test.examples}
    return result


EXAMPLES = examples()


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_prints_what_it_says(name, tmp_path, monkeypatch):
    # Files that an example writes must not stay in the clone.
    monkeypatch.chdir(tmp_path)
    test = EXAMPLES[name]
    test.globs = dict(NAMES)
    report = []
    results = doctest.DocTestRunner(verbose=False).run(test, out=report.append)
    assert results.failed == 0, "".join(report)


def public_names(module=st, prefix="st"):
    """Every public function and class, with the name that users write."""
    names = getattr(module, "__all__", None)
    if names is None:
        names = [
            name
            for name, value in vars(module).items()
            if not name.startswith("_")
            and getattr(value, "__module__", None) == module.__name__
        ]
    for name in names:
        value = getattr(module, name)
        if inspect.ismodule(value):
            yield from public_names(value, f"{prefix}.{name}")
        elif inspect.isfunction(value) or inspect.isclass(value):
            yield f"{prefix}.{name}", value


def test_every_public_function_and_class_has_an_example():
    missing = [
        name
        for name, value in public_names()
        if f"{value.__module__}.{value.__qualname__}" not in EXAMPLES
    ]
    assert not missing, f"no Example in the docstring of {', '.join(missing)}"


@pytest.mark.parametrize(
    "name", ["sinkhorn", "sinkhorn_solve", "matching", "soft_sort"]
)
def test_a_signature_is_short(name):
    signature = f"{name}{inspect.signature(getattr(st, name))}"
    assert len(signature) <= 5 * 80
