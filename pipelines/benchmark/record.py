"""`benchmark.json`: the results so far, written whole after each case."""

import os

from pipelines.benchmark import table
from pipelines.shared import machine, options
from pipelines.shared.errors import UserError
from pipelines.shared.files import read_json, write_json
from pipelines.shared.training import metrics_file, run_directory

# Cases that were measured with other values of these settings cannot be compared.
_FIXED = ("repeats", "burst", "budget", "seed", "dataset", "training_steps")


class Record:
    """The record of a run.

    Args:
        config: `BenchmarkConfig`.

    Raises:
        UserError: If the directory holds a run and `resume` is not set, or a run with
            other settings.
    """

    def __init__(self, config):
        self.path = os.path.join(config.workdir, "benchmark.json")
        self.cases, peers = {}, {}
        if os.path.exists(self.path):
            self.cases, peers = self._earlier(config)
        run_directory.make(config.workdir)
        self._content = {
            "flags": options.values(config),
            "machine": machine.description(),
            "versions": metrics_file.versions(),
            "peers": peers,
            "cases": self.cases,
        }

    def has(self, case, names):
        """Whether the record has the results of these peers for a case."""
        return names.keys() <= self.cases.get(case.key, {"peers": {}})["peers"].keys()

    def add(self, case, measurement, workers):
        """Writes a case.

        Args:
            case: A `Case`.
            measurement: The `Measurement` of the case.
            workers: Dict of a peer's name to its `Worker`.
        """
        for name in measurement.peers:
            self._content["peers"][name] = {
                "label": workers[name].label,
                "versions": workers[name].versions,
            }
        self.cases[case.key] = {
            **{k: v for k, v in vars(case).items() if v is not None},
            **measurement.reference,
            "peers": measurement.peers,
            "ratios": table.ratios(case, measurement.peers),
        }
        write_json(self.path, self._content)

    def _earlier(self, config):
        """The cases and peers of the run that is resumed."""
        if not config.resume:
            raise UserError(
                f"{config.workdir} already holds a run: pass --resume to keep its "
                "cases, or another --workdir."
            )
        earlier = read_json(self.path)
        for name in _FIXED:
            value, before = getattr(config, name), earlier["flags"][name]
            if before != value:
                raise UserError(
                    f"--resume needs the flags of the run in {config.workdir}. "
                    f"Received: --{name}={value}, the run has {before}"
                )
        return earlier["cases"], earlier["peers"]
