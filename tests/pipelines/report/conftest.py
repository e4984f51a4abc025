"""A directory of configs, and runs to report."""

import json

import pytest


@pytest.fixture
def configs(tmp_path):
    """A directory with a config and a file of results without a number yet."""
    folder = tmp_path / "configs"
    folder.mkdir()
    (folder / "sorting_n5.cfg").write_text("# Five numbers.\n--n=5\n")
    (tmp_path / "RESULTS.md").write_text("a\n<!-- table: sorting -->\n<!-- end -->\nb")
    return folder


@pytest.fixture
def make_run(tmp_path):
    """Makes a run directory by its name and its metrics; returns its path."""

    def make_run(name, metrics):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "metrics.json").write_text(json.dumps(metrics))
        return str(folder)

    return make_run
