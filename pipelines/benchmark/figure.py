"""The picture: ratios per size, and the cost as N grows."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt

from pipelines.benchmark import table
from pipelines.benchmark.peers import PEERS
from pipelines.files import write_whole

_KINDS = {"forward": "forward", "backward": "forward + backward"}

# The same for a peer in every panel, and no two alike.
_COLORS = {"ours_xla": "black", "ours_graph": "slateblue", "bound": "gray"}
_COLORS |= {
    name: plt.get_cmap("tab20")(k)
    for k, name in enumerate(name for name in PEERS if name not in _COLORS)
}


def draw(path, found):
    """Draws what there is of operator, scaling and matching; nothing if there is none.

    Args:
        path: PNG file to write.
        found: List of pairs of a `Case` and its part of `benchmark.json`.
    """
    panels = []
    has_ratios = lambda records: bool(_peers_with_ratios(records))
    for kind, title in _KINDS.items():
        pick = lambda section, kind=kind: [
            (c, r) for c, r in found if (c.section, c.kind) == (section, kind)
        ]
        if has_ratios(pick("operator")):
            panels.append((_bars, f"operator, {title}", pick("operator")))
        if pick("scaling"):
            panels.append((_lines, f"{title} as N grows", pick("scaling")))
    matching = [(c, r) for c, r in found if c.section == "matching"]
    if has_ratios(matching):
        panels.append((_bars, "matching, batch of 64", matching))
    if not panels:
        return
    figure, axes = plt.subplots(
        len(panels), figsize=(12, 4.2 * len(panels)), squeeze=False
    )
    for axis, (paint, title, records) in zip(axes[:, 0], panels, strict=True):
        paint(axis, title, records)
    figure.tight_layout(h_pad=2)
    write_whole(path, lambda name: figure.savefig(name, dpi=100))
    plt.close(figure)


def _bars(axis, title, found):
    """Seconds over those of ours, XLA: a group of bars for each case."""
    names = _peers_with_ratios(found)
    width = 0.85 / max(len(names), 1)
    for k, name in enumerate(names):
        heights = [r["ratios"].get(f"{name} / ours_xla", 0) for _, r in found]
        places = [i + (k - (len(names) - 1) / 2) * width for i in range(len(found))]
        # From 1, up or down.
        axis.bar(
            places,
            [height - 1 if height else 0 for height in heights],
            width,
            bottom=1,
            color=_COLORS[name],
            label=PEERS[name].label,
        )
    axis.axhline(1, color="black", linewidth=1)
    axis.set_yscale("log")
    axis.set_xticks(range(len(found)), [case.size for case, _ in found])
    axis.set_ylabel("time / time of ours, XLA")
    axis.set_title(title)
    axis.grid(axis="y", alpha=0.3)
    axis.set_axisbelow(True)
    axis.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=9)


def _lines(axis, title, found):
    """Milliseconds over N, the bound dashed."""
    for name, peer in PEERS.items():
        points = [(c.n, table.median(r["peers"], name)) for c, r in found]
        points = [(n, 1e3 * seconds) for n, seconds in points if seconds]
        if points:
            axis.plot(
                *zip(*points, strict=True),
                "--" if name == "bound" else "-",
                marker="o",
                markersize=3,
                linewidth=2.5 if name in ("ours_xla", "bound") else 1.2,
                color=_COLORS[name],
                label=peer.label,
            )
    axis.set_xscale("log", base=2)
    axis.set_yscale("log")
    axis.set_xticks([c.n for c, _ in found], [str(c.n) for c, _ in found])
    axis.set_xlabel(f"N (batch {found[0][0].batch}, L = {found[0][0].iterations})")
    axis.set_ylabel("milliseconds")
    axis.set_title(title)
    axis.grid(alpha=0.3)
    axis.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=9)


def _peers_with_ratios(found):
    return [
        name
        for name in PEERS
        if any(f"{name} / ours_xla" in record["ratios"] for _, record in found)
    ]
