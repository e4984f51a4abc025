"""The pages that show records: RESULTS.md and the heads of configs."""

import re

from pipelines.report import formats, heads, records, tables
from pipelines.shared import files
from pipelines.shared.errors import UserError


def write(config):
    """Adds runs to the record of a row if any are named, then writes all tables and heads.

    Args:
        config: `ReportConfig`.
    """
    known = {
        row: records.read(config.configs, row) for row in records.rows(config.configs)
    }
    if config.row:
        known[config.row] = records.collect_runs(
            config.configs, config.row, config.runs
        )
    # All texts are complete before the first file is written.
    page = _read(config.results)
    texts = {config.results: with_tables(page, known, config.results)}
    for row, record in known.items():
        path = records.config_path(config.configs, row)
        texts[path] = heads.update_head(_read(path), row, record)
    if config.row:
        path = records.record_path(config.configs, config.row)
        files.write_json(path, known[config.row])
    for path, text in texts.items():
        if text != _read(path):
            files.write_text(path, text)
            print(f"written: {path}")


def with_tables(text, known, name="the text"):
    """The text with a new table between each pair of marks, `<!-- table: ... -->`.

    Args:
        text: Markdown.
        known: Dict of rows to records.
        name: The name of the text in errors.

    Raises:
        UserError: If a table is unknown, or has no end.
    """

    def renew(match):
        table, body, end = match.groups()
        if table not in tables.TABLES:
            raise UserError(f"{name} asks for an unknown table. Received: {table}")
        if not end or "<!-- table:" in body:
            raise UserError(f"{name} has no <!-- end --> after the table {table}.")
        try:
            lines = tables.TABLES[table](known)
            rows = tables.rows_in(lines, known)
        except (KeyError, TypeError, IndexError) as error:
            raise UserError(f"A record of the table {table} lacks {error}.") from error
        # Markdown ends a table at an empty line.
        below = ["", formats.processors(rows)] if rows else []
        return "\n".join([f"<!-- table: {table} -->", *lines, *below, "<!-- end -->"])

    return re.sub(
        r"<!-- table: (\w+) -->(.*?)(<!-- end -->|\Z)", renew, text, flags=re.DOTALL
    )


def _read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()
