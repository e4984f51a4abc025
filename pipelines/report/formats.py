"""Numbers of records as text, the cells of tables and heads."""

import math

# What is beside every table.
DIFFERENCE = (
    "The same command on another kind of processor gives numbers that differ in the third "
    "digit."
)
# The processor of records of before processors were recorded.
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


def runs_of(found):
    """How many runs a record has, in words."""
    return "seed 0" if len(found) == 1 else f"mean of {len(found)} seeds"


def minutes(found):
    """The minutes of the trainings of a record, the mean of its runs."""
    return f"{mean([r['seconds']['training'] for r in found]) / 60:.1f}"


def interval(scores, name):
    """A score with its 95 % interval, such as `.147 (.144 to .150)`.

    For puzzles drawn anew; how far other seeds of the training lie is not in it. Of
    shares of puzzles, and of shares that are 0 or 1 throughout, Wilson's interval, which
    has a width there too; else the mean and 1.96 standard errors.
    """
    value, n = scores[name], scores["n_examples"]
    least = -1.0 if name == "kendall_tau" else 0.0
    if name == "proportion_any_wrong" or value in (0, 1):
        z2 = 1.96**2
        middle = (value + z2 / (2 * n)) / (1 + z2 / n)
        half = 1.96 * math.sqrt(value * (1 - value) / n + z2 / (4 * n * n))
        half /= 1 + z2 / n
    else:
        middle, half = value, 1.96 * scores["standard_error"][name]
    low, high = max(middle - half, least), min(middle + half, 1.0)
    return f"{short(value)} ({short(low)} to {short(high)})"


def mean_run(found):
    """The runs of a record as one: numbers are means, all else that of the first.

    Evaluations that only some of the runs have are those of these.
    """
    first = found[0]
    if isinstance(first, dict):
        names = dict.fromkeys(name for run in found for name in run)
        of_runs = {name: [run[name] for run in found if name in run] for name in names}
        flags = of_runs.pop("flags", None)
        of_runs.pop("processor", None)
        means = {name: mean_run(values) for name, values in of_runs.items()}
        return means | ({"flags": flags[0]} if flags else {})
    if isinstance(first, list):
        return [mean_run(list(of_runs)) for of_runs in zip(*found, strict=True)]
    return mean(found) if isinstance(first, float) else first


def processors(records):
    """A line about the processors that some records were made on.

    Args:
        records: Dict of rows to records.
    """
    rows_of = {}
    for row, record in records.items():
        for name in dict.fromkeys(_processor(run) for run in record):
            rows_of.setdefault(name, []).append(f"`{row}`")
    names = [name for name in rows_of if name != _UNKNOWN]
    parts = [f"{name} ({', '.join(rows_of[name])})" for name in names]
    if len(rows_of) == 1:
        parts = list(rows_of)
    elif _UNKNOWN in rows_of:
        parts.append(f"{_UNKNOWN} (the other rows)")
    return f"Processor: {'; '.join(parts)}. {DIFFERENCE}"


def _processor(run):
    """The processor of a run in words."""
    found = run.get("processor")
    if found is None:
        return _UNKNOWN
    return " with ".join([found["cpu"], *found["accelerators"]])


def changes(base, metrics):
    """The flags in which a run differs from one of the row that it starts from."""
    before = base["flags"]
    changed = {
        name: value
        for name, value in metrics["flags"].items()
        if name not in ("seed", "training_images") and value != before.get(name)
    }
    written = lambda name, value: (
        ("--" if value else "--no") + name
        if isinstance(value, bool)
        else f"--{name}={value}"
    )
    return " ".join(f"`{written(name, value)}`" for name, value in changed.items())


def markdown(heads, lines):
    rule = ["---"] * len(heads)
    return ["| " + " | ".join(cells) + " |" for cells in (heads, rule, *lines)]
