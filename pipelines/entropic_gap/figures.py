"""The picture of the entropic penalty beside its bounds."""

from matplotlib.figure import Figure

from pipelines.shared import figures

_STYLES = {
    "measured": ("C2.-", "measured"),
    "slow rate": ("C0--", "slow rate (upper bound)"),
    "fast rate": ("C1-", "fast rate (upper bound)"),
    "lower bound": ("C3:", "lower bound"),
}


def draw(path, curves, thresholds):
    """Draws suboptimality against eta beside its bounds.

    Args:
        path: PNG file to write.
        curves: Dict of a title to a dict of `eta`, `measured`, `slow rate`,
            `fast rate`, `lower bound` (arrays, or None) and `threshold`, a number.
        thresholds: List of dicts of `n`, `lower`, `measured`, `upper` and `slow`: the
            least eta on the matrix of theorem 2, and its bounds.
    """
    with figures.style():
        columns = (len(curves) + 2) // 2
        figure = Figure(figsize=(4 * columns, 7.2), layout="constrained")
        axes = list(figure.subplots(2, columns, squeeze=False).flat)
        for axis, (title, curve) in zip(axes, curves.items(), strict=False):
            _draw_curve(axis, title, curve)
        _draw_thresholds(axes[len(curves)], thresholds)
        for axis in axes[len(curves) + 1 :]:
            axis.axis("off")
        figure.legend(
            *_legend(axes[: len(curves)]), loc="outside upper center", ncols=5
        )
        figures.save_drawing(figure, path)


def _draw_curve(axis, title, curve):
    """Draws the suboptimality of one instance over eta."""
    for name, (style, label) in _STYLES.items():
        if curve[name] is not None:
            axis.loglog(curve["eta"], curve[name], style, markersize=4, label=label)
    axis.axvline(
        curve["threshold"],
        color="0.5",
        linewidth=0.8,
        label="threshold of the fast rate",
    )
    top = max(curve["measured"].max(), 1e-12)
    axis.set_ylim(1e-12 * top, 30 * top)
    axis.set_title(title)
    axis.set_xlabel("eta = 1 / temperature")
    axis.set_ylabel("suboptimality")


def _draw_thresholds(axis, thresholds):
    """Draws the least eta of a small suboptimality over n."""
    n = [row["n"] for row in thresholds]
    for part, label, style in (
        ("slow", "slow rate", "C0--"),
        ("upper", "proposition 5", "C1-"),
        ("measured", "measured", "C2.-"),
        ("lower", "lower bound", "C3:"),
    ):
        axis.loglog(n, [row[part] for row in thresholds], style, label=label)
    axis.set_title("theorem 2: eta for a suboptimality of 1/4")
    axis.set_xlabel("n")
    axis.set_ylabel("least eta")
    axis.legend()


def _legend(axes):
    """The lines of all axes, and their labels, each once."""
    found = {}
    for axis in axes:
        for line, label in zip(*axis.get_legend_handles_labels(), strict=True):
            found.setdefault(label, line)
    return list(found.values()), list(found)
