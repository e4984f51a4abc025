"""Tables between their marks in a page."""

import pytest

from pipelines.report import formats
from pipelines.report.pages import with_tables
from pipelines.shared.errors import UserError
from tests.pipelines.report.metrics import sorting_metrics


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
    rows = {
        f"sorting_n{n}": [sorting_metrics(0), sorting_metrics(1)] for n in (5, 6, 7)
    }
    text = "<!-- table: sorting -->\n<!-- end -->"
    lines = with_tables(text, rows).splitlines()
    assert lines[-3] == "" and lines[-4].startswith("| ")
    assert lines[-2] == f"Processor: not recorded. {formats.DIFFERENCE}"
    for number, accelerators in enumerate(([], ["GPU A"])):
        cpu = {"cpu": "CPU B", "accelerators": accelerators}
        rows["sorting_n6"][number]["processor"] = cpu
    assert with_tables(text, rows).splitlines()[-2] == (
        "Processor: CPU B (`sorting_n6`); CPU B with GPU A (`sorting_n6`); not recorded "
        f"(the other rows). {formats.DIFFERENCE}"
    )
    only = {"sorting_n6": rows["sorting_n6"][:1]}
    line = with_tables(text, only).splitlines()[-2]
    assert line == f"Processor: CPU B. {formats.DIFFERENCE}"
    # Nothing stands below a table without rows.
    assert with_tables(text, {}).count("\n\n") == 0
    # Runs on different machines have means all the same.
    assert "processor" not in formats.mean_run(rows["sorting_n6"])


def test_names_of_rows_link_to_the_list_of_rows():
    rows = {"sorting_n5": [sorting_metrics(0), sorting_metrics(1)]}
    for table in ("sorting", "sorting_by_index"):
        text = f"`sorting_n5`\n<!-- table: {table} -->\n<!-- end -->"
        linked = with_tables(text, rows, has_links=True)
        link = "[`sorting_n5`](records.md#sorting_n5)"
        assert linked.count(link) == 1 and f"\n| {link} | " in linked
        plain = with_tables(text, rows)
        assert linked.replace(link, "`sorting_n5`") == plain
        # A second pass finds the same rows.
        assert with_tables(linked, rows, has_links=True) == linked
