"""The whole program, on a directory of one config."""

import pytest

from pipelines.report import records
from pipelines.report.__main__ import main
from pipelines.report.config import ReportConfig
from pipelines.shared.errors import UserError
from tests.pipelines.programs import run_with
from tests.pipelines.report.metrics import assembly_metrics, sorting_metrics


def report(folder, **flags):
    places = {"configs": str(folder), "results": [str(folder.parent / "RESULTS.md")]}
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


def test_a_folder_of_pages_has_a_list_of_rows_to_which_the_tables_link(
    configs, tmp_path, make_run, capsys
):
    folder = tmp_path / "docs" / "results"
    folder.mkdir(parents=True)
    table = "<!-- table: {} -->\n<!-- end -->\n"
    for name in ("sorting", "sorting_by_index"):
        (folder / f"{name}.md").write_text(f"# A\n\n{table.format(name)}")
    (folder / "prose.md").write_text("# B\n")
    run = make_run("a", sorting_metrics(0))
    report(configs, row="sorting_n5", runs=[run], results=[str(folder)])
    # The two pages with tables, the list of rows, and the head.
    assert capsys.readouterr().out.count("written") == 4
    for name in ("sorting", "sorting_by_index"):
        text = (folder / f"{name}.md").read_text()
        assert text.startswith("# A\n")
        assert "| [`sorting_n5`](records.md#sorting_n5) |" in text
    rows = (folder / "records.md").read_text()
    assert "\n### `sorting_n5`\n" in rows
    assert "[sorting_n5.json](../../configs/sorting_n5.json)" in rows
    # A page of that folder alone has the same text.
    report(configs, results=[str(folder)])
    report(configs, results=[str(folder / "sorting.md"), str(folder / "prose.md")])
    assert "written" not in capsys.readouterr().out
    # Elsewhere there is no list to link to.
    report(configs)
    assert "records.md" not in (tmp_path / "RESULTS.md").read_text()


def test_runs_join_the_record_that_exists(configs, make_run):
    def wrong():
        record = records.read(str(configs), "sorting_n5")
        return {r["flags"]["seed"]: r["intervals"]["U(0,1)"][name] for r in record}

    name = "proportion_wrong"
    report(configs, row="sorting_n5", runs=[make_run("b", sorting_metrics(1, 0.1))])
    assert wrong() == {1: 0.1}
    report(configs, row="sorting_n5", runs=[make_run("a", sorting_metrics(0, 0.2))])
    assert list(wrong().items()) == [(0, 0.2), (1, 0.1)]
    again, third = sorting_metrics(1, 0.3), sorting_metrics(2, 0.4)
    runs = [make_run("c", third), make_run("d", again)]
    report(configs, row="sorting_n5", runs=runs)
    assert list(wrong().items()) == [(0, 0.2), (1, 0.3), (2, 0.4)]


def test_a_run_that_stays_is_one_of_the_present_config(configs, tmp_path, make_run):
    runs = [make_run(f"old{seed}", sorting_metrics(seed)) for seed in (0, 1)]
    report(configs, row="sorting_n5", runs=runs)
    # The old runs know nothing of this setting.
    (configs / "sorting_n5.cfg").write_text("# Five numbers.\n--n=5\n--n_iters=7\n")
    report(configs, row="sorting_n5", runs=[make_run("new1", sorting_metrics(1))])
    (configs / "sorting_n5.cfg").write_text("# Six numbers.\n--n=6\n")
    new = [make_run(f"six{seed}", sorting_metrics(seed, n=6)) for seed in (0, 1)]
    before = texts(tmp_path)
    message = r"seed 0 in \S*sorting_n5.json .* remove .* --n=5, expected 6"
    with pytest.raises(UserError, match=message):
        report(configs, row="sorting_n5", runs=new[1:])
    assert texts(tmp_path) == before
    # Nothing stays where all of them are replaced.
    report(configs, row="sorting_n5", runs=new)
    record = records.read(str(configs), "sorting_n5")
    assert [run["flags"] for run in record] == [{"seed": s, "n": 6} for s in (0, 1)]


def test_a_run_of_one_judge_does_not_stay_beside_those_of_a_panel(configs, make_run):
    (configs / "assembly_mnist.cfg").write_text("# Digits.\n--dataset=mnist\n")
    old, new = assembly_metrics(0.5), assembly_metrics(0.75)
    del old["judges"]
    report(configs, row="assembly_mnist", runs=[make_run("old", old)])
    new["flags"]["seed"] = 1
    with pytest.raises(
        UserError, match="remove that record first. Received: one judge"
    ):
        report(configs, row="assembly_mnist", runs=[make_run("new", new)])
    new["flags"]["seed"] = 0
    report(configs, row="assembly_mnist", runs=[make_run("again", new)])
    assert records.read(str(configs), "assembly_mnist")[0]["judges"]


def test_nothing_is_written_if_anything_is_wrong(configs, tmp_path, make_run):
    incomplete = sorting_metrics(0)
    del incomplete["intervals"]
    workdir = make_run("run", incomplete)
    before = texts(tmp_path)
    for flags, message in (
        ({"row": "sorting_n5", "runs": [workdir]}, "table sorting lacks 'intervals'"),
        ({"row": "sorting_n5"}, "need each other"),
        ({"configs": str(tmp_path / "none")}, "There are no configs here"),
        ({"results": [str(configs)]}, "There are no pages here. .*--results="),
    ):
        with pytest.raises(UserError, match=message):
            report(configs, **flags)
    assert texts(tmp_path) == before
