"""Records: the metrics of the runs of a config, one for each seed, beside it."""

import glob
import os

from pipelines.assembly.config import AssemblyConfig
from pipelines.jigsaw.config import JigsawConfig
from pipelines.shared import options
from pipelines.shared.errors import UserError
from pipelines.shared.files import read_json
from pipelines.sorting.config import SortingConfig

# The beginnings of rows, and the programs that make them.
_PROGRAMS = {"sorting_n": "sorting", "jigsaw_": "jigsaw", "assembly_": "assembly"}
_CONFIGS = {
    "sorting": SortingConfig,
    "jigsaw": JigsawConfig,
    "assembly": AssemblyConfig,
}


def program(row):
    """The program of a row such as "sorting_n120" or "ablation/sorting_n120_noise".

    Raises:
        UserError: If there is none of that kind.
    """
    name = row.rpartition("/")[2]
    for beginning, found in _PROGRAMS.items():
        if name.startswith(beginning):
            return found
    raise UserError(
        f"Names of configs begin with {' or '.join(_PROGRAMS)}. Received: {row}"
    )


def config_path(configs, row):
    """The config of a row."""
    return os.path.join(configs, *row.split("/")) + ".cfg"


def record_path(configs, row):
    """Its record."""
    return os.path.join(configs, *row.split("/")) + ".json"


def rows(configs):
    """The names of all rows with a config, sorted.

    Raises:
        UserError: If there is none.
    """
    found = []
    for folder, _, names in os.walk(configs):
        for name in names:
            stem, extension = os.path.splitext(os.path.join(folder, name))
            if extension == ".cfg":
                found.append(os.path.relpath(stem, configs).replace(os.sep, "/"))
    if not found:
        raise UserError(f"There are no configs here. Received: --configs={configs}")
    return sorted(found)


def read(configs, row):
    """The metrics of a row's runs, a list; empty without a record."""
    path = record_path(configs, row)
    return read_json(path, list) if os.path.exists(path) else []


def expected_config(configs, row):
    """The settings that the config of a row stands for, complete.

    Raises:
        UserError: If the config cannot be read.
    """
    path = config_path(configs, row)
    defaults = _CONFIGS[program(row)]()
    try:
        config, _ = options.from_arguments(defaults, [f"--flagfile={path}"])
    except UserError as error:
        raise UserError(f"A config cannot be read. {path}: {error}") from error
    return config.completed()


def collect_runs(configs, row, workdirs):
    """The record of a row from the `metrics.json` of its run directories.

    Returns:
        A list of metrics, by seed; with `evaluations`, by dataset, where the run was
        measured with `--evaluate` on test or validation splits.

    Raises:
        UserError: If there is no such row, the runs are not those of its config, a seed
            is there twice, or the record that is there holds more runs.
    """
    path = config_path(configs, row)
    if not os.path.exists(path):
        raise UserError(
            f"There is no config of that name in {configs}. Received: --row={row}"
        )
    config = expected_config(configs, row)
    expected = options.values(config)
    hidden = expected.keys() - options.recorded(config).keys()
    found, workdir_of = {}, {}
    for workdir in workdirs:
        metrics = read_json(os.path.join(workdir, "metrics.json"), dict)
        given = {k: v for k, v in metrics.get("flags", {}).items() if k not in hidden}
        if "seed" not in explicit_names or "training" not in metrics.get("seconds", {}):
            raise UserError(f"Not the metrics of a training. Received: {workdir}")
        if given["seed"] in found:
            raise UserError(
                f"Two of the runs have the same seed. Received: --seed={given['seed']}"
            )
        workdir_of[given["seed"]] = workdir
        found[given["seed"]] = {**metrics, "flags": given}
        evaluations = _evaluations(workdir) if program(row) == "jigsaw" else {}
        if evaluations:
            found[given["seed"]]["evaluations"] = evaluations
    for seed, metrics in found.items():
        for name, value in metrics["flags"].items():
            if name != "seed" and value != expected.get(name, value):
                raise UserError(
                    f"The run in {workdir_of[seed]} is not one of {path}. Received: "
                    f"--{name}={value}, expected {expected[name]}"
                )
    earlier = len(read(configs, row))
    if len(found) < earlier:
        raise UserError(
            f"{record_path(configs, row)} holds {earlier} runs: give as many, or remove "
            f"it first. Received: {len(found)}"
        )
    return [found[seed] for seed in sorted(found)]


def _evaluations(workdir):
    """What `--evaluate` has found: a dict of names to scores.

    The names are those of datasets, with " mirrored" after them where the logits were
    averaged with those of the mirror images, and " validation" where it was not the test
    split but the one that weights are chosen on.
    """
    found = {}
    for path in sorted(glob.glob(os.path.join(glob.escape(workdir), "metrics_*.json"))):
        metrics = read_json(path)
        flags = metrics.get("flags", {})
        if flags.get("split") in ("test", "validation"):
            name = flags["dataset"] + " mirrored" * flags.get("mirrored", False)
            name += " validation" * (flags["split"] == "validation")
            dropped = ("flags", "versions", "processor", "seconds")
            found[name] = {k: v for k, v in metrics.items() if k not in dropped}
    return found
