"""Tables of jigsaw puzzles."""

import pytest

from pipelines.report import jigsaw_tables, paper
from tests.pipelines.report.metrics import puzzle_metrics


def test_puzzles_stand_beside_the_paper_with_intervals():
    row = "jigsaw_mnist_3x3_context"
    (line,) = jigsaw_tables.scores({row: [puzzle_metrics(0.1)]})[2:]
    assert line.startswith(
        f"| `{row}` | seed 0 | .100 (.080 to .120) | .400 (.367 to .434) |"
    )
    assert line.endswith("| .09 / .28 / .83 | cross entropy |")
    (line,) = jigsaw_tables.by_content({row: [puzzle_metrics(0.1)]})[2:]
    assert line.startswith(f"| `{row}` | seed 0 | .900 | .600 | .900 | .600 |")
    assert line.endswith("| .250 | .500 | .0 / .0 | 800 | 1.5 |")


def test_the_worst_of_several_seeds_has_a_line_of_its_own():
    record = [
        puzzle_metrics(wrong, seed=seed) for seed, wrong in enumerate((0.08, 0.12))
    ]
    # The worst values need not be those of one seed.
    record[0] |= {"kendall_tau": 0.7, "l1": 0.75}
    # An evaluation that only one of the seeds has does not matter here.
    record[0]["evaluations"] = {"celeba": puzzle_metrics(0.1)}
    rows = {"jigsaw_mnist_3x3_context": record}
    mean, worst = jigsaw_tables.scores(rows)[2:]
    assert " | mean of 2 seeds | .100 (.000 to " in mean
    assert worst == "|  | worst | .120 | .480 | .700 |  |  |  |"
    mean, worst = jigsaw_tables.by_content(rows)[2:]
    assert " | mean of 2 seeds | .900 | .600 | .900 | .600 | .500 | .500 |" in mean
    assert worst == "|  | worst | .880 | .520 | .880 | .520 | .750 | .500 |  |  |  |"


def test_errors_on_the_training_puzzles_stand_beside_those_on_the_test():
    def run(wrong, on_train, seed):
        metrics = puzzle_metrics(wrong, seed=seed)
        return {**metrics, "evaluations": {"mnist train": puzzle_metrics(on_train)}}

    without = puzzle_metrics(0.2, seed=2)
    rows = {
        "jigsaw_mnist_3x3_paper": [run(0.1, 0.05, 0), without],
        "jigsaw_mnist_7x7_paper": [run(0.1, 0.05, 0), run(0.14, 0.07, 1), without],
        # These have no such line.
        "jigsaw_mnist_3x3_context": [run(0.1, 0.05, 0)],
        "jigsaw_mnist_4x4_paper": [without],
    }
    one, two = jigsaw_tables.fit(rows)[2:]
    assert one == (
        "| `jigsaw_mnist_3x3_paper` | seed 0 "
        "| .050 (.030 to .070) | .100 (.080 to .120) | .09 "
        "| .200 (.174 to .229) | .400 (.367 to .434) | .28 |"
    )
    # A run that was not measured on the training puzzles is left out of both columns.
    assert two.startswith("| `jigsaw_mnist_7x7_paper` | mean of 2 seeds | .060 (")
    assert " | .120 (" in two and two.endswith(" |  |")


def test_puzzles_of_other_datasets_and_mirror_images_stand_beside_their_own():
    rows = {}
    for own, others in (("celeba", {"imagenet": 0.3}), ("mnist", {})):
        scores = puzzle_metrics(0.1, dataset=own)
        others |= {f"{own} train": 0.2, "photos train": 0.2, f"{own} mirrored": 0.05}
        scores["evaluations"] = {
            k: puzzle_metrics(wrong) for k, wrong in others.items()
        }
        rows[f"jigsaw_{own}_3x3_context"] = [scores]
    assert jigsaw_tables.generalisation(rows) == [
        "| P.W. of |  | on imagenet |",
        "| --- | --- | --- |",
        "| `jigsaw_celeba_3x3_context` | seed 0 | .300 (.280 to .320) |",
    ]
    # A run that was measured on fewer datasets does not count.
    fewer = puzzle_metrics(0.4, dataset="celeba")
    fewer["flags"] |= {"seed": 1}
    known = rows["jigsaw_celeba_3x3_context"]
    assert jigsaw_tables.generalisation(
        {"jigsaw_celeba_3x3_context": [*known, fewer]}
    ) == jigsaw_tables.generalisation(rows)
    first, second = jigsaw_tables.mirrored(rows)[2:]
    assert first.startswith("| `jigsaw_mnist_3x3_context` | seed 0 | .100 ")
    assert "| .050 (.030 to .070) | .400 (" in second


@pytest.mark.parametrize(
    "table", [jigsaw_tables.generalisation, jigsaw_tables.mirrored]
)
def test_evaluations_have_the_spread_over_their_seeds(table):
    record = [puzzle_metrics(0.1, seed=seed) for seed in (0, 1, 2)]
    for run, elsewhere in zip(record, (0.4, 0.6), strict=False):
        names = ("photos", "mnist mirrored")
        run["evaluations"] = dict.fromkeys(names, puzzle_metrics(elsewhere / 4))
    # The third has no evaluation: its own score is not compared either.
    record[2]["proportion_wrong"] = 0.9
    (line,) = table({"jigsaw_mnist_3x3_context": record})[2:]
    assert "| mean of 2 seeds |" in line and ".900" not in line
    # Of two seeds that differ by .05 little can be said.
    assert ".125 (.000 to .5" in line
    if table is jigsaw_tables.mirrored:
        assert "| .100 (.080 to .120) |" in line


def test_a_search_stands_beside_the_settings_by_hand():
    base = "jigsaw_celeba_3x3_paper"
    own = {"dataset": "celeba"}
    rows = {
        row: [puzzle_metrics(0.1, **own)] for row in (base, "jigsaw_mnist_3x3_paper")
    }
    tuned = f"{base}_tuned"
    rows[tuned] = []
    for seed, wrong in ((0, 0.02), (1, 0.04)):
        scores = puzzle_metrics(wrong + 0.02, **own, seed=seed, averaging=0.0)
        scores["evaluations"] = {"celeba validation": puzzle_metrics(wrong)}
        rows[tuned].append(scores)
    rows[base][0]["evaluations"] = {"celeba validation": puzzle_metrics(0.08)}
    by_hand, by_search = jigsaw_tables.search(rows)[2:]
    assert by_hand.startswith(f"| `{base}` | by hand | seed 0 | .080 (.060 to .100) | ")
    assert by_search.startswith(
        f"| `{tuned}` | `--averaging=0.0` | mean of 2 seeds | .030 (.000 to .1"
    )
    # Validation is no other dataset.
    assert len(jigsaw_tables.generalisation(rows)) == 2
    # The task is the paper's.
    assert paper.jigsaw(tuned) == paper.jigsaw(base) != ()
    del rows[base][0]["evaluations"]
    with pytest.raises(KeyError, match="celeba validation"):
        jigsaw_tables.search(rows)


def test_an_ablation_says_what_was_changed():
    base, changed = "ablation/jigsaw_a_3x3_short", "ablation/jigsaw_a_3x3_other"
    rows = {base: [puzzle_metrics(0.1)]}
    rows[changed] = [puzzle_metrics(0.2, crop=False, averaging=0.0, seed=1)]
    first, second = jigsaw_tables.ablation(rows)[2:]
    assert first.startswith(f"| `{base}` |  | seed 0 | .100 (.080 to .120) |")
    assert second.startswith(
        f"| `{changed}` | `--nocrop` `--averaging=0.0` | seed 1 | .200 "
    )
