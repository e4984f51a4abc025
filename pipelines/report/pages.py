"""The texts that show records: pages with tables, the list of rows, heads of configs."""

import glob
import os
import re

from pipelines.report import formats, heads, listing, records, tables
from pipelines.shared import files
from pipelines.shared.errors import UserError


def write(config):
    """Adds runs to the record of a row if any are named, then writes all texts.

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
    new = texts(config, known)
    if config.row:
        path = records.record_path(config.configs, config.row)
        files.write_json(path, known[config.row])
    for path, text in new.items():
        if not os.path.exists(path) or text != _read(path):
            files.write_text(path, text)
            print(f"written: {path}")


def texts(config, known):
    """The new text of each file that shows records, by its path.

    Args:
        config: `ReportConfig`.
        known: Dict of rows to records.

    Raises:
        UserError: If a folder has no page, or a page asks for what is not there.
    """
    new = {}
    for place in config.results:
        is_folder = os.path.isdir(place)
        pages = [place]
        if is_folder:
            pages = sorted(glob.glob(os.path.join(glob.escape(place), "*.md")))
            pages = [page for page in pages if os.path.basename(page) != listing.NAME]
            if not pages:
                raise UserError(f"There are no pages here. Received: --results={place}")
            new[os.path.join(place, listing.NAME)] = listing.page(
                config.configs, known, place
            )
        for page in pages:
            beside = os.path.join(os.path.dirname(page), listing.NAME)
            has_links = is_folder or os.path.exists(beside)
            new[page] = with_tables(_read(page), known, page, has_links)
    for row, record in known.items():
        path = records.config_path(config.configs, row)
        new[path] = heads.update_head(_read(path), row, record)
    return new


def with_tables(text, known, name="the text", has_links=False):
    """The text with a new table between each pair of marks, `<!-- table: ... -->`.

    Args:
        text: Markdown.
        known: Dict of rows to records.
        name: The name of the text in errors.
        has_links: Whether the name of a row links to its section in the list of rows,
            which is in the same folder.

    Raises:
        UserError: If a table is unknown, or has no end.
    """

    def linked(line):
        beginning = re.match(r"\| `([^`]+)` \|", line)
        if not has_links or not beginning or beginning.group(1) not in known:
            return line
        row = beginning.group(1)
        return line.replace(f"`{row}`", listing.link(row), 1)

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
        shown = [
            f"<!-- table: {table} -->",
            *map(linked, lines),
            *below,
            "<!-- end -->",
        ]
        return "\n".join(shown)

    return re.sub(
        r"<!-- table: (\w+) -->(.*?)(<!-- end -->|\Z)", renew, text, flags=re.DOTALL
    )


def _read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()
