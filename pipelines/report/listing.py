"""The page that lists all rows: the command, the config and the record of each."""

import os
import re

from pipelines.report import formats, heads, records

# The name of the page, in the folder of the pages with tables.
NAME = "records.md"

_BEGINNING = """\
# Records

This page lists every row of the tables: its command, its config, and its record. The config is
a file of flags, `configs/ROW.cfg`. The record, `configs/ROW.json`, holds the metrics of one run
for each seed, with the flags of the run. "SN" is the paper on Sinkhorn networks,
[Mena et al. (2018)](https://arxiv.org/abs/1802.08665). `python -m pipelines.report` writes this
page and all tables from the records.
"""
_TITLES = {
    "sorting": "Sorting",
    "jigsaw": "Jigsaw puzzles",
    "assembly": "Assembly of digits",
}


def page(configs, known, folder):
    """The text of the page.

    Args:
        configs: Directory of the configs.
        known: Dict of rows to records.
        folder: The folder of the page.
    """
    parts = [_BEGINNING]
    for program, title in _TITLES.items():
        of_program = [row for row in known if records.program(row) == program]
        # Rows with one changed setting follow those of the experiment itself.
        rows = sorted(of_program, key=_place)
        if rows:
            parts.append(f"## {title}\n")
            parts += [_section(configs, row, known[row], folder) for row in rows]
    return "\n".join(parts)


def link(row):
    """A row's name as a link to its section, from a page in the same folder."""
    # As hosts of code, and MyST, make anchors of headings.
    anchor = re.sub(r"[^\w-]", "", row.lower())
    return f"[`{row}`]({NAME}#{anchor})"


def _place(row):
    """What rows are sorted by: numbers by their size, not by their digits."""
    return "/" in row, re.sub(r"\d+", lambda digits: digits[0].zfill(4), row)


def _section(configs, row, record, folder):
    config, numbers = (
        records.config_path(configs, row),
        records.record_path(configs, row),
    )
    with open(config, encoding="utf-8") as file:
        comments = heads.comments(file.read())
    lines = [f"### `{row}`", "", "```sh", *comments, heads.command(row), "```", ""]
    links = [_file_link(config, folder)]
    if record:
        links.append(_file_link(numbers, folder))
        runs = formats.runs_of(record).removeprefix("mean of ")
        time = f"{formats.minutes(record)} minutes" + " each" * (len(record) > 1)
        processors = ", ".join(formats.processors_of(record))
        links.append(f"{runs}, {time}, processor: {processors}")
    return "\n".join([*lines, "; ".join(links) + ".", ""])


def _file_link(path, folder):
    target = os.path.relpath(path, folder).replace(os.sep, "/")
    return f"[{os.path.basename(path)}]({target})"
