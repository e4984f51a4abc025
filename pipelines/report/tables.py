"""The tables: records in, lines of Markdown out."""

import math
import re

from pipelines.lists import INTERVALS
from pipelines.report import paper

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


def sorting(records):
    """SN table 1: P.W. / P.A.W. by content."""
    heads = ["row", "", *INTERVALS, "minutes"]
    lines = []
    for row in _sorting_rows(records):
        found = records[row]
        name = f"`{row}`"
        if row in paper.SORTING:
            cells = [f"{w} / {a}" for w, a in paper.SORTING[row]]
            lines.append([name, "paper", *cells, ""])
            name = ""
        for label, over in ((runs_of(found), mean), ("worst", max)):
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


def sorting_by_index(records):
    """The same by index, with Kendall's tau, and the lists that have equal numbers."""
    heads = ["row", *INTERVALS, "lists with ties, of 1,000 each"]
    lines = []
    for row in _sorting_rows(records):
        found = records[row]
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


def sorting_ablation(records):
    """One choice changed in each row: the inversions, and three intervals."""
    shown = ("U(0,1)", "U(10,11)", "U(1000,1001)")
    heads = ["row", "changed", "slopes out of order", *shown, "all seven, mean P.W."]
    lines = []
    base = "sorting_n120"
    for row in [
        base,
        *(r for r in sorted(records) if r.startswith(f"ablation/{base}")),
    ]:
        found = records.get(row)
        if not found:
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
                "" if row == base else _changes(records[base][0], found[0]),
                slopes,
                *(cells[place] for place in places),
                share(wrong),
            ]
        )
    return _table(heads, lines)


def jigsaw(records):
    """SN table 2, by index, with 95 % intervals."""
    heads = ["row", *(name for _, name in _JIGSAW), "oracle", "paper", "loss"]
    lines = []
    for row, scores in _jigsaw_rows(records):
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


def jigsaw_by_content(records):
    """The same as shares that are right, by index and by content, and l1, l2."""
    heads = ["row", "pieces right", "puzzles right", "pieces, by content"]
    heads += ["puzzles, by content", "l1", "l2", "paper l1 / l2", "puzzles", "minutes"]
    lines = []
    for row, scores in _jigsaw_rows(records):
        content = scores["by_content"]
        lines.append(
            [
                f"`{row}`",
                *(short(scores[key]) for key in ("pieces_right", "puzzles_right")),
                *(short(content[key]) for key in ("pieces_right", "puzzles_right")),
                *(short(scores[key]) for key in ("l1", "l2")),
                " / ".join(paper.jigsaw(row)[3:]),
                f"{scores['n_examples']:,}",
                minutes([scores]),
            ]
        )
    return _table(heads, lines)


def generalisation(records):
    """P.W. of networks on datasets that they were not trained on."""
    rows = [(r, s) for r, s in _jigsaw_rows(records) if _elsewhere(s)]
    names = sorted({name for _, scores in rows for name in _elsewhere(scores)})
    lines = []
    for row, scores in rows:
        found = {**_elsewhere(scores), scores["flags"]["dataset"]: scores}
        cells = [
            interval(found[name], "proportion_wrong") if name in found else ""
            for name in names
        ]
        lines.append([f"`{row}`", *cells])
    return _table(["P.W. of", *(f"on {name}" for name in names)], lines)


def mirrored(records):
    """Scores with logits as they are, and averaged with those of the mirror image."""
    heads = ["row", "P.W.", "P.W., averaged", "P.A.W.", "P.A.W., averaged"]
    lines = []
    for row, scores in _jigsaw_rows(records):
        name = f"{scores['flags']['dataset']} mirrored"
        averaged = scores.get("evaluations", {}).get(name)
        if averaged:
            keys = ("proportion_wrong", "proportion_any_wrong")
            cells = [interval(x, key) for key in keys for x in (scores, averaged)]
            lines.append([f"`{row}`", *cells])
    return _table(heads, lines)


def jigsaw_ablation(records):
    """One choice changed in each row of the short trainings."""
    heads = ["row", "changed", "P.W.", "P.A.W.", "cross-entropy", "minutes"]
    lines = []
    bases = [row for row in sorted(records) if row.endswith("_short")]
    for base in bases:
        beginning = base.removesuffix("short")
        others = [r for r in sorted(records) if r.startswith(beginning) and r != base]
        for row in (base, *others):
            scores = _mean(records[row])
            lines.append(
                [
                    f"`{row}`",
                    "" if row == base else _changes(records[base][0], scores),
                    interval(scores, "proportion_wrong"),
                    interval(scores, "proportion_any_wrong"),
                    f"{scores['cross_entropy']:.3f}",
                    minutes([scores]),
                ]
            )
    return _table(heads, lines)


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


def assembly(records):
    """SN section 4.3: the shares that the judge accepts, the diagonal apart."""
    heads = ["row", "", "another digit, hard", "another digit, soft"]
    heads += ["same digit, hard", "same digit, soft", "judge", "minutes"]
    lines = []
    for row in _assembly_rows(records):
        found = records[row]
        judge = share(found[0]["judge"]["accuracy"])
        lines.append([f"`{row}`", "paper", paper.ASSEMBLY, "", "", "", ".992", ""])
        for label, over in ((runs_of(found), mean), ("worst", min)):
            shares = [
                share(over([r[kind][name] for r in found]))
                for name in ("acceptance", "same_digit")
                for kind in ("hard", "soft")
            ]
            said = ["", ""] if label == "worst" else [judge, minutes(found)]
            lines.append(["", label, *shares, *said])
    return _table(heads, lines)


def assembly_pairs(records):
    """Hard / soft by source and target, in the row without a suffix."""
    if not records.get("assembly_mnist"):
        return []
    found = _mean(records["assembly_mnist"])
    both = zip(found["hard"]["table"], found["soft"]["table"], strict=True)
    lines = [
        [str(k), *(f"{short(x)} / {short(y)}" for x, y in zip(*cells, strict=True))]
        for k, cells in enumerate(both)
    ]
    return _table(["pieces of", *map(str, range(len(lines)))], lines)


def _assembly_rows(records):
    return [r for r in sorted(records) if r.startswith("assembly_") and records[r]]


def _jigsaw_rows(records):
    order = {"mnist": 0, "celeba": 1, "imagenet": 2}
    rows = [r for r in records if re.fullmatch(r"jigsaw_[a-z]+_\d+x\d+_\w+", r)]

    def place(row):
        _, source, grid, network = row.split("_")[:4]
        return order.get(source, -1), network, row.count("_"), grid

    return [
        (row, _mean(records[row])) for row in sorted(rows, key=place) if records[row]
    ]


def _elsewhere(scores):
    """The evaluations of a run on other datasets than its own: a dict."""
    own = scores["flags"]["dataset"]
    return {
        name: found
        for name, found in scores.get("evaluations", {}).items()
        if name != own and not name.endswith(" mirrored")
    }


def _mean(found):
    """The runs of a record as one: numbers are means, all else that of the first."""
    first = found[0]
    if isinstance(first, dict):
        return {k: _mean([x[k] for x in found]) for k in first if k != "flags"} | (
            {"flags": first["flags"]} if "flags" in first else {}
        )
    if isinstance(first, list):
        return [_mean(list(of_runs)) for of_runs in zip(*found, strict=True)]
    return mean(found) if isinstance(first, float) else first


def _changes(base, metrics):
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


def _sorting_rows(records):
    found = [r for r in records if re.fullmatch(r"sorting_n\d+(_\w+)?", r)]
    size = lambda row: int(re.match(r"sorting_n(\d+)", row).group(1))
    order = sorted(found, key=lambda row: ("_released" in row, size(row)))
    return [row for row in order if records[row]]


def _table(heads, lines):
    rule = ["---"] * len(heads)
    return ["| " + " | ".join(cells) + " |" for cells in (heads, rule, *lines)]


TABLES = {
    "sorting": sorting,
    "sorting_by_index": sorting_by_index,
    "sorting_ablation": sorting_ablation,
    "jigsaw": jigsaw,
    "jigsaw_by_content": jigsaw_by_content,
    "assembly": assembly,
    "assembly_pairs": assembly_pairs,
    "jigsaw_ablation": jigsaw_ablation,
    "generalisation": generalisation,
    "mirrored": mirrored,
}
