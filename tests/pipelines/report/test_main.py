"""The whole program, on a directory of one config."""

import pytest

from pipelines.report import records
from pipelines.report.__main__ import main
from pipelines.report.config import ReportConfig
from pipelines.shared.errors import UserError
from tests.pipelines.programs import run_with
from tests.pipelines.report.metrics import sorting_metrics


def report(folder, **flags):
    places = {"configs": str(folder), "results": str(folder.parent / "RESULTS.md")}
    run_with(main, ReportConfig(), **(places | flags))


def texts(folder):
    """The text of each file in a folder, by its path."""
    paths = [path for path in folder.rglob("*.*") if path.is_file()]
    return {path: path.read_text() for path in paths}


def test_runs_become_a_record_a_table_and_a_head(configs, tmp_path, make_run, capsys):
    b, a = make_run("b", sorting_metrics(1, 0.1)), make_run("a", sorting_metrics(0))
    report(configs, row="sorting_n5", runs=[b, a])
    record = records.read(str(configs), "sorting_n5")
    assert [r["flags"] for r in record] == [{"seed": 0, "n": 5}, {"seed": 1, "n": 5}]
    head = (configs / "sorting_n5.cfg").read_text()
    assert head.startswith("# Five numbers.\n# Ours: P.W. / P.A.W., mean of 2 seeds\n")
    assert ".0500 / .1000 in U(0,1)" in head and head.endswith(".cfg\n--n=5\n")
    text = (tmp_path / "RESULTS.md").read_text()
    assert text.startswith("a\n") and text.endswith("\nb")
    assert "| `sorting_n5` | mean of 2 seeds | .0500 / .1000 |" in text
    assert "|  | worst | .1000 / .2000 |" in text
    assert capsys.readouterr().out.count("written") == 2
    report(configs)
    assert "written" not in capsys.readouterr().out

    # One run does not take the place of two.
    with pytest.raises(UserError, match="holds 2 runs"):
        report(configs, row="sorting_n5", runs=[a])
    assert records.read(str(configs), "sorting_n5") == record


def test_nothing_is_written_if_anything_is_wrong(configs, tmp_path, make_run):
    incomplete = sorting_metrics(0)
    del incomplete["intervals"]
    workdir = make_run("run", incomplete)
    before = texts(tmp_path)
    for flags, message in (
        ({"row": "sorting_n5", "runs": [workdir]}, "table sorting lacks 'intervals'"),
        ({"row": "sorting_n5"}, "need each other"),
        ({"configs": str(tmp_path / "none")}, "There are no configs here"),
    ):
        with pytest.raises(UserError, match=message):
            report(configs, **flags)
    assert texts(tmp_path) == before
