"""Tables of sorting and assembly."""

from pipelines.report import tables
from tests.pipelines.report.metrics import assembly_metrics


def test_assembly_has_other_digits_and_the_same_apart():
    row = "assembly_mnist"
    record = {row: [assembly_metrics(0.75), assembly_metrics(0.25)]}
    of_paper, ours, worst = tables.assembly(record)[2:]
    assert of_paper.startswith(f"| `{row}` | paper | 1 | .851 |")
    assert ours == (
        "|  | mean of 2 seeds | 2 | .5000 | .3750 | 1.0000 | .2500 | .5000 | .2500 | 1.5 |"
    )
    assert worst == (
        "|  | worst | 2 | .2500 | .1250 | 1.0000 | .1250 | .5000 | .2500 |  |"
    )
    assert tables.assembly_judges(record)[2:] == [
        "| `assembly_mnist` | dense | .993 | .375 | 1.000 | 1.000 | .250 |",
        "| `assembly_mnist` | convolutional | .993 | .625 | 1.000 | 1.000 | .750 |",
    ]
    assert tables.assembly_pairs(record)[2:] == [
        "| 0 | .500 / 1.000 | 1.000 / 1.000 |",
        "| 1 | .500 / .500 | .500 / 1.000 |",
    ]
