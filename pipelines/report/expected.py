"""The flags a config stands for: `python -m pipelines.report.expected CONFIGS ROW...`.

A process of its own, since two programs in one would define the same flags: all rows of
a call belong to the same program. Prints a JSON object of each row to its flags.
"""

import importlib
import json
import sys

from absl import flags
from absl.testing import flagsaver

from pipelines.report import records


def main(configs, *rows):
    program = importlib.import_module(f"pipelines.{records.program(rows[0])}")
    found = {}
    for row in rows:
        path = records.config_path(configs, row)
        with flagsaver.flagsaver():
            try:
                flags.FLAGS(["program", f"--flagfile={path}"])
            except flags.Error as error:
                sys.exit(f"{path}: {error}")
            getattr(program, "complete_flags", lambda: None)()
            found[row] = {name: flags.FLAGS[name].value for name in flags.FLAGS}
    print(json.dumps(found, default=str))


if __name__ == "__main__":
    main(*sys.argv[1:])
