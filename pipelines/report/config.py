"""The settings of the report."""

import dataclasses

from pipelines.shared.errors import UserError
from pipelines.shared.options import Options, option


@dataclasses.dataclass(frozen=True)
class ReportConfig(Options):
    """All settings of `python -m pipelines.report`."""

    row: str | None = option(None, "The row that --runs belong to.")
    runs: list[str] = option([], "Run directories to add to the record of that row.")
    configs: str = option("configs", "Directory of the configs.")
    results: list[str] = option(
        ["docs/results"], "Folders of the pages with the tables, or single pages."
    )

    def check(self, explicit_names=frozenset()):
        """Raises UserError if only one of --row and --runs is set."""
        if bool(self.row) != bool(self.runs):
            raise UserError("--row and --runs need each other.")
