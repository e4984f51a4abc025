"""Every public name is on a page of docs/api."""

import importlib
import inspect
import pathlib
import re

import pytest

import sinkhorn_tf as st

PAGES = {
    path.stem: path.read_text(encoding="utf-8")
    for path in (pathlib.Path(__file__).parents[2] / "docs" / "api").glob("*.md")
}
# What has no page of its own, and the page that names it.
OTHER_PAGES = {"networks": "models"}
# Other names of what is documented, and the page that says so.
OTHER_NAMES = {
    "sinkhorn_tf.__version__": "index",
    "sinkhorn_tf.layers.Sinkhorn": "layers",
    "sinkhorn_tf.networks": "models",
}


def look_up(name):
    """The thing that has a full name."""
    module, _, last = name.rpartition(".")
    return getattr(importlib.import_module(module), last)


def entries(page):
    """The full names in the summaries of a page, and whether each is documented there."""
    result, current = {}, None
    for block in re.findall(r"```{eval-rst}\n(.*?)```", PAGES[page], re.DOTALL):
        for part in re.split(r"^(?=\.\. )", block, flags=re.MULTILINE):
            module = re.match(r"\.\. (?:auto|current)?module:: (\S+)", part)
            current = module[1] if module else current
            if not part.startswith(".. autosummary::"):
                continue
            for name in re.findall(r"^   ~?([\w.]+)$", part, re.MULTILINE):
                full = name if name.startswith("sinkhorn_tf.") else f"{current}.{name}"
                result[full] = ":toctree:" in part
    return result


ENTRIES = {page: entries(page) for page in PAGES}
DOCUMENTED = [
    name for page in ENTRIES.values() for name, has_page in page.items() if has_page
]


def public_names(module):
    """The names of a public module, as `__all__` has them or as it defines them."""
    if hasattr(module, "__all__"):
        return list(module.__all__)
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and getattr(value, "__module__", None) == module.__name__
    ]


MODULES = [st, *(v for n in st.__all__ if inspect.ismodule(v := getattr(st, n)))]


@pytest.mark.parametrize(
    "name",
    [
        f"{module.__name__}.{name}"
        for module in MODULES
        for name in public_names(module)
    ],
)
def test_a_public_name_is_documented(name):
    value = look_up(name)
    if name in OTHER_NAMES:
        assert name in PAGES[OTHER_NAMES[name]]
    elif inspect.ismodule(value):
        page = PAGES[name.rpartition(".")[2]]
        assert re.search(rf"^\.\. (auto)?module:: {name}$", page, re.MULTILINE)
    else:
        assert [each for each in DOCUMENTED if look_up(each) is value]


@pytest.mark.parametrize("module", MODULES[1:], ids=lambda module: module.__name__)
def test_the_page_of_a_package_has_all_its_names(module):
    last = module.__name__.rpartition(".")[2]
    listed = [look_up(name) for name in ENTRIES[OTHER_PAGES.get(last, last)]]
    missing = [
        name
        for name in public_names(module)
        if not any(getattr(module, name) is value for value in listed)
    ]
    assert not missing


def test_nothing_is_documented_twice():
    values = [look_up(name) for name in DOCUMENTED]
    assert len({id(value) for value in values}) == len(values)


def test_a_name_at_the_top_is_documented_there():
    top = [getattr(st, name) for name in st.__all__]
    lower = [name for name in DOCUMENTED if name.count(".") > 1]
    assert not [name for name in lower if any(look_up(name) is value for value in top)]
