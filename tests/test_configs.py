"""The configs, their records, and the pages of results."""

import pathlib
import re

import pytest

from pipelines.report import heads, pages, records, tables
from pipelines.report.config import ReportConfig
from pipelines.shared import options

ROOT = pathlib.Path(__file__).parent.parent
RESULTS = ROOT / "docs" / "results"
CONFIGS = str(ROOT / "configs")
ROWS = records.rows(CONFIGS)


@pytest.mark.parametrize("row", ROWS)
def test_a_config_parses_to_the_flags_of_its_record(row):
    expected = options.values(records.expected_config(CONFIGS, row))
    record = records.read(CONFIGS, row)
    assert record
    for number, metrics in enumerate(record):
        flags = dict(metrics["flags"])
        assert flags.pop("seed") == number
        if records.program(row) in ("jigsaw", "assembly"):
            assert len(flags.pop("training_images")) == 64
            if flags.get("recipe") == "template":
                assert len(flags.pop("templates")) == 64
        for name, value in flags.items():
            assert expected[name] == value, name


def test_the_pages_show_the_records():
    known = {row: records.read(CONFIGS, row) for row in ROWS}
    texts = pages.texts(ReportConfig(configs=CONFIGS, results=[str(RESULTS)]), known)
    for path, text in texts.items():
        assert pathlib.Path(path).read_text() == text, path
    assert {str(page) for page in RESULTS.glob("*.md")} <= texts.keys()
    # Each table stands on one page.
    of_pages = "".join(texts.values())
    for name in tables.TABLES:
        assert of_pages.count(f"<!-- table: {name} -->") == 1, name


def test_headlines_are_numbers_of_their_pages():
    def headlines(overview):
        """The cells of each row, and the text of the page that the row links to."""
        rows = []
        for line in overview.read_text().splitlines():
            link = re.search(r"\((\S+)\.md\)", line)
            if line.startswith("| ") and link:
                page = overview.parent / f"{link.group(1)}.md"
                rows.append((line.split(" | ")[1:4], page.read_text()))
        return rows

    rows = headlines(RESULTS / "index.md")
    short = [([cell.strip(" |") for cell in cells], text) for cells, text in rows]
    assert headlines(ROOT / "RESULTS.md") == short and len(rows) > 5
    for (_, ours, of_paper), text in short:
        for number in re.findall(r"\.?\d[\d.]*", f"{ours} {of_paper}"):
            assert re.search(rf"(?<![\d.]){re.escape(number)}(?!\d)", text), number


@pytest.mark.parametrize("row", ROWS)
def test_a_head_states_numbers_and_command(row):
    head = pathlib.Path(records.config_path(CONFIGS, row)).read_text()
    assert head.startswith("# ") and "\n# Ours: " in head
    assert heads.update_head(head, row, records.read(CONFIGS, row)) == head
    command = f"python -m pipelines.{records.program(row)} --flagfile=configs/{row}.cfg"
    assert f"# Command: {command}\n" in head


@pytest.mark.parametrize("row", [row for row in ROWS if row.endswith("_tuned")])
def test_a_config_from_a_search_says_so(row):
    base = row.removesuffix("_tuned")
    head = pathlib.Path(records.config_path(CONFIGS, row)).read_text()
    command = f"--flagfile={records.config_path('configs', base)} "
    assert "\n# From a search over " in head
    assert f"\n# python -m pipelines.tune --pipeline=jigsaw {command}" in head
    # Beside it stands what it started from, trained for as many steps.
    before, after = (records.read(CONFIGS, name) for name in (base, row))
    steps = {metrics["flags"]["steps"] for metrics in before + after}
    assert len(steps) == 1 and len(before) == len(after)
