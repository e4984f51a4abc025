"""The tables: functions of records to lines of Markdown."""

import re

from pipelines.report import paper
from pipelines.report.formats import (
    changes,
    interval,
    markdown,
    mean,
    mean_run,
    minutes,
    runs_of,
    share,
    short,
)
from pipelines.shared.lists import INTERVALS

_JIGSAW = (
    ("proportion_wrong", "P.W."),
    ("proportion_any_wrong", "P.A.W."),
    ("kendall_tau", "Kendall tau"),
)


def sorting(records):
    """P.W. / P.A.W. by content: Mena et al. (2018), table 1."""
    heads = ["row", "", *INTERVALS, "minutes"]
    lines = []
    for row in _sorting_rows(records):
        record = records[row]
        name = f"`{row}`"
        if row in paper.SORTING:
            cells = [f"{w} / {a}" for w, a in paper.SORTING[row]]
            lines.append([name, "paper", *cells, ""])
            name = ""
        for label, over in ((runs_of(record), mean), ("worst", max)):
            cells = sorting_cells(record, over)
            time = minutes(record) if label != "worst" else ""
            lines.append([name, label, *cells, time])
            name = ""
    return markdown(heads, lines)


def sorting_cells(record, over):
    """P.W. / P.A.W. by content in each interval, a list of strings.

    Args:
        record: The record of a row.
        over: Function of the list of the runs' scores to one number, such as `mean`.
    """

    def score(interval, name):
        return over([r["intervals"][interval]["by_content"][name] for r in record])

    return [
        f"{share(score(i, 'proportion_wrong'))} / "
        f"{share(score(i, 'proportion_any_wrong'))}"
        for i in INTERVALS
    ]


def sorting_by_index(records):
    """Scores of sorting by index, and the number of lists that have equal numbers."""
    heads = ["row", *INTERVALS, "lists with ties, of 1,000 each"]
    lines = []
    for row in _sorting_rows(records):
        record = records[row]
        cells, ties = [], []
        for name in INTERVALS:
            scores = [r["intervals"][name] for r in record]
            cells.append(
                f"{share(mean([s['proportion_wrong'] for s in scores]))} / "
                f"{share(mean([s['proportion_any_wrong'] for s in scores]))} / "
                f"{short(mean([s['kendall_tau'] for s in scores]))}"
            )
            ties.append(str(scores[0]["n_examples_with_ties"]))
        lines.append([f"`{row}`", *cells, ", ".join(ties)])
    return markdown(heads, lines)


def sorting_ablation(records):
    """Trainings on sorting with one changed setting: inversions, and three intervals."""
    shown = ("U(0,1)", "U(10,11)", "U(1000,1001)")
    heads = ["row", "changed", "slopes out of order", *shown, "all seven, mean P.W."]
    lines = []
    base = "sorting_n120"
    changed = [row for row in sorted(records) if row.startswith(f"ablation/{base}")]
    for row in [base, *changed]:
        record = records.get(row)
        if not record:
            continue
        places = [list(INTERVALS).index(name) for name in shown]
        cells = sorting_cells(record, mean)
        wrong = mean(
            [
                s["by_content"]["proportion_wrong"]
                for r in record
                for s in r["intervals"].values()
            ]
        )
        slopes = ", ".join(str(r["slopes"]["inversions"]) for r in record)
        lines.append(
            [
                f"`{row}`",
                "" if row == base else changes(records[base][0], record[0]),
                slopes,
                *(cells[place] for place in places),
                share(wrong),
            ]
        )
    return markdown(heads, lines)


def jigsaw(records):
    """Scores of jigsaws by index: Mena et al. (2018), table 2, with 95 % intervals."""
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
    return markdown(heads, lines)


def jigsaw_by_content(records):
    """Shares of jigsaws that are right, by index and by content, and l1, l2."""
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
    return markdown(heads, lines)


def generalisation(records):
    """P.W. of networks on datasets that they were not trained on."""
    rows = [(r, s) for r, s in _jigsaw_rows(records) if _elsewhere(s)]
    names = sorted({name for _, scores in rows for name in _elsewhere(scores)})
    lines = []
    for row, scores in rows:
        by_dataset = {**_elsewhere(scores), scores["flags"]["dataset"]: scores}
        cells = [
            interval(by_dataset[name], "proportion_wrong") if name in by_dataset else ""
            for name in names
        ]
        lines.append([f"`{row}`", *cells])
    return markdown(["P.W. of", *(f"on {name}" for name in names)], lines)


def mirrored(records):
    """Scores with the network's logits, and averaged with those of the mirror image."""
    heads = ["row", "P.W.", "P.W., averaged", "P.A.W.", "P.A.W., averaged"]
    lines = []
    for row, scores in _jigsaw_rows(records):
        name = f"{scores['flags']['dataset']} mirrored"
        averaged = scores.get("evaluations", {}).get(name)
        if averaged:
            keys = ("proportion_wrong", "proportion_any_wrong")
            cells = [interval(x, key) for key in keys for x in (scores, averaged)]
            lines.append([f"`{row}`", *cells])
    return markdown(heads, lines)


def jigsaw_ablation(records):
    """Short trainings on jigsaws, with one changed setting in each row."""
    heads = ["row", "changed", "P.W.", "P.A.W.", "cross-entropy", "minutes"]
    lines = []
    known = [row for row in sorted(records) if records[row]]
    for base in [row for row in known if row.endswith("_short")]:
        beginning = base.removesuffix("short")
        others = [row for row in known if row.startswith(beginning) and row != base]
        for row in (base, *others):
            scores = mean_run(records[row])
            lines.append(
                [
                    f"`{row}`",
                    "" if row == base else changes(records[base][0], scores),
                    interval(scores, "proportion_wrong"),
                    interval(scores, "proportion_any_wrong"),
                    f"{scores['cross_entropy']:.3f}",
                    minutes([scores]),
                ]
            )
    return markdown(heads, lines)


def search(records):
    """Settings by hand beside those of a search, on the validation and test splits."""
    heads = ["row", "settings", "", "P.W., validation", "P.A.W., validation"]
    heads += ["P.W., test", "P.A.W., test"]
    lines = []
    for tuned, _ in _jigsaw_rows(records):
        base = tuned.removesuffix("_tuned")
        if base == tuned or not records.get(base):
            continue
        # A flag that is newer than one run may be known from another.
        flags = {k: v for run in records[base] for k, v in run["flags"].items()}
        for row in (base, tuned):
            record = records[row]
            scores = mean_run(record)
            held_out = scores["evaluations"][f"{scores['flags']['dataset']} validation"]
            settings = "by hand" if row == base else changes({"flags": flags}, scores)
            keys = ("proportion_wrong", "proportion_any_wrong")
            cells = [interval(x, key) for x in (held_out, scores) for key in keys]
            lines.append([f"`{row}`", settings, runs_of(record), *cells])
    return markdown(heads, lines)


def assembly(records):
    """The shares that the judge accepts: Mena et al. (2018), section 4.3.

    The images that are assembled as their own digit have columns of their own.
    """
    heads = ["row", "", "another digit, hard", "another digit, soft"]
    heads += ["same digit, hard", "same digit, soft", "judge", "minutes"]
    lines = []
    for row in _assembly_rows(records):
        record = records[row]
        judge = share(record[0]["judge"]["accuracy"])
        lines.append([f"`{row}`", "paper", paper.ASSEMBLY, "", "", "", paper.JUDGE, ""])
        for label, over in ((runs_of(record), mean), ("worst", min)):
            shares = [
                share(over([r[kind][name] for r in record]))
                for name in ("acceptance", "same_digit")
                for kind in ("hard", "soft")
            ]
            last = ["", ""] if label == "worst" else [judge, minutes(record)]
            lines.append(["", label, *shares, *last])
    return markdown(heads, lines)


def assembly_pairs(records):
    """Shares that the judge accepts, hard / soft, by source and target."""
    if not records.get("assembly_mnist"):
        return []
    scores = mean_run(records["assembly_mnist"])
    both = zip(scores["hard"]["table"], scores["soft"]["table"], strict=True)
    lines = [
        [str(k), *(f"{short(x)} / {short(y)}" for x, y in zip(*cells, strict=True))]
        for k, cells in enumerate(both)
    ]
    return markdown(["pieces of", *map(str, range(len(lines)))], lines)


def rows_in(lines, records):
    """The records whose rows a table shows, a dict.

    Args:
        lines: The lines of the table.
        records: Dict of all rows to records.
    """
    text = "\n".join(lines)
    shown = {row: record for row, record in records.items() if f"`{row}`" in text}
    if lines and lines == assembly_pairs(records):
        # This table does not name its only row.
        shown = {"assembly_mnist": records["assembly_mnist"]}
    return shown


def _assembly_rows(records):
    return [r for r in sorted(records) if r.startswith("assembly_") and records[r]]


def _jigsaw_rows(records):
    order = {"mnist": 0, "celeba": 1, "imagenet": 2}
    rows = [r for r in records if re.fullmatch(r"jigsaw_[a-z]+_\d+x\d+_\w+", r)]

    def place(row):
        _, source, grid, network = row.split("_")[:4]
        return order.get(source, -1), network, row.count("_"), grid

    return [
        (row, mean_run(records[row])) for row in sorted(rows, key=place) if records[row]
    ]


def _elsewhere(scores):
    """The evaluations of a run on other datasets than its own: a dict."""
    own = scores["flags"]["dataset"]
    return {
        name: evaluation
        for name, evaluation in scores.get("evaluations", {}).items()
        if name != own and not name.endswith((" mirrored", " validation"))
    }


def _sorting_rows(records):
    rows = [r for r in records if re.fullmatch(r"sorting_n\d+(_\w+)?", r)]

    def place(row):
        size = int(re.match(r"sorting_n(\d+)", row).group(1))
        return "_released" in row, size

    return [row for row in sorted(rows, key=place) if records[row]]


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
    "search": search,
}
