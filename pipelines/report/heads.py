"""The heads of configs: what the row is, the paper's numbers, ours, the command."""

from pipelines import runs
from pipelines.lists import INTERVALS
from pipelines.report import paper, records, tables

_MADE = ("# Paper:", "# Ours:", "# Command:", "#  ")


def write(configs, row):
    """Writes the made part of a head anew; the description above it is kept."""
    path = records.config_path(configs, row)
    with open(path, encoding="utf-8") as file:
        lines = file.read().splitlines()
    said = [x for x in lines if x.startswith("#") and not x.startswith(_MADE)]
    settings = [x for x in lines if x.startswith("--")]
    found = records.read(configs, row)
    program = "sorting" if "sorting" in row else "jigsaw"
    made = {"sorting": _sorting, "jigsaw": _jigsaw}[program](row, found)
    command = f"# Command: python -m pipelines.{program} --flagfile=configs/{row}.cfg"
    text = "\n".join([*said, *made, command, *settings]) + "\n"
    runs.write_text(path, text)


def _sorting(row, found):
    lines = []
    if row in paper.SORTING:
        cells = [f"{wrong} / {any_} in" for wrong, any_ in paper.SORTING[row]]
        lines += _spread("# Paper: P.W. / P.A.W.", cells)
    if found:
        label = f"# Ours: P.W. / P.A.W., mean of {len(found)} seeds"
        lines += _spread(
            label, [f"{c} in" for c in tables.sorting_cells(found, tables.mean)]
        )
        lines.append(f"#   in {tables.minutes(found)} minutes on two cores.")
    return lines


def _spread(label, cells):
    parts = [f"{cell} {name}" for cell, name in zip(cells, INTERVALS, strict=True)]
    return [f"{label}:", f"#   {', '.join(parts[:4])},", f"#   {', '.join(parts[4:])}."]


def _jigsaw(row, found):
    lines = []
    names = ("P.W.", "P.A.W.", "Kendall tau")
    if paper.jigsaw(row):
        cells = zip(names, paper.jigsaw(row)[:3], strict=True)
        lines.append("# Paper: " + ", ".join(f"{n} {x}" for n, x in cells) + ".")
    if found:
        keys = ("proportion_wrong", "proportion_any_wrong", "kendall_tau")
        cells = [tables.short(tables.mean([r[key] for r in found])) for key in keys]
        parts = ", ".join(f"{n} {x}" for n, x in zip(names, cells, strict=True))
        lines.append(f"# Ours: {parts}; {tables.minutes(found)} minutes on two cores.")
    return lines
