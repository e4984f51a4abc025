"""The heads of configs: the row's subject, the paper's numbers, ours, the command."""

from pipelines.report import formats, paper, records, tables
from pipelines.shared.lists import INTERVALS

_FIRST = ("# Paper: ", "# Ours: ", "# Command: ")


def update_head(text, row, record):
    """The text of a config with new numbers in its head; all other lines stay.

    Args:
        text: The text of the config.
        row: The name of the config.
        record: The record of the config.
    """
    author_comments, rest = _without_numbers(text)
    kinds = {"sorting": _sorting, "jigsaw": _jigsaw, "assembly": _assembly}
    numbers = kinds[records.program(row)](row, record)
    # The command stays on one line, however long, so that it can be copied.
    numbers.append(f"# Command: {command(row)}")
    return "\n".join([*author_comments, *numbers, *rest]) + "\n"


def command(row):
    """The command that trains a row."""
    return f"python -m pipelines.{records.program(row)} --flagfile=configs/{row}.cfg"


def comments(text):
    """The comments at the beginning of a config, without its numbers: a list of lines."""
    return _without_numbers(text)[0]


def _without_numbers(text):
    """The comments at the beginning of a config and its other lines, without numbers."""
    others, is_number = [], False
    for line in text.splitlines():
        is_number = line.startswith(_FIRST) or (is_number and line.startswith("#   "))
        if not is_number:
            others.append(line)
    place = next(
        (k for k, x in enumerate(others) if not x.startswith("#")), len(others)
    )
    return others[:place], others[place:]


def _sorting(row, record):
    lines = []
    if row in paper.SORTING:
        cells = [f"{wrong} / {any_}" for wrong, any_ in paper.SORTING[row]]
        lines += ["# Paper: P.W. / P.A.W.", *_spread(cells)]
    if record:
        cells = tables.sorting_cells(record, formats.mean)
        lines += [f"# Ours: P.W. / P.A.W., {formats.runs_of(record)}", *_spread(cells)]
        lines.append(f"#   in {formats.minutes(record)} minutes on two cores")
    return lines


def _spread(cells):
    parts = [f"{cell} in {name}" for cell, name in zip(cells, INTERVALS, strict=True)]
    return [f"#   {', '.join(parts[k : k + 3])}" for k in range(0, len(parts), 3)]


def _jigsaw(row, record):
    lines = []
    names = ("P.W.", "P.A.W.", "Kendall tau")
    if paper.jigsaw(row):
        cells = zip(names, paper.jigsaw(row)[:3], strict=True)
        lines.append("# Paper: " + ", ".join(f"{n} {x}" for n, x in cells))
    if record:
        keys = ("proportion_wrong", "proportion_any_wrong", "kendall_tau")
        cells = [formats.short(formats.mean([r[key] for r in record])) for key in keys]
        parts = ", ".join(f"{n} {x}" for n, x in zip(names, cells, strict=True))
        if len(record) > 1:
            parts += f", {formats.runs_of(record)}"
        lines.append(f"# Ours: {parts}; {formats.minutes(record)} minutes on two cores")
    return lines


def _assembly(row, record):
    lines = [
        f"# Paper: {paper.ASSEMBLY} of the digits made of another's pieces accepted"
    ]
    if record and all("judges" in run for run in record):
        alike, all_ = (
            formats.share(formats.mean(list(map(of, record))))
            for of in (tables.convolutional_share, lambda r: r["hard"]["acceptance"])
        )
        lines.append(
            f"# Ours: {alike} by a judge of that kind, {all_} by "
            f"{len(record[0]['judges'])} judges, {formats.runs_of(record)}; "
            f"{formats.minutes(record)} minutes on two cores"
        )
    return lines
