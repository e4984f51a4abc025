import pathlib

import pytest

from pipelines.report import heads, records, tables
from pipelines.report.__main__ import with_tables

ROOT = pathlib.Path(__file__).parent.parent
CONFIGS = str(ROOT / "configs")
ROWS = records.rows(CONFIGS)


@pytest.fixture(scope="module")
def expected():
    return records.expected_flags(CONFIGS, ROWS)


@pytest.mark.parametrize("row", ROWS)
def test_a_config_parses_to_the_flags_of_its_record(row, expected):
    record = records.read(CONFIGS, row)
    assert record
    for number, metrics in enumerate(record):
        flags = dict(metrics["flags"])
        assert flags.pop("seed") == number
        if records.program(row) in ("jigsaw", "assembly"):
            assert len(flags.pop("training_images")) == 64
        for name, value in flags.items():
            assert expected[row][name] == value, name


def test_the_tables_show_the_records():
    text = (ROOT / "RESULTS.md").read_text()
    assert with_tables(text, {row: records.read(CONFIGS, row) for row in ROWS}) == text
    for name in tables.TABLES:
        assert f"<!-- table: {name} -->" in text


@pytest.mark.parametrize("row", ROWS)
def test_a_head_states_numbers_and_command(row):
    head = pathlib.Path(records.config_path(CONFIGS, row)).read_text()
    assert head.startswith("# ") and "\n# Ours: " in head
    assert heads.renewed(head, row, records.read(CONFIGS, row)) == head
    command = f"python -m pipelines.{records.program(row)} --flagfile=configs/{row}.cfg"
    assert f"# Command: {command}\n" in head
