"""Records: the metrics of the runs of a config, one run for each seed."""

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
        UserError: If no program makes rows of such a name.
    """
    name = row.rpartition("/")[2]
    for beginning, known in _PROGRAMS.items():
        if name.startswith(beginning):
            return known
    raise UserError(
        f"Names of configs begin with {' or '.join(_PROGRAMS)}. Received: {row}"
    )


def config_path(configs, row):
    """The path of the config of a row."""
    return os.path.join(configs, *row.split("/")) + ".cfg"


def record_path(configs, row):
    """The path of the record of a row."""
    return os.path.join(configs, *row.split("/")) + ".json"


def rows(configs):
    """The names of all rows with a config, sorted.

    Raises:
        UserError: If there is none.
    """
    known_rows = []
    for folder, _, names in os.walk(configs):
        for name in names:
            stem, extension = os.path.splitext(os.path.join(folder, name))
            if extension == ".cfg":
                known_rows.append(os.path.relpath(stem, configs).replace(os.sep, "/"))
    if not known_rows:
        raise UserError(f"There are no configs here. Received: --configs={configs}")
    return sorted(known_rows)


def read(configs, row):
    """The record of a row: the list of the metrics of its runs, or an empty list."""
    path = record_path(configs, row)
    return read_json(path, list) if os.path.exists(path) else []


def expected_config(configs, row):
    """The complete settings that the config of a row stands for.

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
    """The record of a row with further runs, from the `metrics.json` of their directories.

    A run takes the place of one with its seed; the other runs of the record stay.

    Returns:
        List of metrics, sorted by seed. Runs that were measured with `--evaluate` on the
        roles test, validation or train have `evaluations`, by dataset.

    Raises:
        UserError: If there is no such row, a run or one that stays is not one of its
            config, or two runs have the same seed.
    """
    path = config_path(configs, row)
    if not os.path.exists(path):
        raise UserError(
            f"There is no config of that name in {configs}. Received: --row={row}"
        )
    config = expected_config(configs, row)
    runs = {}
    for workdir in workdirs:
        metrics = _read_run(config, row, workdir)
        seed = metrics["flags"]["seed"]
        if seed in runs:
            raise UserError(
                f"Two of the runs have the same seed. Received: --seed={seed}"
            )
        difference = _difference(config, metrics["flags"])
        if difference:
            raise UserError(
                f"The run in {workdir} is not one of {path}. Received: {difference}"
            )
        runs[seed] = metrics
    has_panel = any("judges" in run for run in runs.values())
    for metrics in read(configs, row):
        seed = metrics["flags"]["seed"]
        difference = _difference(config, metrics["flags"])
        # Assembly had one judge before it had a panel.
        if has_panel and "judges" not in metrics:
            difference = "one judge, expected a panel"
        if seed not in runs and difference:
            raise UserError(
                f"The run of seed {seed} in {record_path(configs, row)} is not one of "
                f"{path}: remove that record first. Received: {difference}"
            )
        runs.setdefault(seed, metrics)
    return [runs[seed] for seed in sorted(runs)]


def _read_run(config, row, workdir):
    """The metrics of a run, with its recorded flags and its evaluations."""
    metrics = read_json(os.path.join(workdir, "metrics.json"), dict)
    flags = options.drop_unrecorded(config, metrics.get("flags", {}))
    if "seed" not in flags or "training" not in metrics.get("seconds", {}):
        raise UserError(f"Not the metrics of a training. Received: {workdir}")
    evaluations = _evaluations(workdir) if program(row) == "jigsaw" else {}
    more = {"evaluations": evaluations} if evaluations else {}
    return {**metrics, "flags": flags, **more}


def _difference(config, flags):
    """The first flag of a run that is not that of the config, in words, or "".

    Flags that only one of them has do not count: the other may be older.
    """
    expected = options.recorded(config)
    for name, value in flags.items():
        if name != "seed" and value != expected.get(name, value):
            return f"--{name}={value}, expected {expected[name]}"
    return ""


def _evaluations(workdir):
    """The scores of a run that `--evaluate` measured.

    Returns:
        Dict of names to scores. A name is that of the dataset, then " mirrored" if the
        logits were averaged with those of the mirror images, then " validation" if the
        split is not the test split but the one that weights are chosen on, or " train" if
        it is the one of the training.
    """
    evaluations = {}
    for path in sorted(glob.glob(os.path.join(glob.escape(workdir), "metrics_*.json"))):
        metrics = read_json(path)
        flags = metrics.get("flags", {})
        if flags.get("split") in ("test", "validation", "train"):
            name = flags["dataset"]
            if flags.get("mirrored", False):
                name += " mirrored"
            if flags["split"] != "test":
                name += f" {flags['split']}"
            dropped = ("flags", "versions", "processor", "seconds")
            evaluations[name] = {k: v for k, v in metrics.items() if k not in dropped}
    return evaluations
