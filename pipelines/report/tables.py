"""The tables: functions of records to lines of Markdown; here sorting and assembly."""

import re

from pipelines.report import jigsaw_tables, paper
from pipelines.report.formats import (
    changes,
    markdown,
    mean,
    mean_run,
    minutes,
    runs_of,
    share,
    short,
)
from pipelines.shared.lists import INTERVALS


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


def assembly(records):
    """The shares that judges accept: Mena et al. (2018), section 4.3.

    The judge of the paper is a convolutional network, as one of the judges here. The images
    that are assembled as their own digit have columns of their own.
    """
    heads = ["row", "", "convolutional judge", "mean of the judges", "worst judge"]
    heads += ["of the 1s, worst judge", "soft, mean", "same digit, mean"]
    heads += ["same digit, soft", "minutes"]
    lines = []
    for row in _assembly_rows(records):
        record = records[row]
        lines.append([f"`{row}`", "paper", paper.ASSEMBLY, *[""] * 7])
        for label, over in ((runs_of(record), mean), ("worst", min)):
            if label == "worst" and len(record) == 1:
                continue
            shares = [_assembly_shares(run) for run in record]
            cells = [share(over(values)) for values in zip(*shares, strict=True)]
            lines.append(
                ["", label, *cells, "" if label == "worst" else minutes(record)]
            )
    return markdown(heads, lines)


def _assembly_shares(run):
    """The shares of one run in a line of `assembly`."""
    hard, soft = run["hard"], run["soft"]
    by_judge = [judge["hard"] for judge in run["judges"]]
    return (
        convolutional_share(run),
        hard["acceptance"],
        min(x["acceptance"] for x in by_judge),
        min(x["by_target"][1] for x in by_judge),
        soft["acceptance"],
        hard["same_digit"],
        soft["same_digit"],
    )


def convolutional_share(run):
    """The share of hard assemblies of another digit that the convolutional judge accepts."""
    (share_of_it,) = (
        judge["hard"]["acceptance"]
        for judge in run["judges"]
        if judge["name"] == "convolutional"
    )
    return share_of_it


def assembly_judges(records):
    """The shares that each judge accepts of other digits, by digit, the worst first."""
    lines, count = [], 0
    for row in _assembly_rows(records):
        by_name = {}
        for run in records[row]:
            for judge in run["judges"]:
                by_name.setdefault(judge["name"], []).append(judge)
        known = [mean_run(runs) for runs in by_name.values()]
        for judge in sorted(known, key=lambda x: x["hard"]["acceptance"]):
            by_target = judge["hard"]["by_target"]
            count = len(by_target)
            lines.append(
                [
                    f"`{row}`",
                    judge["name"],
                    short(judge["accuracy"]),
                    *(short(judge[kind]["acceptance"]) for kind in ("hard", "soft")),
                    *(short(x) for x in by_target),
                ]
            )
    heads = ["row", "judge", "test digits", "hard", "soft"]
    return markdown([*heads, *(f"hard, {k}" for k in range(count))], lines)


def assembly_pairs(records):
    """Shares that judges accept in the mean, hard / soft, by source and target."""
    if "assembly_mnist" not in _assembly_rows(records):
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
    """The rows of assembly that were measured by a panel of judges.

    Records that are older than the panel have no judges: they are left out.
    """
    return [
        row
        for row in sorted(records)
        if row.startswith("assembly_")
        and records[row]
        and all("judges" in run for run in records[row])
    ]


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
    "jigsaw": jigsaw_tables.scores,
    "jigsaw_by_content": jigsaw_tables.by_content,
    "jigsaw_fit": jigsaw_tables.fit,
    "assembly": assembly,
    "assembly_judges": assembly_judges,
    "assembly_pairs": assembly_pairs,
    "jigsaw_ablation": jigsaw_tables.ablation,
    "generalisation": jigsaw_tables.generalisation,
    "mirrored": jigsaw_tables.mirrored,
    "search": jigsaw_tables.search,
}
