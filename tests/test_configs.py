import json
import pathlib
import subprocess
import sys

import pytest

from pipelines.report import records, tables
from pipelines.report.__main__ import with_tables

ROOT = pathlib.Path(__file__).parent.parent
CONFIGS = str(ROOT / "configs")
ROWS = records.rows(CONFIGS)
# Two programs in one process would define the same flags.
PARSE = """
import importlib, json, sys
from absl.testing import flagsaver

program, *rows = sys.argv[1:]
program = importlib.import_module(f"pipelines.{program}")
found = {}
for row in rows:
    with flagsaver.flagsaver():
        program.FLAGS(["program", f"--flagfile=configs/{row}.cfg"])
        getattr(program, "complete_flags", lambda: None)()
        found[row] = {name: program.FLAGS[name].value for name in program.FLAGS}
print(json.dumps(found, default=str))
"""


def program_of(row):
    return "sorting" if "sorting" in row else "jigsaw"


@pytest.fixture(scope="module")
def parsed():
    """The values of all flags with each config."""
    found = {}
    for program in {program_of(row) for row in ROWS}:
        rows = [row for row in ROWS if program_of(row) == program]
        ended = subprocess.run(
            [sys.executable, "-c", PARSE, program, *rows],
            cwd=ROOT,
            check=False,
            capture_output=True,
            text=True,
        )
        assert ended.returncode == 0, ended.stderr
        found |= json.loads(ended.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("row", ROWS)
def test_a_config_parses_to_the_flags_of_its_record(row, parsed):
    record = records.read(CONFIGS, row)
    assert record
    for number, metrics in enumerate(record):
        flags = dict(metrics["flags"])
        assert flags.pop("seed") == number
        if program_of(row) == "jigsaw":
            assert len(flags.pop("training_images")) == 64
        for name, value in flags.items():
            assert parsed[row][name] == value, name


def test_the_tables_show_the_records():
    text = (ROOT / "RESULTS.md").read_text()
    assert with_tables(text, CONFIGS) == text
    for name in tables.TABLES:
        assert f"<!-- table: {name} -->" in text


@pytest.mark.parametrize("row", ROWS)
def test_a_head_states_numbers_and_command(row):
    head = pathlib.Path(records.config_path(CONFIGS, row)).read_text()
    command = f"python -m pipelines.{program_of(row)} --flagfile=configs/{row}.cfg"
    assert f"# Command: {command}\n" in head
    assert "# Ours: " in head
    assert head.startswith("# ")
