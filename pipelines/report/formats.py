"""Numbers of records as text, for the cells of tables and the heads of configs."""

# A sentence that stands below every table.
DIFFERENCE = (
    "The same command on another kind of processor gives numbers that differ in the third "
    "digit."
)
# Stands for the processor in records that are older than the entry for it.
_UNKNOWN = "not recorded"


def share(x):
    """A proportion, as the papers write it: `.0167`; exact zeros as `0`."""
    if x == 0:
        return "0"
    if abs(x) < 0.00005:
        return "<.0001"
    return f"{x:.4f}".replace("0.", ".", 1)


def short(x):
    """A score to three decimals: `.147`."""
    text = f"{abs(x):.3f}".removeprefix("0")
    return f"-{text}" if x < 0 and text != ".000" else text


def mean(values):
    """The mean of a list."""
    return sum(values) / len(values)


def runs_of(record):
    """What the numbers of a record are the mean of: "mean of 3 seeds", or its one seed."""
    if len(record) == 1:
        return f"seed {record[0]['flags']['seed']}"
    return f"mean of {len(record)} seeds"


def minutes(record):
    """The minutes of a training, the mean over the runs in a record."""
    return f"{mean([run['seconds']['training'] for run in record]) / 60:.1f}"


def mean_run(record):
    """The runs of a record as one: floats are means, all else is that of the first run.

    What is missing from some runs is averaged over the others.
    """
    first = record[0]
    if isinstance(first, dict):
        names = dict.fromkeys(name for run in record for name in run)
        of_runs = {name: [run[name] for run in record if name in run] for name in names}
        flags = of_runs.pop("flags", None)
        of_runs.pop("processor", None)
        means = {name: mean_run(values) for name, values in of_runs.items()}
        return means | ({"flags": flags[0]} if flags else {})
    if isinstance(first, list):
        return [mean_run(list(of_runs)) for of_runs in zip(*record, strict=True)]
    return mean(record) if isinstance(first, float) else first


def processors(records):
    """A line about the processors on which some records were made.

    Args:
        records: Dict of rows to records.
    """
    rows_of = {}
    for row, record in records.items():
        for name in processors_of(record):
            rows_of.setdefault(name, []).append(f"`{row}`")
    names = [name for name in rows_of if name != _UNKNOWN]
    parts = [f"{name} ({', '.join(rows_of[name])})" for name in names]
    if len(rows_of) == 1:
        parts = list(rows_of)
    elif _UNKNOWN in rows_of:
        parts.append(f"{_UNKNOWN} (the other rows)")
    return f"Processor: {'; '.join(parts)}. {DIFFERENCE}"


def processors_of(record):
    """The processors of the runs of a record in words, each once."""
    return list(dict.fromkeys(map(_processor, record)))


def _processor(run):
    """The processor of a run in words."""
    processor = run.get("processor")
    if processor is None:
        return _UNKNOWN
    return " with ".join([processor["cpu"], *processor["accelerators"]])


def changes(base, metrics):
    """The flags in which a run differs from one of the row that it starts from."""
    before = base["flags"]
    changed = {
        name: value
        for name, value in metrics["flags"].items()
        if name not in ("seed", "training_images", "templates")
        and value != before.get(name)
    }
    return " ".join(f"`{_as_flag(name, value)}`" for name, value in changed.items())


def _as_flag(name, value):
    if isinstance(value, bool):
        return f"--{name}" if value else f"--no{name}"
    return f"--{name}={value}"


def markdown(heads, lines):
    """A Markdown table as a list of lines.

    Cells are not padded, as `tabulate` would: a longer number changes one line, not all.

    Args:
        heads: List of strings, the first line.
        lines: Lists of strings, the cells of the other lines.
    """
    rule = ["---"] * len(heads)
    return ["| " + " | ".join(cells) + " |" for cells in (heads, rule, *lines)]
