"""The tables of RESULTS.md and the heads of configs, from the records of runs.

    python -m pipelines.report                               # write them all anew
    python -m pipelines.report --row=sorting_n120 --runs=runs/a,runs/b,runs/c

`--runs` first makes the record of a row, `configs/<row>.json`, from run directories.
"""

import re

from absl import flags

from pipelines import files, runs
from pipelines.errors import UserError
from pipelines.report import formats, heads, records, tables

FLAGS = flags.FLAGS

flags.DEFINE_string("row", None, "The row that --runs belong to.")
flags.DEFINE_list("runs", [], "Run directories of that row, one for each seed.")
flags.DEFINE_string("configs", "configs", "Directory of the configs.")
flags.DEFINE_string("results", "RESULTS.md", "The file with the tables.")


def main():
    if bool(FLAGS.row) != bool(FLAGS.runs):
        raise UserError("--row and --runs need each other.")
    found = {
        row: records.read(FLAGS.configs, row) for row in records.rows(FLAGS.configs)
    }
    if FLAGS.row:
        found[FLAGS.row] = records.gathered(FLAGS.configs, FLAGS.row, FLAGS.runs)
    # All that is to be written is made before the first file is touched.
    texts = {FLAGS.results: with_tables(_read(FLAGS.results), found, FLAGS.results)}
    for row, record in found.items():
        path = records.config_path(FLAGS.configs, row)
        texts[path] = heads.renewed(_read(path), row, record)
    if FLAGS.row:
        path = records.record_path(FLAGS.configs, FLAGS.row)
        runs.write_json(path, found[FLAGS.row])
    for path, text in texts.items():
        if text != _read(path):
            files.write_text(path, text)
            print(f"written: {path}")


def with_tables(text, found, name="the text"):
    """The text with each table between its marks, `<!-- table: ... -->`, renewed.

    Args:
        text: Markdown.
        found: Dict of rows to records.
        name: What to call the text in errors.

    Raises:
        UserError: If a table is unknown, or has no end.
    """

    def renewed(match):
        table, body, end = match.groups()
        if table not in tables.TABLES:
            raise UserError(f"{name} asks for an unknown table. Received: {table}")
        if not end or "<!-- table:" in body:
            raise UserError(f"{name} has no <!-- end --> after the table {table}.")
        try:
            lines = tables.TABLES[table](found)
            rows = tables.rows_in(lines, found)
        except (KeyError, TypeError, IndexError) as error:
            raise UserError(f"A record of the table {table} lacks {error}.") from error
        # Markdown ends a table at an empty line.
        beside = ["", formats.processors(rows)] if rows else []
        return "\n".join([f"<!-- table: {table} -->", *lines, *beside, "<!-- end -->"])

    return re.sub(
        r"<!-- table: (\w+) -->(.*?)(<!-- end -->|\Z)", renewed, text, flags=re.DOTALL
    )


def _read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


if __name__ == "__main__":
    runs.main(main)
