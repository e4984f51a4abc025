"""Pictures of results."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import colors

from pipelines.files import write_whole


def image_rows(path, rows, *, frames=None, grid=1):
    """Draws rows of images, wrong pieces framed in red.

    Args:
        path: PNG file to write.
        rows: Dict of a row's label to images `[k, H, W, C]` in [0, 1].
        frames: Dict of a row's label to bool `[k, N]`, the positions to frame.
        grid: Pieces along a side of an image.
    """
    k = len(next(iter(rows.values())))
    figure, axes = plt.subplots(
        len(rows), k, figsize=(1.1 * k + 1.4, 1.1 * len(rows) + 0.5), squeeze=False
    )
    for row, (label, images) in zip(axes, rows.items(), strict=True):
        wrong = (frames or {}).get(label)
        for column, (axis, image) in enumerate(zip(row, images, strict=True)):
            _show(axis, image)
            axis.set_xticks([])
            axis.set_yticks([])
            if wrong is not None:
                _frame(axis, image.shape[0] / grid, grid, wrong[column])
        row[0].set_ylabel(label, rotation=0, ha="right", va="center", labelpad=8)
    figure.tight_layout(pad=0.3, h_pad=0.2, w_pad=0.2)
    write_whole(path, lambda name: figure.savefig(name, dpi=110, bbox_inches="tight"))
    plt.close(figure)


def image_tables(path, tables, labels):
    """Draws tables of images side by side, columns numbered from 0.

    Args:
        path: PNG file to write.
        tables: Dict of a table's title to images `[rows, columns, H, W, C]` in [0, 1].
        labels: Of the rows.
    """
    columns = [images.shape[1] for images in tables.values()]
    figure, axes = plt.subplots(
        1,
        len(tables),
        figsize=(0.4 * sum(columns) + 1.5, 0.4 * len(labels) + 0.6),
        width_ratios=columns,
        squeeze=False,
    )
    for axis, (title, images) in zip(axes[0], tables.items(), strict=True):
        rows, k, height, width, channels = images.shape
        lined = np.pad(
            images, ((0, 0), (0, 0), (1, 1), (1, 1), (0, 0)), constant_values=1
        )
        whole = lined.transpose(0, 2, 1, 3, 4).reshape(
            rows * (height + 2), k * (width + 2), channels
        )
        _show(axis, whole)
        axis.set_title(title)
        axis.set_frame_on(False)
        axis.tick_params(length=0, labeltop=True, labelbottom=False)
        axis.set_xticks((np.arange(k) + 0.5) * (width + 2), range(k) if k > 1 else [""])
        axis.set_yticks([])
    axes[0, 0].set_yticks((np.arange(rows) + 0.5) * (height + 2), labels)
    figure.tight_layout(pad=0.3)
    write_whole(path, lambda name: figure.savefig(name, dpi=110, bbox_inches="tight"))
    plt.close(figure)


def _show(axis, image):
    """Shows an image `[H, W, C]`; values outside [0, 1] are as black and white."""
    # Matplotlib clips too, but warns of it for colours.
    image = np.clip(image, 0, 1)
    axis.imshow(
        image.squeeze(-1) if image.shape[-1] == 1 else image,
        cmap="gray",
        vmin=0,
        vmax=1,
        interpolation="nearest",
    )


def _frame(axis, side, grid, wrong):
    """Frames the positions `wrong`, counted row by row."""
    for position in wrong.nonzero()[0]:
        y, x = divmod(int(position), grid)
        axis.add_patch(
            plt.Rectangle(
                (x * side - 0.5, y * side - 0.5),
                side,
                side,
                fill=False,
                edgecolor="red",
                linewidth=1.5,
            )
        )


def sorting(path, soft, errors, slopes, inversions, kink):
    """Draws what is known of a network that sorts.

    Args:
        path: PNG file to write.
        soft: Dict of a title to the soft permutation `[N, N]` of a sorted list, early
            to late in training.
        errors: Dict of an interval to `(proportion_wrong, proportion_any_wrong)`.
        slopes: `[N]`, the slopes of the logits beyond the last kink.
        inversions: Places j where `slopes[j + 1]` is not above `slopes[j]`.
        kink: The last kink.
    """
    columns = max(len(soft), 2)
    figure = plt.figure(figsize=(2.6 * columns, 5.4), layout="constrained")
    grid = figure.add_gridspec(2, 2 * columns)
    most = max((plan.max() for plan in soft.values()), default=1.0)
    for column, (title, plan) in enumerate(soft.items()):
        axis = figure.add_subplot(grid[0, 2 * column : 2 * column + 2])
        axis.imshow(plan, cmap="viridis", norm=colors.PowerNorm(0.5, 0, most))
        axis.set(xticks=[], yticks=[])
        axis.set_title(f"soft permutation, {title}", fontsize=9)
    axis = figure.add_subplot(grid[1, :columns])
    place = range(len(errors))
    for shift, label, part in ((-0.2, "P.W.", 0), (0.2, "P.A.W.", 1)):
        bars = axis.bar(
            [p + shift for p in place], [e[part] for e in errors.values()], 0.4
        )
        axis.bar_label(bars, fmt="%.3g", fontsize=6)
        bars.set_label(label)
    axis.set_xticks(place, errors, rotation=30, ha="right", fontsize=7)
    axis.set_ylim(0, max(0.01, 1.15 * max(max(e) for e in errors.values())))
    axis.set_title("errors by content", fontsize=9)
    axis.legend(fontsize=7)
    axis = figure.add_subplot(grid[1, columns:])
    axis.plot(slopes, ".", markersize=3)
    if len(inversions):
        axis.plot(inversions, slopes[inversions], "rx", label="not below the next")
        axis.legend(fontsize=7)
    axis.set_title(
        f"slopes beyond {kink:.3g}, the last kink: {len(inversions)} inversions",
        fontsize=9,
    )
    axis.set_xlabel("position", fontsize=8)
    write_whole(path, lambda name: figure.savefig(name, dpi=110))
    plt.close(figure)


def entropic_gap(path, curves, thresholds):
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
