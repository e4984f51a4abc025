import json

import pytest
from absl.testing import flagsaver
from pipelines.errors import UserError

from pipelines import lists
from pipelines.report import __main__ as program
from pipelines.report import formats, heads, paper, records, tables
from pipelines.report.__main__ import with_tables

program.FLAGS.mark_as_parsed()


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
    """A directory with a config and a file of results without a number yet."""
    folder = tmp_path / "configs"
    folder.mkdir()
    (folder / "sorting_n5.cfg").write_text("# Five numbers.\n--n=5\n")
    (tmp_path / "RESULTS.md").write_text("a\n<!-- table: sorting -->\n<!-- end -->\nb")
    return folder


def run(tmp_path, name, content):
    folder = tmp_path / name
    folder.mkdir()
    (folder / "metrics.json").write_text(json.dumps(content))
    return str(folder)


def report(folder, **given):
    files = {"configs": str(folder), "results": str(folder.parent / "RESULTS.md")}
    with flagsaver.flagsaver(**files | given):
        program.main()


def test_runs_become_a_record_a_table_and_a_head(configs, tmp_path, capsys):
    b, a = run(tmp_path, "b", metrics(1, 0.1)), run(tmp_path, "a", metrics(0))
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


def test_runs_that_do_not_belong_to_the_row_are_refused(configs, tmp_path):
    one = run(tmp_path, "one", metrics(0))
    other = run(tmp_path, "other", metrics(1, n=6))
    spoiled = run(tmp_path, "spoiled", [1])
    gather = lambda row, *workdirs: records.gathered(str(configs), row, workdirs)
    with pytest.raises(UserError, match="other is not one of .*--n=6, expected 5"):
        gather("sorting_n5", one, other)
    with pytest.raises(UserError, match="--row=sorting_n7"):
        gather("sorting_n7", one)
    with pytest.raises(UserError, match="metrics.json cannot be read"):
        gather("sorting_n5", str(tmp_path / "none"))
    with pytest.raises(UserError, match="does not hold what it should"):
        gather("sorting_n5", spoiled)
    with pytest.raises(UserError, match="the same seed. Received: --seed=0"):
        gather("sorting_n5", one, one)
    (configs / "sorting_n6.cfg").write_text("--none=6\n")
    with pytest.raises(UserError, match="config cannot be read.*none"):
        gather("sorting_n6", one)
    assert not list(configs.glob("*.json"))


def test_nothing_is_written_if_anything_is_wrong(configs, tmp_path):
    lacking = metrics(0)
    del lacking["intervals"]
    workdir = run(tmp_path, "run", lacking)
    before = {
        path: path.read_text() for path in tmp_path.rglob("*.*") if path.is_file()
    }
    for given, message in (
        ({"row": "sorting_n5", "runs": [workdir]}, "table sorting lacks 'intervals'"),
        ({"row": "sorting_n5"}, "need each other"),
        ({"configs": str(tmp_path / "none")}, "There are no configs here"),
    ):
        with pytest.raises(UserError, match=message):
            report(configs, **given)
    after = {path: path.read_text() for path in tmp_path.rglob("*.*") if path.is_file()}
    assert after == before


@pytest.mark.parametrize(
    "text, message",
    [
        ("<!-- table: sorting -->\nprose", "no <!-- end --> after the table sorting"),
        (
            "<!-- table: sorting -->\n<!-- table: jigsaw -->\n<!-- end -->",
            "no <!-- end --> after the table sorting",
        ),
        ("<!-- table: none -->\n<!-- end -->", "unknown table. Received: none"),
    ],
)
def test_marks_that_do_not_match_are_refused(text, message):
    with pytest.raises(UserError, match=message):
        with_tables(text, {})


def test_the_processors_of_records_stand_below_their_table():
    records = {f"sorting_n{n}": [metrics(0), metrics(1)] for n in (5, 6, 7)}
    text = "<!-- table: sorting -->\n<!-- end -->"
    lines = with_tables(text, records).splitlines()
    assert lines[-3] == "" and lines[-4].startswith("| ")
    assert lines[-2] == f"Processor: not recorded. {formats.DIFFERENCE}"
    for number, accelerators in enumerate(([], ["GPU A"])):
        cpu = {"cpu": "CPU B", "accelerators": accelerators}
        records["sorting_n6"][number]["processor"] = cpu
    assert with_tables(text, records).splitlines()[-2] == (
        "Processor: CPU B (`sorting_n6`); CPU B with GPU A (`sorting_n6`); not recorded "
        f"(the other rows). {formats.DIFFERENCE}"
    )
    only = {"sorting_n6": records["sorting_n6"][:1]}
    line = with_tables(text, only).splitlines()[-2]
    assert line == f"Processor: CPU B. {formats.DIFFERENCE}"
    # Nothing stands below a table without rows.
    assert with_tables(text, {}).count("\n\n") == 0
    # Runs on different machines have means all the same.
    assert "processor" not in formats.mean_run(records["sorting_n6"])


def test_a_head_keeps_what_it_did_not_make():
    text = "# One.\n#\n# Two.\n\n-n=5\n// said\n# in between\n  --steps=3\n"
    head = heads.renewed(text, "sorting_n5", [])
    command = (
        "# Command: python -m pipelines.sorting --flagfile=configs/sorting_n5.cfg\n"
    )
    assert head == text.replace("Two.\n", f"Two.\n{command}")
    assert heads.renewed(head, "sorting_n5", []) == head


@pytest.mark.parametrize(
    "value, shown",
    [(0, "0"), (0.5, ".5000"), (1.0, "1.0000"), (0.00001, "<.0001")],
)
def test_shares_are_written_as_in_the_papers(value, shown):
    assert formats.share(value) == shown


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
        "cross_entropy": 0.5,
        "l1": 0.25,
        "l2": 0.5,
        "n_examples": n,
        "seconds": {"training": 90.0},
        "flags": {"seed": 0, "loss": "cross_entropy", "crop": True, "averaging": 0.99},
    }


def test_puzzles_stand_beside_the_paper_with_intervals():
    row = "jigsaw_mnist_3x3_context"
    found = {row: [puzzle_metrics(0.08), puzzle_metrics(0.12)]}
    # What only one of the seeds has does not matter here.
    found[row][0]["evaluations"] = {"celeba": puzzle_metrics(0.1)}
    (line,) = tables.jigsaw(found)[2:]
    assert line.startswith(f"| `{row}` | .100 (.080 to .120) | .400 (.367 to .434) |")
    assert line.endswith("| .09 / .28 / .83 | cross entropy |")
    (line,) = tables.jigsaw_by_content(found)[2:]
    assert line.endswith("| .250 | .500 | .0 / .0 | 800 | 1.5 |")
    head = heads.renewed("# Nine pieces.\n--grid=3\n", row, found[row])
    assert "# Paper: P.W. .09, P.A.W. .28, Kendall tau .83\n" in head
    assert "# Ours: P.W. .100, P.A.W. .400, Kendall tau .900; 1.5 minutes" in head


def test_no_wrong_puzzle_among_many_is_not_certainty():
    for name in ("proportion_any_wrong", "proportion_wrong"):
        found = formats.interval(puzzle_metrics(0.0, n=100), name)
        assert found == ".000 (.000 to .037)"
    found = formats.interval(puzzle_metrics(0.01), "proportion_wrong")
    assert found == ".010 (.000 to .030)"


def test_assembly_has_other_digits_and_the_same_apart():
    def metrics(hard):
        kind = lambda x: {
            "acceptance": x,
            "same_digit": x / 2,
            "table": [[x, 1.0], [0.5, x]],
        }
        return {
            "hard": kind(hard),
            "soft": kind(1.0),
            "judge": {"accuracy": 0.9932},
            "seconds": {"training": 90.0},
            "flags": {"seed": 0},
        }

    row = "assembly_mnist"
    found = {row: [metrics(0.75), metrics(0.25)]}
    paper, ours, worst = tables.assembly(found)[2:]
    assert paper.startswith(f"| `{row}` | paper | .851 |")
    assert ours == (
        "|  | mean of 2 seeds | .5000 | 1.0000 | .2500 | .5000 | .9932 | 1.5 |"
    )
    assert worst.startswith("|  | worst | .2500 | 1.0000 | .1250 |")
    assert tables.assembly_pairs(found)[2:] == [
        "| 0 | .500 / 1.000 | 1.000 / 1.000 |",
        "| 1 | .500 / .500 | .500 / 1.000 |",
    ]
    head = heads.renewed("# Digits.\n--steps=3\n", row, found[row])
    assert "# Ours: .5000, mean of 2 seeds; 1.5 minutes on two cores\n" in head


def test_puzzles_of_other_datasets_and_mirror_images_stand_beside_their_own():
    rows = {}
    for own, others in (("celeba", {"imagenet": 0.3}), ("mnist", {})):
        scores = puzzle_metrics(0.1)
        scores["flags"]["dataset"] = own
        others = {name: puzzle_metrics(wrong) for name, wrong in others.items()}
        scores["evaluations"] = {f"{own} mirrored": puzzle_metrics(0.05), **others}
        rows[f"jigsaw_{own}_3x3_context"] = [scores]
    assert tables.generalisation(rows) == [
        "| P.W. of | on imagenet |",
        "| --- | --- |",
        "| `jigsaw_celeba_3x3_context` | .300 (.280 to .320) |",
    ]
    first, second = tables.mirrored(rows)[2:]
    assert first.startswith("| `jigsaw_mnist_3x3_context` | .100 ")
    assert "| .050 (.030 to .070) | .400 (" in second


def test_an_evaluation_is_gathered_with_its_run(configs, tmp_path):
    (configs / "jigsaw_a_2x2.cfg").write_text("--seed=0\n")
    # Taken for a pattern it would be another directory.
    workdir = run(tmp_path, "run[1]", puzzle_metrics(0.1))
    splits = (("b", "test", True), ("c", "validation", False), ("d", "train", False))
    for name, split, mirrored in splits:
        flags = {"dataset": name, "split": split, "mirrored": mirrored}
        path = tmp_path / "run[1]" / f"metrics_{name}_{split}.json"
        path.write_text(json.dumps({"l1": 0.5, "flags": flags}))
    (found,) = records.gathered(str(configs), "jigsaw_a_2x2", [workdir])
    scores = {"l1": 0.5}
    assert found["evaluations"] == {"b mirrored": scores, "c validation": scores}


def test_a_search_stands_beside_the_settings_by_hand():
    base = "jigsaw_celeba_3x3_paper"
    rows = {row: [puzzle_metrics(0.1)] for row in (base, "jigsaw_mnist_3x3_paper")}
    rows[f"{base}_tuned"] = [puzzle_metrics(0.04), puzzle_metrics(0.06)]
    for number, wrong in ((0, 0.02), (1, 0.04)):
        scores = rows[f"{base}_tuned"][number]
        scores["evaluations"] = {"celeba validation": puzzle_metrics(wrong)}
        scores["flags"] |= {"dataset": "celeba", "seed": number, "averaging": 0.0}
    rows[base][0]["evaluations"] = {"celeba validation": puzzle_metrics(0.08)}
    for row in rows:
        rows[row][0]["flags"]["dataset"] = "celeba"
    by_hand, tuned = tables.search(rows)[2:]
    assert by_hand.startswith(f"| `{base}` | by hand | seed 0 | .080 (.060 to .100) | ")
    assert tuned.startswith(
        f"| `{base}_tuned` | `--averaging=0.0` | mean of 2 seeds | .030 (.010 to .050) |"
    )
    assert tuned.endswith("| .050 (.030 to .070) | .200 (.174 to .229) |")
    # Validation is no other dataset.
    assert len(tables.generalisation(rows)) == 2
    # The task is the paper's.
    assert paper.jigsaw(f"{base}_tuned") == paper.jigsaw(base) != ()


def test_an_ablation_says_what_was_changed():
    base, changed = "ablation/jigsaw_a_3x3_short", "ablation/jigsaw_a_3x3_other"
    rows = {base: [puzzle_metrics(0.1)], changed: [puzzle_metrics(0.2)]}
    rows[changed][0]["flags"] |= {"crop": False, "averaging": 0.0, "seed": 1}
    first, second = tables.jigsaw_ablation(rows)[2:]
    assert first.startswith(f"| `{base}` |  | .100 (.080 to .120) |")
    assert second.startswith(f"| `{changed}` | `--nocrop` `--averaging=0.0` | .200 ")
