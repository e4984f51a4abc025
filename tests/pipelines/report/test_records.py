"""Records, from the metrics of runs."""

import json

import pytest

from pipelines.report import records
from pipelines.shared.errors import UserError
from tests.pipelines.report.metrics import puzzle_metrics, sorting_metrics


def test_runs_that_do_not_belong_to_the_row_are_refused(configs, tmp_path, make_run):
    def collect(row, *workdirs):
        return records.collect_runs(str(configs), row, workdirs)

    one = make_run("one", sorting_metrics(0))
    other = make_run("other", sorting_metrics(1, n=6))
    spoiled = make_run("spoiled", [1])
    with pytest.raises(UserError, match="other is not one of .*--n=6, expected 5"):
        collect("sorting_n5", one, other)
    with pytest.raises(UserError, match="--row=sorting_n7"):
        collect("sorting_n7", one)
    with pytest.raises(UserError, match="metrics.json cannot be read"):
        collect("sorting_n5", str(tmp_path / "none"))
    with pytest.raises(UserError, match="does not hold what it should"):
        collect("sorting_n5", spoiled)
    with pytest.raises(UserError, match="the same seed. Received: --seed=0"):
        collect("sorting_n5", one, one)
    (configs / "sorting_n6.cfg").write_text("--none=6\n")
    with pytest.raises(UserError, match="config cannot be read.*none"):
        collect("sorting_n6", one)
    assert not list(configs.glob("*.json"))


def test_an_evaluation_is_collected_with_its_run(configs, tmp_path, make_run):
    (configs / "jigsaw_a_2x2.cfg").write_text("--dataset=mnist\n")
    # Taken for a pattern it would be another directory.
    workdir = make_run("run[1]", puzzle_metrics(0.1))
    splits = [("b", "test", True), ("c", "validation", False), ("d", "train", False)]
    splits.append(("e", "test[:5]", False))
    for name, split, mirrored in splits:
        flags = {"dataset": name, "split": split, "mirrored": mirrored}
        path = tmp_path / "run[1]" / f"metrics_{name}_{split}.json"
        path.write_text(json.dumps({"l1": 0.5, "flags": flags}))
    (metrics,) = records.collect_runs(str(configs), "jigsaw_a_2x2", [workdir])
    scores = {"l1": 0.5}
    names = ("b mirrored", "c validation", "d train")
    assert metrics["evaluations"] == dict.fromkeys(names, scores)
