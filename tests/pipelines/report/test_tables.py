"""Tables of records."""

from pipelines.report import paper, tables
from tests.pipelines.report.metrics import assembly_metrics, puzzle_metrics


def test_puzzles_stand_beside_the_paper_with_intervals():
    row = "jigsaw_mnist_3x3_context"
    record = {row: [puzzle_metrics(0.08), puzzle_metrics(0.12)]}
    # An evaluation that only one of the seeds has does not matter here.
    record[row][0]["evaluations"] = {"celeba": puzzle_metrics(0.1)}
    (line,) = tables.jigsaw(record)[2:]
    assert line.startswith(f"| `{row}` | .100 (.080 to .120) | .400 (.367 to .434) |")
    assert line.endswith("| .09 / .28 / .83 | cross entropy |")
    (line,) = tables.jigsaw_by_content(record)[2:]
    assert line.endswith("| .250 | .500 | .0 / .0 | 800 | 1.5 |")


def test_assembly_has_other_digits_and_the_same_apart():
    row = "assembly_mnist"
    record = {row: [assembly_metrics(0.75), assembly_metrics(0.25)]}
    of_paper, ours, worst = tables.assembly(record)[2:]
    assert of_paper.startswith(f"| `{row}` | paper | .851 |")
    assert ours == (
        "|  | mean of 2 seeds | .5000 | 1.0000 | .2500 | .5000 | .9932 | 1.5 |"
    )
    assert worst.startswith("|  | worst | .2500 | 1.0000 | .1250 |")
    assert tables.assembly_pairs(record)[2:] == [
        "| 0 | .500 / 1.000 | 1.000 / 1.000 |",
        "| 1 | .500 / .500 | .500 / 1.000 |",
    ]


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
