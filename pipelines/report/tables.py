"""The tables: records in, lines of Markdown out."""

import math

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
    """SN table 2, by index, with 95 % intervals."""
    heads = ["row", *(name for _, name in _JIGSAW), "oracle", "paper", "loss"]
    lines = []
    for row, found in _jigsaw_rows(configs):
        scores = found[0]
        lines.append(
            [
                f"`{row}`",
                *(interval(scores, key) for key, _ in _JIGSAW),
                " / ".join(short(scores["oracle"][key]) for key, _ in _JIGSAW),
                " / ".join(paper.jigsaw(row)[:3]),
                scores["flags"]["loss"].replace("_", " "),
            ]
        )
    return _table(heads, lines)


def jigsaw_by_content(configs):
    """The same as shares that are right, by index and by content, and l1, l2."""
    heads = ["row", "pieces right", "puzzles right", "pieces, by content"]
    heads += ["puzzles, by content", "l1", "l2", "paper l1 / l2", "puzzles", "minutes"]
    lines = []
    for row, found in _jigsaw_rows(configs):
        scores = found[0]
        content = scores["by_content"]
        lines.append(
            [
                f"`{row}`",
                *(short(scores[key]) for key in ("pieces_right", "puzzles_right")),
                *(short(content[key]) for key in ("pieces_right", "puzzles_right")),
                *(short(scores[key]) for key in ("l1", "l2")),
                " / ".join(paper.jigsaw(row)[3:]),
                f"{scores['n_examples']:,}",
                minutes(found),
            ]
        )
    return _table(heads, lines)


def interval(scores, name):
    """A score with its 95 % interval, such as `.147 (.144 to .150)`.

    Of the share of puzzles Wilson's interval, which has a width at 0 and 1 too; of the
    others the mean and 1.96 standard errors.
    """
    value, n = scores[name], scores["n_examples"]
    if name == "proportion_any_wrong":
        z2 = 1.96**2
        middle = (value + z2 / (2 * n)) / (1 + z2 / n)
        half = 1.96 * math.sqrt(value * (1 - value) / n + z2 / (4 * n * n))
        half /= 1 + z2 / n
    else:
        middle, half = value, 1.96 * scores["standard_error"][name]
    low, high = max(middle - half, -1.0), min(middle + half, 1.0)
    return f"{short(value)} ({short(low)} to {short(high)})"


def _jigsaw_rows(configs):
    order = {"mnist": 0, "celeba": 1, "imagenet": 2}
    rows = [row for row in records.rows(configs) if row.startswith("jigsaw_")]

    def place(row):
        _, source, grid, network = row.split("_")[:4]
        return order.get(source, -1), network, grid

    found = [(row, records.read(configs, row)) for row in sorted(rows, key=place)]
    return [(row, record) for row, record in found if record]


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


def _table(heads, lines):
    rule = ["---"] * len(heads)
    return ["| " + " | ".join(cells) + " |" for cells in (heads, rule, *lines)]


TABLES = {
    "sorting": sorting,
    "sorting_by_index": sorting_by_index,
    "sorting_ablation": sorting_ablation,
    "jigsaw": jigsaw,
    "jigsaw_by_content": jigsaw_by_content,
}
