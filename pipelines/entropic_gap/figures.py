"""The picture of the entropic penalty beside its bounds."""

import matplotlib.pyplot as plt

from pipelines.shared.files import write_whole


def draw(path, curves, thresholds):
    """Draws suboptimality against eta beside its bounds.

    Args:
        path: PNG file to write.
        curves: Dict of a title to a dict of `eta`, `measured`, `slow rate`,
            `fast rate`, `lower bound` (arrays, or None) and `threshold`, a number.
        thresholds: Dicts of `n`, `lower`, `measured`, `upper`, `slow`: the least eta
            on the matrix of Theorem 2.
    """
    columns = (len(curves) + 2) // 2
    figure, axes = plt.subplots(
        2, columns, figsize=(4 * columns, 6.6), layout="constrained", squeeze=False
    )
    styles = {
        "measured": "k.-",
        "slow rate": "C0--",
        "fast rate": "C1-",
        "lower bound": "C2:",
    }
    axes = list(axes.flat)
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
    write_whole(path, lambda name: figure.savefig(name, dpi=110))
    plt.close(figure)
