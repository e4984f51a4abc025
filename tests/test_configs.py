import json
import pathlib

import pytest

from pipelines import jigsaw

ROOT = pathlib.Path(__file__).parent.parent
ROWS = sorted(path.stem for path in (ROOT / "configs").glob("*.cfg"))


@pytest.mark.parametrize("row", ROWS)
def test_a_config_parses_to_the_flags_of_its_record(row):
    expected = {name: jigsaw.FLAGS[name].default for name in jigsaw.FLAGS}
    for line in (ROOT / f"configs/{row}.cfg").read_text().splitlines():
        if not line.startswith("#"):
            name, value = line.removeprefix("--").split("=")
            expected[name] = jigsaw.FLAGS[name].parser.parse(value)
    record = json.loads((ROOT / f"configs/{row}.json").read_text())
    assert len(record["flags"].pop("training_images")) == 64
    for name, value in record["flags"].items():
        assert expected[name] == value, name


@pytest.mark.parametrize("row", ROWS)
def test_the_tables_and_heads_show_the_record(row):
    record = json.loads((ROOT / f"configs/{row}.json").read_text())
    shown = [
        f"{record[name]:.3f}".lstrip("0")
        for name in ("proportion_wrong", "proportion_any_wrong", "kendall_tau")
    ]
    head = (ROOT / f"configs/{row}.cfg").read_text()
    (line,) = (
        line
        for line in (ROOT / "RESULTS.md").read_text().splitlines()
        if line.startswith(f"| `{row}`")
    )
    for number in shown:
        assert number in head
        assert f"| {number} |" in line
