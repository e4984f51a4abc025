"""The results as plain text, and the ratios of seconds that sum them up."""

from pipelines.benchmark.cases import WRONG
from pipelines.benchmark.peers import PEERS

_TITLES = {
    ("operator", "forward"): "Operator, forward",
    ("operator", "backward"): "Operator, forward + backward",
    ("scaling", "forward"): "As N grows, forward",
    ("scaling", "backward"): "As N grows, forward + backward",
    ("accuracy", "forward"): "Accuracy of the plan over temperatures",
    ("accuracy", "backward"): "Accuracy of the gradient over temperatures",
    ("solver", "solve"): "Solver on the tight instance",
    ("matching", "match"): "Matching",
    ("shapes", "forward"): "Sets of any size and masses, forward",
    ("shapes", "backward"): "Sets of any size and masses, forward + backward",
    ("shapes", "match"): "Rectangles and ragged sets, matching",
    ("eager", "forward_sizes"): "Many sizes, called eagerly, forward",
    ("eager", "backward_sizes"): "Many sizes, called eagerly, forward + backward",
    ("eager", "match_sizes"): "Many sizes, called eagerly, matching",
    ("eager", "certify_sizes"): "Many sizes, called eagerly, certified matching",
    ("eager", "rank_sizes"): "Many sizes, called eagerly, soft ranks",
    ("large", "forward"): "Large matrices, forward",
    ("large", "backward"): "Large matrices, forward + backward",
    ("spread", "forward"): "Logits of spread 3, forward",
    ("spread", "backward"): "Logits of spread 3, forward + backward",
    ("serving", "serve"): "Exported solvers",
    ("serving", "request"): "Requests of a jigsaw model",
}


_BOUNDS = ("bound", "bound_graph")


def median(measured, name):
    """The median seconds of a peer, or None if it has none or is wrong."""
    result = measured.get(name, {})
    if "seconds" not in result or is_wrong(result):
        return None
    return result["seconds"]["median"]


def is_wrong(result):
    """Whether a result is not finite or too far from the reference."""
    return "error" in result and (result["error"] is None or result["error"] > WRONG)


def ratios(case, measured):
    """Ratios of seconds between the results that are present and right.

    Args:
        case: A `Case`.
        measured: Dict of a peer's name to its result.

    Returns:
        Dict of floats: `<peer> / ours_xla` for every peer; for the operator also
        `log loop / ours_xla`, with the better of the two loops, and `ours_xla / bound`,
        with the better of the two bounds, and so for our other modes; for the solver
        `plain / ours_xla` with the better of the plain iterations, which stop at 1e-3;
        for serving, and for the matching of sets of different sizes, `<peer> / scipy`.
    """
    seconds = {name: median(measured, name) for name in measured}
    seconds = {name: value for name, value in seconds.items() if value is not None}

    def best(*names):
        return min((seconds[n] for n in names if n in seconds), default=None)

    pairs = {
        f"{name} / ours_xla": (value, seconds.get("ours_xla"))
        for name, value in seconds.items()
        if name not in ("ours_xla", *_BOUNDS)
    }
    for ours in ("ours_xla", "ours_graph", "ours_call"):
        own = seconds.get(ours)
        if case.kind in ("forward", "backward"):
            loop = best("log_xla", "log_graph")
            pairs[f"log loop / {ours}"] = (loop, own)
            pairs[f"{ours} / bound"] = (own, best(*_BOUNDS))
        if case.kind == "solve":
            pairs[f"plain / {ours}"] = (best("log_xla", "iterations_xla"), own)
    if case.section == "serving" or (case.section, case.kind) == ("shapes", "match"):
        pairs |= {
            f"{name} / scipy": (value, seconds.get("scipy"))
            for name, value in seconds.items()
            if name != "scipy"
        }
    return {name: a / b for name, (a, b) in pairs.items() if a and b}


def report(records):
    """All tables as text.

    Args:
        records: List of pairs of a `Case` and its part of `benchmark.json`.
    """
    parts = []
    for group, title in _TITLES.items():
        chosen = [(c, r) for c, r in records if (c.section, c.kind) == group]
        if chosen:
            parts.append(_SECTIONS[chosen[0][0].section](title, chosen))
    return "\n\n".join(parts)


def _operator(title, records):
    return "\n\n".join(
        [
            _matrix(f"{title}: milliseconds (! wrong)", records, _milliseconds),
            _matrix(f"{title}: times ours, XLA", records, _relative),
            _matrix(
                f"{title}: times the better bound of 2L mat-vecs", records, _of_bound
            ),
            _matrix(f"{title}: largest error", records, _error),
            *(
                [_matrix(f"{title}: residual", records, _number("residual", ".0e"))]
                if records[0][0].kind == "forward"
                else []
            ),
            _matrix(
                f"{title}: peak memory with compiling, MiB",
                records,
                _number("memory_mib", ".0f"),
            ),
            _summary(title, records),
        ]
    )


def _accuracy(title, records):
    text = _matrix(f"{title}: largest error (NaN: not finite)", records, _error)
    if records[0][0].kind == "forward":
        # S^L itself has a residual: at low temperatures it is far from the limit.
        reference = [f"{record['reference_residual']:.0e}" for _, record in records]
        text += "\n\n" + _matrix(
            f"{title}: residual",
            records,
            _number("residual", ".0e"),
            [("float64 reference", reference)],
        )
    return text


def _solver(title, records):
    return "\n\n".join(
        [
            _matrix(f"{title}: milliseconds", records, _milliseconds),
            _matrix(f"{title}: residual reached", records, _number("residual", ".0e")),
            _matrix(f"{title}: iterations", records, _number("iterations", ",")),
            _summary(title, records),
        ]
    )


def _matching(title, records):
    batch = records[0][0].batch
    return "\n\n".join(
        [
            _matrix(f"{title}, batch {batch}: milliseconds", records, _milliseconds),
            _matrix(f"{title}: times ours, XLA", records, _relative),
            _matrix(f"{title}: largest loss of value", records, _error),
            _matrix(f"{title}: share proven", records, _number("proven", ".2f")),
        ]
    )


def _shapes(title, records):
    if records[0][0].kind != "match":
        return _operator(title, records)
    return "\n\n".join(
        [
            _matrix(f"{title}: milliseconds (! wrong)", records, _milliseconds),
            _matrix(f"{title}: times ours, XLA", records, _relative),
            _matrix(f"{title}: times SciPy", records, _of_scipy),
            _matrix(f"{title}: largest loss of value", records, _error),
            _matrix(f"{title}: share proven", records, _number("proven", ".2f")),
        ]
    )


def _eager(title, records):
    return "\n\n".join(
        [
            _matrix(
                f"{title}: seconds of the first calls of a new process, one of each size",
                records,
                _number("first_call_seconds", ".2f"),
            ),
            _matrix(f"{title}: milliseconds of a later call", records, _milliseconds),
            _matrix(f"{title}: warnings", records, _number("warnings", "d")),
            _matrix(f"{title}: largest error", records, _error),
        ]
    )


def _serving(title, records):
    parts = []
    for source in dict.fromkeys(case.source for case, _ in records):
        part = [(case, record) for case, record in records if case.source == source]
        head = f"{title}, {source}"
        parts += [
            _matrix(f"{head}: milliseconds", part, _milliseconds),
            _matrix(f"{head}: 99th percentile of the calls", part, _p99),
            _matrix(f"{head}: times SciPy", part, _of_scipy),
            _matrix(f"{head}: share proven", part, _number("proven", ".2f")),
        ]
    return "\n\n".join(part for part in parts if not part.endswith(": none"))


_SECTIONS = {
    "serving": _serving,
    "operator": _operator,
    "scaling": _operator,
    "accuracy": _accuracy,
    "solver": _solver,
    "matching": _matching,
    "shapes": _shapes,
    "eager": _eager,
    "large": _operator,
    "spread": _operator,
}


def _matrix(title, records, cell, extra=()):
    """A table with a line for each peer that has an entry, a column for each case."""
    rows = list(extra)
    for name, peer in PEERS.items():
        cells = [cell(record, name) for _, record in records]
        if any(cells):
            rows.append((peer.label, [text or "-" for text in cells]))
    return _aligned(title, [case.size for case, _ in records], rows)


def _summary(title, records):
    """The table of the ratios between ours, the loop and the bound."""
    names = [n for _, record in records for n in record["ratios"]]
    chosen = [
        n
        for n in dict.fromkeys(names)
        if n.startswith(("log loop /", "plain /")) or n.endswith("/ bound")
    ]
    rows = []
    for name in sorted(chosen):
        cells = [record["ratios"].get(name) for _, record in records]
        label = " / ".join(
            PEERS[part].label if part in PEERS and part != "bound" else part
            for part in name.split(" / ")
        )
        rows.append((label, [f"{x:.2f}" if x else "-" for x in cells]))
    return _aligned(f"{title}: ratios", [case.size for case, _ in records], rows)


def _aligned(title, columns, rows):
    """Aligns the columns of a table, whose rows are pairs of a label and cells."""
    if not rows:
        return f"{title}: none"
    first = max([len(label) for label, _ in rows], default=0) + 2
    widths = [
        max([len(column)] + [len(cells[k]) for _, cells in rows]) + 2
        for k, column in enumerate(columns)
    ]

    def line(label, cells):
        padded = zip(cells, widths, strict=True)
        return f"{label:{first}}" + "".join(f"{x:>{width}}" for x, width in padded)

    return "\n".join([title, line("", columns), *(line(*row) for row in rows)])


def _milliseconds(record, name):
    result = record["peers"].get(name, {})
    if "seconds" not in result:
        return _absent(result)
    value = result["seconds"]["median"] * 1e3
    return f"{value:.3g}" + ("!" if is_wrong(result) else "")


def _relative(record, name):
    ratio = record["ratios"].get(f"{name} / ours_xla")
    return f"{ratio:.2f}" if ratio else ""


def _p99(record, name):
    seconds = record["peers"].get(name, {}).get("seconds")
    return f"{seconds['p99_of_calls'] * 1e3:.3g}" if seconds else ""


def _of_scipy(record, name):
    ratio = record["ratios"].get(f"{name} / scipy")
    return f"{ratio:.2f}" if ratio else ""


def _of_bound(record, name):
    value = median(record["peers"], name)
    bounds = [median(record["peers"], bound) for bound in _BOUNDS]
    best = min((bound for bound in bounds if bound), default=None)
    return f"{value / best:.2f}" if value and best and name not in _BOUNDS else ""


def _error(record, name):
    result = record["peers"].get(name, {})
    if "error" not in result:
        return _absent(result)
    return "NaN" if result["error"] is None else f"{result['error']:.0e}"


def _number(key, form):
    """Makes a function for `_matrix` that formats the number under a key of a result."""

    def cell(record, name):
        value = record["peers"].get(name, {}).get(key)
        return "" if value is None else format(value, form)

    return cell


def _absent(result):
    return "failed" if "failed" in result else ""
