"""Numbers as text."""

import pytest

from pipelines.report import formats
from tests.pipelines.report.metrics import sorting_metrics


@pytest.mark.parametrize(
    "value, text",
    [(0, "0"), (0.5, ".5000"), (1.0, "1.0000"), (0.00001, "<.0001")],
)
def test_shares_are_written_as_in_the_papers(value, text):
    assert formats.share(value) == text


def test_a_single_run_is_called_by_its_seed():
    assert formats.runs_of([sorting_metrics(2)]) == "seed 2"
    assert (
        formats.runs_of([sorting_metrics(2), sorting_metrics(4)]) == "mean of 2 seeds"
    )
