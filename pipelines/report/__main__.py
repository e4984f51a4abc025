"""The tables of RESULTS.md and the heads of configs, from the records of runs.

    python -m pipelines.report                               # write them all anew
    python -m pipelines.report --row=sorting_n120 --runs=runs/a,runs/b,runs/c

`--runs` first makes the record of a row, `configs/<row>.json`, from run directories.
"""

import os
import re

from absl import flags

from pipelines import runs
from pipelines.errors import UserError
from pipelines.report import heads, records, tables

FLAGS = flags.FLAGS

flags.DEFINE_string("row", None, "The row that --runs belong to.")
flags.DEFINE_list("runs", [], "Run directories of that row, one for each seed.")
flags.DEFINE_string("configs", "configs", "Directory of the configs.")
flags.DEFINE_string("results", "RESULTS.md", "The file with the tables.")


def main():
    if bool(FLAGS.row) != bool(FLAGS.runs):
        raise UserError("--row and --runs need each other.")
    if FLAGS.row:
        records.gather(FLAGS.configs, FLAGS.row, FLAGS.runs)
    for row in records.rows(FLAGS.configs):
        heads.write(FLAGS.configs, row)
    with open(FLAGS.results, encoding="utf-8") as file:
        text = file.read()
    runs.write_text(FLAGS.results, with_tables(text, FLAGS.configs))
    print(f"written: {FLAGS.results}, {os.path.join(FLAGS.configs, '*.cfg')}")


def with_tables(text, configs):
    """The text with each table between its marks, `<!-- table: name -->`, renewed."""

    def renewed(match):
        name = match.group(1)
        if name not in tables.TABLES:
            raise UserError(f"{FLAGS.results} asks for an unknown table: {name}")
        lines = tables.TABLES[name](configs)
        return "\n".join([f"<!-- table: {name} -->", *lines, "<!-- end -->"])

    return re.sub(
        r"<!-- table: (\w+) -->.*?<!-- end -->", renewed, text, flags=re.DOTALL
    )


if __name__ == "__main__":
    runs.main(main)
