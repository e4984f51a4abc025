"""Records: the metrics of the runs of a config, one for each seed, beside it."""

import os

from pipelines import runs
from pipelines.errors import UserError

# What may differ between the runs of one row.
_FREE = {"seed", "workdir", "resume", "export", "data_dir", "cache_dir"}


def config_path(configs, row):
    """The config of a row such as "sorting_n120" or "ablation/sorting_n120_noise"."""
    return os.path.join(configs, *row.split("/")) + ".cfg"


def record_path(configs, row):
    """Its record."""
    return os.path.join(configs, *row.split("/")) + ".json"


def rows(configs):
    """The names of all rows with a config, sorted."""
    found = []
    for folder, _, names in os.walk(configs):
        for name in names:
            stem, extension = os.path.splitext(os.path.join(folder, name))
            if extension == ".cfg":
                found.append(os.path.relpath(stem, configs).replace(os.sep, "/"))
    return sorted(found)


def read(configs, row):
    """The metrics of a row's runs, a list; empty without a record."""
    path = record_path(configs, row)
    return runs.read_json(path) if os.path.exists(path) else []


def gather(configs, row, workdirs):
    """Writes the record of a row from the `metrics.json` of its run directories.

    Raises:
        UserError: If there is no such row, or the runs differ in more than the seed.
    """
    if not os.path.exists(config_path(configs, row)):
        raise UserError(
            f"There is no config of that name in {configs}. Received: --row={row}"
        )
    found = [runs.read_json(os.path.join(d, "metrics.json")) for d in workdirs]
    if any("flags" not in metrics for metrics in found):
        raise UserError(f"Not the metrics of trainings. Received: --runs={workdirs}")
    for metrics, workdir in zip(found, workdirs, strict=True):
        for name, value in metrics["flags"].items():
            if name not in _FREE and found[0]["flags"].get(name) != value:
                raise UserError(
                    "The runs of a row differ in nothing but the seed. Received: "
                    f"--{name}={value} in {workdir}"
                )
        # Where they lay is of no use to others.
        metrics["flags"] = {
            k: v
            for k, v in metrics["flags"].items()
            if k in ("seed",) or k not in _FREE
        }
    found.sort(key=lambda metrics: metrics["flags"]["seed"])
    runs.write_json(record_path(configs, row), found)
