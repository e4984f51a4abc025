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
    with figures.style():
        columns = max(len(soft), 2)
        figure = Figure(figsize=(2.6 * columns, 5.8), layout="constrained")
        grid = figure.add_gridspec(2, 2 * columns)
        most = max((plan.max() for plan in soft.values()), default=1.0)
        for column, (title, plan) in enumerate(soft.items()):
            axis = figure.add_subplot(grid[0, 2 * column : 2 * column + 2])
            axis.imshow(plan, norm=colors.PowerNorm(0.5, 0, most))
            axis.set(xticks=[], yticks=[], xlabel="position")
            if column == 0:
                axis.set_ylabel("item, ascending")
            axis.set_title(f"soft permutation, {title}")
        _errors(figure.add_subplot(grid[1, :columns]), errors)
        _slopes(figure.add_subplot(grid[1, columns:]), slopes, inversions, kink)
        figures.save(figure, path)


def _errors(axis, errors):
    place = range(len(errors))
    for shift, label, part in (
        (-0.2, "wrong numbers", 0),
        (0.2, "lists with any wrong", 1),
    ):
        heights = [pair[part] for pair in errors.values()]
        bars = axis.bar([p + shift for p in place], heights, 0.4, label=label)
        axis.bar_label(bars, fmt="%.3g", fontsize=7)
    axis.set_xticks(place, errors, rotation=30, ha="right", fontsize=8)
    axis.set_ylim(0, max(0.01, 1.15 * max(max(pair) for pair in errors.values())))
    axis.set_xlabel("interval of the numbers")
    axis.set_ylabel("proportion")
    axis.set_title("errors, equal numbers in any order")
    axis.legend(fontsize=8)


def _slopes(axis, slopes, inversions, kink):
    axis.plot(slopes, ".", markersize=4)
    if len(inversions):
        axis.plot(inversions, slopes[inversions], "C1x", label="not below the next")
        axis.legend(fontsize=8)
    axis.set_title(f"{len(inversions)} inversions")
    axis.set_xlabel("position")
    axis.set_ylabel(f"slope of its logit beyond {kink:.3g}")
