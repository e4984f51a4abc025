"""The tables of jigsaw puzzles: functions of records to lines of Markdown."""

import re

from pipelines.report import paper
from pipelines.report.formats import changes, markdown, mean, minutes, runs_of, short
from pipelines.report.intervals import interval

# Scores, their names in tables, and which of several values is the worst.
_SCORES = (
    ("proportion_wrong", "P.W.", max),
    ("proportion_any_wrong", "P.A.W.", max),
    ("kendall_tau", "Kendall tau", min),
)
_WRONG = ("proportion_wrong", "proportion_any_wrong")
_RIGHT = ("pieces_right", "puzzles_right")


def scores(records):
    """Scores of jigsaws by index: Mena et al. (2018), table 2, with 95 % intervals.

    A row with several seeds has a second line with the worst value of each score.
    """
    heads = ["row", "", *(name for _, name, _ in _SCORES), "oracle", "paper", "loss"]
    lines = []
    for row, record in _rows(records):
        oracle = [mean([run["oracle"][key] for run in record]) for key, *_ in _SCORES]
        lines.append(
            [
                f"`{row}`",
                runs_of(record),
                *(interval(record, key) for key, *_ in _SCORES),
                " / ".join(map(short, oracle)),
                " / ".join(paper.jigsaw(row)[:3]),
                record[0]["flags"]["loss"].replace("_", " "),
            ]
        )
        if len(record) > 1:
            worst = [over([run[key] for run in record]) for key, _, over in _SCORES]
            lines.append(["", "worst", *map(short, worst), "", "", ""])
    return markdown(heads, lines)


def by_content(records):
    """Shares of jigsaws that are right, by index and by content, and l1, l2.

    A row with several seeds has a second line with the worst value of each.
    """
    heads = ["row", "", "pieces right", "puzzles right", "pieces, by content"]
    heads += ["puzzles, by content", "l1", "l2", "paper l1 / l2", "puzzles", "minutes"]
    lines = []
    for row, record in _rows(records):
        lines.append(
            [
                f"`{row}`",
                runs_of(record),
                *_cells_by_content(record, mean, mean),
                " / ".join(paper.jigsaw(row)[3:]),
                f"{record[0]['n_examples']:,}",
                minutes(record),
            ]
        )
        if len(record) > 1:
            worst = _cells_by_content(record, min, max)
            lines.append(["", "worst", *worst, "", "", ""])
    return markdown(heads, lines)


def _cells_by_content(record, of_shares, of_differences):
    """The shares that are right, by index and by content, then l1 and l2, as strings.

    Args:
        record: The record of a row.
        of_shares: Function of the list of the runs' shares to one number.
        of_differences: The same for l1 and l2.
    """
    shares = [[run[key] for run in record] for key in _RIGHT]
    shares += [[run["by_content"][key] for run in record] for key in _RIGHT]
    differences = [[run[key] for run in record] for key in ("l1", "l2")]
    values = [*map(of_shares, shares), *map(of_differences, differences)]
    return [short(value) for value in values]


def fit(records):
    """Errors of the `paper` network on the puzzles it was trained on, and on the test."""
    heads = ["row", ""]
    for name in ("P.W.", "P.A.W."):
        heads += [f"{name}, train", f"{name}, test", f"{name}, paper"]
    lines = []
    for row, record in _rows(records):
        runs, on_train = _evaluated(record, f"{_dataset(record)} train")
        if runs and _network(row) == "paper":
            of_paper = paper.jigsaw(row)[:2] or ("", "")
            cells = []
            for key, printed in zip(_WRONG, of_paper, strict=True):
                cells += [interval(on_train, key), interval(runs, key), printed]
            lines.append([f"`{row}`", runs_of(runs), *cells])
    return markdown(heads, lines)


def generalisation(records):
    """P.W. of networks on datasets that they were not trained on.

    The runs of a row are those that were measured on the most datasets.
    """
    rows = [(row, _measured_elsewhere(runs)) for row, runs in _rows(records)]
    names = sorted({name for _, runs in rows for r in runs for name in _elsewhere(r)})
    lines = []
    for row, runs in rows:
        if runs:
            on = {name: _evaluated(runs, name)[1] for name in names}
            on[_dataset(runs)] = runs
            cells = [
                interval(on[name], "proportion_wrong") if on[name] else ""
                for name in names
            ]
            lines.append([f"`{row}`", runs_of(runs), *cells])
    return markdown(["P.W. of", "", *(f"on {name}" for name in names)], lines)


def _measured_elsewhere(runs):
    most = max(len(_elsewhere(run)) for run in runs)
    return [run for run in runs if 0 < len(_elsewhere(run)) == most]


def mirrored(records):
    """Scores with the network's logits, and averaged with those of the mirror image."""
    heads = ["row", "", "P.W.", "P.W., averaged", "P.A.W.", "P.A.W., averaged"]
    lines = []
    for row, record in _rows(records):
        runs, averaged = _evaluated(record, f"{_dataset(record)} mirrored")
        if runs:
            cells = [interval(x, key) for key in _WRONG for x in (runs, averaged)]
            lines.append([f"`{row}`", runs_of(runs), *cells])
    return markdown(heads, lines)


def ablation(records):
    """Short trainings on jigsaws, with one changed setting in each row."""
    heads = ["row", "changed", "", "P.W.", "P.A.W.", "cross-entropy", "minutes"]
    lines = []
    known = [row for row in sorted(records) if records[row]]
    for base in [row for row in known if row.endswith("_short")]:
        beginning = base.removesuffix("short")
        others = [row for row in known if row.startswith(beginning) and row != base]
        for row in (base, *others):
            record = records[row]
            lines.append(
                [
                    f"`{row}`",
                    "" if row == base else changes(records[base][0], record[0]),
                    runs_of(record),
                    *(interval(record, key) for key in _WRONG),
                    f"{mean([run['cross_entropy'] for run in record]):.3f}",
                    minutes(record),
                ]
            )
    return markdown(heads, lines)


def search(records):
    """Settings by hand beside those of a search, on the validation and test splits."""
    heads = ["row", "settings", "", "P.W., validation", "P.A.W., validation"]
    heads += ["P.W., test", "P.A.W., test"]
    lines = []
    for tuned, _ in _rows(records):
        base = tuned.removesuffix("_tuned")
        if base == tuned or not records.get(base):
            continue
        # A flag that is newer than one run may be known from another.
        flags = {k: v for run in records[base] for k, v in run["flags"].items()}
        for row in (base, tuned):
            name = f"{_dataset(records[row])} validation"
            runs, held_out = _evaluated(records[row], name)
            if not runs:
                raise KeyError(name)
            changed = changes({"flags": flags}, runs[0])
            settings = "by hand" if row == base else changed
            cells = [interval(x, key) for x in (held_out, runs) for key in _WRONG]
            lines.append([f"`{row}`", settings, runs_of(runs), *cells])
    return markdown(heads, lines)


def _rows(records):
    """The names and records of the rows of jigsaws, a list of pairs."""
    order = {"mnist": 0, "celeba": 1, "imagenet": 2}
    rows = [r for r in records if re.fullmatch(r"jigsaw_[a-z]+_\d+x\d+_\w+", r)]

    def place(row):
        _, source, grid = row.split("_")[:3]
        return order.get(source, -1), _network(row), row.count("_"), grid

    return [(row, records[row]) for row in sorted(rows, key=place) if records[row]]


def _network(row):
    """The network of a row: `paper` or `context`."""
    return row.split("_")[3]


def _dataset(record):
    """The dataset that the runs of a record were trained on."""
    return record[0]["flags"]["dataset"]


def _evaluated(record, name):
    """The runs of a record that have an evaluation, and its scores: two lists."""
    runs = [run for run in record if name in run.get("evaluations", {})]
    return runs, [run["evaluations"][name] for run in runs]


def _elsewhere(run):
    """The names of the evaluations of a run on other datasets than its own."""
    other_roles = (" mirrored", " validation", " train")
    return [
        name
        for name in run.get("evaluations", {})
        if name != run["flags"]["dataset"] and not name.endswith(other_roles)
    ]
