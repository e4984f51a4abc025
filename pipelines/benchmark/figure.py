"""The picture of a benchmark: ratios for each size, and the cost as N grows."""

import matplotlib
from matplotlib.figure import Figure

from pipelines.benchmark import table
from pipelines.benchmark.peers import PEERS
from pipelines.shared import figures

_KINDS = {"forward": "forward", "backward": "forward + backward"}

# A peer has the same colour in every panel, and no two are alike.
_COLORS = {
    "ours_xla": "#0072B2",
    "ours_graph": "#56B4E9",
    "bound": "gray",
    "bound_graph": "gray",
}
_COLORS |= {
    name: matplotlib.colormaps["tab20"](k)
    for k, name in enumerate(name for name in PEERS if name not in _COLORS)
}


def draw(path, records):
    """Draws the sections operator, scaling, matching and shapes; no file if there is none.

    Args:
        path: PNG file to write.
        records: List of pairs of a `Case` and its part of `benchmark.json`.
    """
    panels = _panels(records)
    if not panels:
        return
    with figures.style():
        figure = Figure(figsize=(12, 4.2 * len(panels)))
        axes = figure.subplots(len(panels), squeeze=False)
        for axis, (paint, title, part) in zip(axes[:, 0], panels, strict=True):
            paint(axis, title, part)
        figure.tight_layout(h_pad=2)
        figures.save_drawing(figure, path, dpi=100)


def _panels(records):
    """A list of triples: a function that paints, a title, and the records to paint."""

    def chosen(*group):
        return [(c, r) for c, r in records if (c.section, c.kind) == group]

    panels = []
    for kind, title in _KINDS.items():
        if _peers_with_ratios(chosen("operator", kind)):
            panels.append((_bars, f"operator, {title}", chosen("operator", kind)))
        if chosen("scaling", kind):
            panels.append((_lines, f"{title} as N grows", chosen("scaling", kind)))
    matching = chosen("matching", "match")
    if _peers_with_ratios(matching):
        panels.append((_bars, "matching, batch of 64", matching))
    for kind, title in (*_KINDS.items(), ("match", "matching")):
        shapes = chosen("shapes", kind)
        if _peers_with_ratios(shapes):
            panels.append((_bars, f"sets of any size and masses, {title}", shapes))
    return panels


def _bars(axis, title, records):
    """Paints the seconds relative to ours, XLA, with a group of bars for each case."""
    names = _peers_with_ratios(records)
    width = 0.85 / max(len(names), 1)
    for k, name in enumerate(names):
        heights = [r["ratios"].get(f"{name} / ours_xla", 0) for _, r in records]
        places = [i + (k - (len(names) - 1) / 2) * width for i in range(len(records))]
        # Bars stand or hang from 1.
        axis.bar(
            places,
            [height - 1 if height else 0 for height in heights],
            width,
            bottom=1,
            color=_COLORS[name],
            label=PEERS[name].label,
        )
    axis.axhline(1, color="0.5", linewidth=1)
    axis.set_yscale("log")
    # A label of two lines does not run into its neighbour.
    labels = [case.size.replace(":", "\n") for case, _ in records]
    axis.set_xticks(range(len(records)), labels)
    axis.set_ylabel("time / time of ours, XLA")
    axis.set_title(title)
    axis.grid(axis="y", alpha=0.3)
    axis.set_axisbelow(True)
    axis.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=9)


def _lines(axis, title, records):
    """Paints milliseconds over N, with the bound dashed."""
    for name, peer in PEERS.items():
        points = [(c.n, table.median(r["peers"], name)) for c, r in records]
        points = [(n, 1e3 * seconds) for n, seconds in points if seconds]
        if points:
            axis.plot(
                *zip(*points, strict=True),
                "--" if name.startswith("bound") else "-",
                marker="o",
                markersize=3,
                linewidth=2.5 if name in ("ours_xla", "bound") else 1.2,
                color=_COLORS[name],
                label=peer.label,
            )
    axis.set_xscale("log", base=2)
    axis.set_yscale("log")
    axis.set_xticks([c.n for c, _ in records], [str(c.n) for c, _ in records])
    axis.set_xlabel(f"N (batch {records[0][0].batch}, L = {records[0][0].iterations})")
    axis.set_ylabel("milliseconds")
    axis.set_title(title)
    axis.grid(alpha=0.3)
    axis.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=9)


def _peers_with_ratios(records):
    return [
        name
        for name in PEERS
        if any(f"{name} / ours_xla" in record["ratios"] for _, record in records)
    ]
