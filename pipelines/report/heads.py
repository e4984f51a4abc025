"""The heads of configs: what the row is, the paper's numbers, ours, the command."""

from pipelines.report import formats, paper, records, tables
from pipelines.shared.lists import INTERVALS

_FIRST = ("# Paper: ", "# Ours: ", "# Command: ")


def update_head(text, row, found):
    """The text of a config with its head's numbers made anew; all else is kept.

    Args:
        text: The text of the config.
        row: Its name.
        found: Its record.
    """
    kept, in_made = [], False
    for line in text.splitlines():
        in_made = line.startswith(_FIRST) or (in_made and line.startswith("#   "))
        if not in_made:
            kept.append(line)
    said = next((k for k, x in enumerate(kept) if not x.startswith("#")), len(kept))
    program = records.program(row)
    kinds = {"sorting": _sorting, "jigsaw": _jigsaw, "assembly": _assembly}
    made = kinds[program](row, found)
    # On one line, however long, to be copied.
    made.append(
        f"# Command: python -m pipelines.{program} --flagfile=configs/{row}.cfg"
    )
    return "\n".join([*kept[:said], *made, *kept[said:]]) + "\n"


def _sorting(row, found):
    lines = []
    if row in paper.SORTING:
        cells = [f"{wrong} / {any_}" for wrong, any_ in paper.SORTING[row]]
        lines += ["# Paper: P.W. / P.A.W.", *_spread(cells)]
    if found:
        cells = tables.sorting_cells(found, formats.mean)
        lines += [f"# Ours: P.W. / P.A.W., {formats.runs_of(found)}", *_spread(cells)]
        lines.append(f"#   in {formats.minutes(found)} minutes on two cores")
    return lines


def _spread(cells):
    parts = [f"{cell} in {name}" for cell, name in zip(cells, INTERVALS, strict=True)]
    return [f"#   {', '.join(parts[k : k + 3])}" for k in range(0, len(parts), 3)]


def _jigsaw(row, found):
    lines = []
    names = ("P.W.", "P.A.W.", "Kendall tau")
    if paper.jigsaw(row):
        cells = zip(names, paper.jigsaw(row)[:3], strict=True)
        lines.append("# Paper: " + ", ".join(f"{n} {x}" for n, x in cells))
    if found:
        keys = ("proportion_wrong", "proportion_any_wrong", "kendall_tau")
        cells = [formats.short(formats.mean([r[key] for r in found])) for key in keys]
        parts = ", ".join(f"{n} {x}" for n, x in zip(names, cells, strict=True))
        lines.append(f"# Ours: {parts}; {formats.minutes(found)} minutes on two cores")
    return lines


def _assembly(row, found):
    lines = [
        f"# Paper: {paper.ASSEMBLY} of hard reconstructions as another digit accepted"
    ]
    if found:
        share = formats.share(formats.mean([r["hard"]["acceptance"] for r in found]))
        lines.append(
            f"# Ours: {share}, {formats.runs_of(found)}; {formats.minutes(found)} minutes "
            "on two cores"
        )
    return lines
