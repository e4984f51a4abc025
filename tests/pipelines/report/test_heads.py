"""Heads of configs."""

from pipelines.report import heads
from tests.pipelines.report.metrics import assembly_metrics, puzzle_metrics


def test_a_head_keeps_the_lines_of_its_author():
    text = "# One.\n#\n# Two.\n\n-n=5\n// said\n# in between\n  --steps=3\n"
    head = heads.update_head(text, "sorting_n5", [])
    command = (
        "# Command: python -m pipelines.sorting --flagfile=configs/sorting_n5.cfg\n"
    )
    assert head == text.replace("Two.\n", f"Two.\n{command}")
    assert heads.update_head(head, "sorting_n5", []) == head


def test_the_head_of_a_puzzle_states_the_numbers_of_the_paper_and_ours():
    record = [puzzle_metrics(0.08), puzzle_metrics(0.12)]
    row = "jigsaw_mnist_3x3_context"
    head = heads.update_head("# Nine pieces.\n--grid=3\n", row, record)
    assert "# Paper: P.W. .09, P.A.W. .28, Kendall tau .83\n" in head
    ours = "# Ours: P.W. .100, P.A.W. .400, Kendall tau .900"
    assert f"{ours}, mean of 2 seeds; 1.5 minutes" in head
    head = heads.update_head(head, row, [puzzle_metrics(0.1)])
    assert f"{ours}; 1.5 minutes" in head


def test_the_head_of_an_assembly_states_our_mean():
    record = [assembly_metrics(0.75), assembly_metrics(0.25)]
    head = heads.update_head("# Digits.\n--steps=3\n", "assembly_mnist", record)
    ours = (
        ".6250 by a judge of that kind, .5000 by 2 judges, mean of 2 seeds; 1.5 minutes"
    )
    assert f"# Ours: {ours} on two cores\n" in head
