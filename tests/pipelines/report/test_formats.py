"""Numbers as text."""

import pytest

from pipelines.report import formats
from tests.pipelines.report.metrics import puzzle_metrics


@pytest.mark.parametrize(
    "value, text",
    [(0, "0"), (0.5, ".5000"), (1.0, "1.0000"), (0.00001, "<.0001")],
)
def test_shares_are_written_as_in_the_papers(value, text):
    assert formats.share(value) == text


def test_no_wrong_puzzle_among_many_is_not_certainty():
    for name in ("proportion_any_wrong", "proportion_wrong"):
        text = formats.interval(puzzle_metrics(0.0, n=100), name)
        assert text == ".000 (.000 to .037)"
    text = formats.interval(puzzle_metrics(0.01), "proportion_wrong")
    assert text == ".010 (.000 to .030)"
