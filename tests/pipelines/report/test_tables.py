"""Tables of sorting and assembly."""

from pipelines.report import tables
from tests.pipelines.report.metrics import assembly_metrics


def test_assembly_has_other_digits_and_the_same_apart():
    row = "assembly_mnist"
    record = {row: [assembly_metrics(0.75), assembly_metrics(0.25)]}
    of_paper, ours, worst = tables.assembly(record)[2:]
    assert of_paper.startswith(f"| `{row}` | paper | .851 |  |")
    assert ours == (
        "|  | mean of 2 seeds | .6250 | .5000 | .3750 | .2500 | 1.0000 | .2500 | .5000 | 1.5 |"
    )
    assert worst == (
        "|  | worst | .3750 | .2500 | .1250 | .2500 | 1.0000 | .1250 | .5000 |  |"
    )
    heads, _, *of_judges = tables.assembly_judges(record)
    assert heads == "| row | judge | test digits | hard | soft | hard, 0 | hard, 1 |"
    assert of_judges == [
        "| `assembly_mnist` | dense | .993 | .375 | 1.000 | 1.000 | .250 |",
        "| `assembly_mnist` | convolutional | .993 | .625 | 1.000 | 1.000 | .750 |",
    ]
    assert tables.assembly_pairs(record)[2:] == [
        "| 0 | .500 / 1.000 | 1.000 / 1.000 |",
        "| 1 | .500 / .500 | .500 / 1.000 |",
    ]


def test_records_of_assembly_that_are_older_than_the_panel_are_left_out():
    new, old = assembly_metrics(0.75), assembly_metrics(0.25)
    del old["judges"]
    record = {"assembly_mnist": [old], "assembly_mnist_paper": [new, old]}
    for table in (tables.assembly, tables.assembly_judges):
        assert len(table(record)) == 2
    assert tables.assembly_pairs(record) == []
