import json

import pytest

from pipelines import lists
from pipelines.errors import UserError
from pipelines.report import heads, records, tables
from pipelines.report.__main__ import with_tables


def metrics(seed, wrong=0.0, **changed):
    scores = {
        "proportion_wrong": wrong,
        "proportion_any_wrong": 2 * wrong,
        "kendall_tau": 1 - wrong,
    }
    interval = {**scores, "by_content": scores, "n_examples_with_ties": 3}
    return {
        "intervals": {name: interval for name in lists.INTERVALS},
        "slopes": {"inversions": 0},
        "seconds": {"training": 90.0},
        "flags": {"seed": seed, "n": 5, "workdir": f"runs/{seed}", **changed},
    }


@pytest.fixture
def configs(tmp_path):
    folder = tmp_path / "configs"
    folder.mkdir()
    (folder / "sorting_n5.cfg").write_text("# Five numbers.\n--n=5\n")
    return folder


def run(tmp_path, name, content):
    folder = tmp_path / name
    folder.mkdir()
    (folder / "metrics.json").write_text(json.dumps(content))
    return str(folder)


def test_runs_become_a_record_a_table_and_a_head(configs, tmp_path):
    workdirs = [run(tmp_path, "b", metrics(1, 0.1)), run(tmp_path, "a", metrics(0))]
    records.gather(str(configs), "sorting_n5", workdirs)
    record = records.read(str(configs), "sorting_n5")
    assert [r["flags"] for r in record] == [{"seed": 0, "n": 5}, {"seed": 1, "n": 5}]
    heads.write(str(configs), "sorting_n5")
    once = (configs / "sorting_n5.cfg").read_text()
    heads.write(str(configs), "sorting_n5")
    assert (configs / "sorting_n5.cfg").read_text() == once
    assert once.startswith("# Five numbers.\n# Ours: P.W. / P.A.W., mean of 2 seeds")
    assert ".0500 / .1000 in U(0,1)" in once and once.endswith("cfg\n--n=5\n")
    text = with_tables("a\n<!-- table: sorting -->\nold\n<!-- end -->\nb", str(configs))
    assert "old" not in text and text.startswith("a\n") and text.endswith("\nb")
    assert "| `sorting_n5` | mean of 2 | .0500 / .1000 |" in text
    assert "|  | worst | .1000 / .2000 |" in text
    assert with_tables(text, str(configs)) == text


def test_runs_that_do_not_belong_together_are_refused(configs, tmp_path):
    one = run(tmp_path, "one", metrics(0))
    other = run(tmp_path, "other", metrics(1, n=6))
    with pytest.raises(UserError, match="--n=6 in .*other"):
        records.gather(str(configs), "sorting_n5", [one, other])
    with pytest.raises(UserError, match="--row=sorting_n7"):
        records.gather(str(configs), "sorting_n7", [one])
    with pytest.raises(UserError, match="metrics.json"):
        records.gather(str(configs), "sorting_n5", [str(tmp_path / "none")])
    assert records.read(str(configs), "sorting_n5") == []


@pytest.mark.parametrize(
    "value, shown",
    [(0, "0"), (0.5, ".5000"), (1.0, "1.0000"), (0.00001, "<.0001")],
)
def test_shares_are_written_as_in_the_papers(value, shown):
    assert tables.share(value) == shown


def puzzle_metrics(wrong, n=800):
    scores = {
        "proportion_wrong": wrong,
        "proportion_any_wrong": 4 * wrong,
        "kendall_tau": 1 - wrong,
        "pieces_right": 1 - wrong,
        "puzzles_right": 1 - 4 * wrong,
    }
    return {
        **scores,
        "by_content": scores,
        "oracle": scores,
        "standard_error": dict.fromkeys(scores, 0.01),
        "l1": 0.25,
        "l2": 0.5,
        "n_examples": n,
        "seconds": {"training": 90.0},
        "flags": {"seed": 0, "loss": "cross_entropy"},
    }


def test_puzzles_stand_beside_the_paper_with_intervals(configs, tmp_path):
    row = "jigsaw_mnist_3x3_context"
    (configs / f"{row}.cfg").write_text("# Nine pieces.\n--grid=3\n")
    workdir = run(tmp_path, "run", puzzle_metrics(0.1))
    records.gather(str(configs), row, [workdir])
    (line,) = tables.jigsaw(str(configs))[2:]
    assert line.startswith(f"| `{row}` | .100 (.080 to .120) | .400 (.367 to .434) |")
    assert line.endswith("| .09 / .28 / .83 | cross entropy |")
    (line,) = tables.jigsaw_by_content(str(configs))[2:]
    assert line.endswith("| .250 | .500 | .0 / .0 | 800 | 1.5 |")
    heads.write(str(configs), row)
    head = (configs / f"{row}.cfg").read_text()
    assert "# Paper: P.W. .09, P.A.W. .28, Kendall tau .83.\n" in head
    assert "# Ours: P.W. .100, P.A.W. .400, Kendall tau .900; 1.5 minutes" in head


def test_no_wrong_puzzle_among_many_is_not_certainty():
    found = tables.interval(puzzle_metrics(0.0, n=100), "proportion_any_wrong")
    assert found == ".000 (.000 to .037)"
