"""The tables: records in, lines of Markdown out."""

from pipelines.lists import INTERVALS
from pipelines.report import paper, records

_JIGSAW = (
    ("proportion_wrong", "P.W."),
    ("proportion_any_wrong", "P.A.W."),
    ("kendall_tau", "Kendall tau"),
)


def share(x):
    """A proportion, as the papers write it: `.0167`; exact zeros as `0`."""
    if x == 0:
        return "0"
    if abs(x) < 0.00005:
        return "<.0001"
    return f"{x:.4f}".replace("0.", ".", 1)


def short(x):
    """A score to three decimals: `.147`."""
    return f"{x:.3f}".removeprefix("0") if x >= 0 else f"-{short(-x)}"


def mean(values):
    """The mean of a list."""
    return sum(values) / len(values)


def minutes(found):
    """The minutes of the trainings of a record, the mean of its runs."""
    return f"{mean([r['seconds']['training'] for r in found]) / 60:.1f}"


def sorting(configs):
    """SN table 1: P.W. / P.A.W. by content."""
    heads = ["row", "", *INTERVALS, "minutes"]
    lines = []
    for row in _sorting_rows(configs):
        found = records.read(configs, row)
        name = f"`{row}`"
        if row in paper.SORTING:
            cells = [f"{w} / {a}" for w, a in paper.SORTING[row]]
            lines.append([name, "paper", *cells, ""])
            name = ""
        for label, over in ((f"mean of {len(found)}", mean), ("worst", max)):
            cells = sorting_cells(found, over)
            time = minutes(found) if label != "worst" else ""
            lines.append([name, label, *cells, time])
            name = ""
    return _table(heads, lines)


def sorting_cells(found, over):
    """P.W. / P.A.W. by content in each interval, `over` the runs: strings."""

    def score(interval, name):
        return over([r["intervals"][interval]["by_content"][name] for r in found])

    return [
        f"{share(score(i, 'proportion_wrong'))} / "
        f"{share(score(i, 'proportion_any_wrong'))}"
        for i in INTERVALS
    ]


def sorting_by_index(configs):
    """The same by index, with Kendall's tau, and the lists that have equal numbers."""
    heads = ["row", *INTERVALS, "lists with ties, of 1,000 each"]
    lines = []
    for row in _sorting_rows(configs):
        found = records.read(configs, row)
        cells, ties = [], []
        for interval in INTERVALS:
            scores = [r["intervals"][interval] for r in found]
            cells.append(
                f"{share(mean([s['proportion_wrong'] for s in scores]))} / "
                f"{share(mean([s['proportion_any_wrong'] for s in scores]))} / "
                f"{short(mean([s['kendall_tau'] for s in scores]))}"
            )
            ties.append(str(scores[0]["n_examples_with_ties"]))
        lines.append([f"`{row}`", *cells, ", ".join(ties)])
    return _table(heads, lines)


def sorting_ablation(configs):
    """One choice changed in each row: the inversions, and three intervals."""
    shown = ("U(0,1)", "U(10,11)", "U(1000,1001)")
    heads = ["row", "changed", "slopes out of order", *shown, "all seven, mean P.W."]
    lines = []
    base = "sorting_n120"
    for row in [base, *(r for r in records.rows(configs) if r.startswith("ablation/"))]:
        found = records.read(configs, row)
        if not found or "intervals" not in found[0]:
            continue
        places = [list(INTERVALS).index(name) for name in shown]
        cells = sorting_cells(found, mean)
        wrong = mean(
            [
                s["by_content"]["proportion_wrong"]
                for r in found
                for s in r["intervals"].values()
            ]
        )
        slopes = ", ".join(str(r["slopes"]["inversions"]) for r in found)
        lines.append(
            [
                f"`{row}`",
                "" if row == base else " ".join(settings(configs, row)),
                slopes,
                *(cells[place] for place in places),
                share(wrong),
            ]
        )
    return _table(heads, lines)


def jigsaw(configs):
    """SN table 2, by index unless said otherwise."""
    heads = ["row", *(name for _, name in _JIGSAW), "P.W. by content"]
    heads += ["oracle P.W. / P.A.W. / tau", "paper P.W. / P.A.W. / tau"]
    heads += ["puzzles", "seconds"]
    lines = []
    for row in records.rows(configs):
        found = records.read(configs, row)
        if not row.startswith("jigsaw_") or not found:
            continue
        average = lambda *keys, found=found: short(mean([_at(r, keys) for r in found]))
        lines.append(
            [
                f"`{row}`",
                *(average(key) for key, _ in _JIGSAW),
                average("by_content", "proportion_wrong"),
                " / ".join(average("oracle", key) for key, _ in _JIGSAW),
                " / ".join(paper.jigsaw(row)),
                f"{found[0]['n_examples']:,}",
                f"{mean([r['seconds']['training'] for r in found]):.0f}",
            ]
        )
    return _table(heads, lines)


def settings(configs, row):
    """The flags that a config sets, without the config that it starts from."""
    with open(records.config_path(configs, row), encoding="utf-8") as file:
        lines = [line.strip() for line in file]
    return [
        f"`{x}`" for x in lines if x.startswith("--") and not x.startswith("--flagfile")
    ]


def _sorting_rows(configs):
    found = [r for r in records.rows(configs) if r.startswith("sorting_n")]
    found = [r for r in found if records.read(configs, r)]
    size = lambda row: int(row.removeprefix("sorting_n").partition("_")[0])
    return sorted(found, key=lambda row: ("released" in row, size(row)))


def _at(tree, keys):
    for key in keys:
        tree = tree[key]
    return tree


def _table(heads, lines):
    rule = ["---"] * len(heads)
    return ["| " + " | ".join(cells) + " |" for cells in (heads, rule, *lines)]


TABLES = {
    "sorting": sorting,
    "sorting_by_index": sorting_by_index,
    "sorting_ablation": sorting_ablation,
    "jigsaw": jigsaw,
}
