"""The picture of the entropic penalty beside its bounds."""

from matplotlib.figure import Figure

from pipelines.shared import figures


def draw(path, curves, thresholds):
    """Draws suboptimality against eta beside its bounds.

    Args:
        path: PNG file to write.
        curves: Dict of a title to a dict of `eta`, `measured`, `slow rate`,
            `fast rate`, `lower bound` (arrays, or None) and `threshold`, a number.
        thresholds: List of dicts of `n`, `lower`, `measured`, `upper` and `slow`: the
            least eta on the matrix of theorem 2, and its bounds.
    """
    columns = (len(curves) + 2) // 2
    figure = Figure(figsize=(4 * columns, 6.6), layout="constrained")
    axes = list(figure.subplots(2, columns, squeeze=False).flat)
    styles = {
        "measured": "k.-",
        "slow rate": "C0--",
        "fast rate": "C1-",
        "lower bound": "C2:",
    }
    for axis, (title, curve) in zip(axes, curves.items(), strict=False):
        for name, style in styles.items():
            if curve[name] is not None:
                axis.loglog(curve["eta"], curve[name], style, markersize=4, label=name)
        axis.axvline(curve["threshold"], color="0.7", linewidth=0.8)
        top = max(curve["measured"].max(), 1e-12)
        axis.set_ylim(1e-12 * top, 30 * top)
        axis.set_title(title, fontsize=9)
        axis.set_xlabel("eta = 1 / temperature; line: (R1 + RH) / gap", fontsize=8)
        axis.set_ylabel("suboptimality", fontsize=8)
        axis.legend(fontsize=7)
    axis = axes[len(curves)]
    n = [row["n"] for row in thresholds]
    for name, label, style in (
        ("slow", "slow rate", "C0--"),
        ("upper", "Prop. 5", "C1-"),
        ("measured", "measured", "k.-"),
        ("lower", "lower bound", "C2:"),
    ):
        axis.loglog(n, [row[name] for row in thresholds], style, label=label)
    axis.set_title("Theorem 2: least eta of a suboptimality <= 1/4", fontsize=9)
    axis.set_xlabel("n", fontsize=8)
    axis.legend(fontsize=7)
    for axis in axes[len(curves) + 1 :]:
        axis.axis("off")
    figures.save(figure, path)
