"""Which names are public, and that they are annotated."""

import ast
import importlib
import inspect
import operator
import pathlib
import pkgutil
import sys
import types

import keras
import pytest

import sinkhorn_tf as st

PACKAGES = [
    st,
    *(x for name in st.__all__ if inspect.ismodule(x := getattr(st, name))),
]
MODULES = [
    module.name for module in pkgutil.walk_packages(st.__path__, f"{st.__name__}.")
]
# The methods that a layer, a metric and a callback are used through.
METHODS = {
    *("__init__", "build", "call", "compute_output_shape", "get_config"),
    *("update_state", "result", "on_train_begin", "on_train_batch_begin"),
    "on_epoch_end",
}


def public_members(package):
    names = getattr(package, "__all__", None)
    if names is None:
        # A module without a list: what it defines itself.
        names = [
            name
            for name, value in vars(package).items()
            if not name.startswith("_")
            and getattr(value, "__module__", None) == package.__name__
        ]
    return {name: getattr(package, name) for name in names}


def callables():
    """The public functions, and the methods of public classes that are ours."""
    unique = {}
    for package in PACKAGES:
        for name, value in public_members(package).items():
            if inspect.isclass(value):
                for method in METHODS & set(dir(value)):
                    function = getattr(value, method)
                    if getattr(function, "__module__", "").startswith("sinkhorn_tf"):
                        unique[f"{value.__name__}.{method}"] = function
            elif callable(value):
                unique[f"{value.__module__}.{name}"] = value
    return unique


CALLABLES = callables()


def test_the_public_functions_and_layers_are_there():
    assert {
        "sinkhorn_tf._sinkhorn.operator.sinkhorn",
        "sinkhorn_tf.permutations.to_matrix",
        "sinkhorn_tf.metrics.kendall_tau",
        "KendallTau.update_state",
        "SinkhornLayer.call",
        "AnnealTemperature.__init__",
        "GumbelSinkhorn.__init__",
    } <= CALLABLES.keys()


@pytest.mark.parametrize("name", sorted(CALLABLES))
def test_all_is_annotated(name):
    signature = inspect.signature(CALLABLES[name])
    missing = [
        parameter.name
        for parameter in signature.parameters.values()
        if parameter.annotation is parameter.empty and parameter.name != "self"
    ]
    assert not missing, f"{name}: no annotation of {', '.join(missing)}"
    returns = signature.return_annotation is not signature.empty
    assert returns, f"{name}: no annotation of what it returns"


def test_fields_of_results_are_annotated():
    for result in (
        st.SinkhornSolution,
        st.CertifiedMatching,
        st.PartialPlan,
        st.entropic.LayerBounds,
    ):
        assert list(result.__annotations__) == list(result._fields)


def test_dir_shows_public_names_alone():
    names = dir(st)
    assert names == sorted(st.__all__)
    assert [name for name in names if name.startswith("_")] == ["__version__"]


@pytest.mark.parametrize("package", PACKAGES, ids=lambda x: x.__name__)
def test_no_private_name_is_exported(package):
    for name, value in public_members(package).items():
        assert name == "__version__" or not name.startswith("_"), name
        if inspect.ismodule(value):
            assert "._" not in value.__name__, name


@pytest.mark.parametrize("name", MODULES)
def test_importing_a_module_gives_the_module(name):
    module = importlib.import_module(name)
    # `import a.b.c as module` reads the attribute b of a, and c of that.
    imported = operator.attrgetter(name.partition(".")[2])(st)
    assert isinstance(imported, types.ModuleType)
    assert imported is module


@pytest.mark.parametrize(
    "name",
    ["matching", "sinkhorn", "certified_matching", "soft_sort", "sinkhorn_solve"],
)
def test_functions_are_no_modules(name):
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module(f"sinkhorn_tf.{name}")
    assert callable(getattr(st, name))


def test_public_layers_and_metrics_are_registered():
    members = {**public_members(st.layers), **public_members(st.metrics)}
    classes = [value for value in members.values() if inspect.isclass(value)]
    assert {st.SinkhornLayer, st.metrics.KendallTau} <= set(classes)
    for cls in classes:
        name = keras.saving.get_registered_name(cls)
        assert name == f"sinkhorn_tf>{cls.__name__}"


def imported_packages(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module.partition(".")[0]


def test_the_library_and_its_tests_need_no_more_than_it_installs():
    tests = pathlib.Path(__file__).parent
    paths = [
        *pathlib.Path(st.__file__).parent.rglob("*.py"),
        *tests.rglob("*.py"),
        *(tests.parent / "conformance").rglob("*.py"),
        tests.parent / "conftest.py",
    ]
    installed = {"tensorflow", "keras", "numpy", "scipy", "pytest"}
    # Asked for by the function that needs it, which says how to install it.
    optional = {"tensorflow_serving"}
    known = {*sys.stdlib_module_names, *installed, *optional, "sinkhorn_tf", "tests"}
    others = {
        f"{package} in {path.name}"
        for path in paths
        for package in imported_packages(path)
        if package not in known
    }
    assert not others
