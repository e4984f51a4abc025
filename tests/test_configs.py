"""The configs, their records, and the page of results."""

import pathlib

import pytest

from pipelines.report import heads, records, tables
from pipelines.report.pages import with_tables
from pipelines.shared import options

ROOT = pathlib.Path(__file__).parent.parent
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


def test_the_tables_show_the_records():
    text = (ROOT / "RESULTS.md").read_text()
    assert with_tables(text, {row: records.read(CONFIGS, row) for row in ROWS}) == text
    for name in tables.TABLES:
        assert f"<!-- table: {name} -->" in text


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
