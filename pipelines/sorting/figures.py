"""The picture of a network that sorts."""

from matplotlib import colors
from matplotlib.figure import Figure

from pipelines.shared import figures


def draw(path, soft, errors, slopes, inversions, kink):
    """Draws the soft permutations, the errors and the slopes of a network that sorts.

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
    figure = Figure(figsize=(2.6 * columns, 5.4), layout="constrained")
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
    figures.save(figure, path)
