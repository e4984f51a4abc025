"""Writes the tables of docs/results and the heads of configs from the records of runs.

    python -m pipelines.report                               # write all of them
    python -m pipelines.report --row=sorting_n120 --runs=runs/a,runs/b,runs/c

`--runs` first adds the runs in these directories to the record of the row,
`configs/<row>.json`, where each takes the place of a run with its seed. Beside the pages
stands `records.md`, the list of all rows, to which the rows of the tables link;
`--results=FILE` writes the tables of a single page.
"""

from absl import flags

from pipelines.report.config import ReportConfig
from pipelines.shared import program


def main(config, explicit_names=frozenset()):
    """Writes the tables, the list of rows and the heads.

    Args:
        config: `ReportConfig`.
        explicit_names: The names of the settings that the command line sets.
    """
    from pipelines.report import pages

    config.check(explicit_names)
    pages.write(config)


if __name__ == "__main__":
    program.run(main, ReportConfig(), flags.FLAGS)
