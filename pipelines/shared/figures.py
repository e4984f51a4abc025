"""Pictures of results.

They are drawn on `matplotlib.figure.Figure` without pyplot, which would choose a window
system for the whole process: a picture in a file needs no display.
"""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from pipelines.shared.files import write_whole


def save(figure, path, dpi=110, **options):
    """Writes a figure, whole or not at all.

    Args:
        figure: A `matplotlib.figure.Figure`.
        path: PNG file to write.
        dpi: Pixels per inch.
        **options: Further arguments of `Figure.savefig`.
    """
    write_whole(path, lambda name: figure.savefig(name, dpi=dpi, **options))


def image_rows(path, rows, *, frames=None, grid=1):
    """Draws rows of images, wrong pieces framed in red.

    Args:
        path: PNG file to write.
        rows: Dict of a row's label to images `[k, H, W, C]` in [0, 1].
        frames: Dict of a row's label to bool `[k, N]`, the positions to frame.
        grid: Pieces along a side of an image.
    """
    k = len(next(iter(rows.values())))
    figure = Figure(figsize=(1.1 * k + 1.4, 1.1 * len(rows) + 0.5))
    axes = figure.subplots(len(rows), k, squeeze=False)
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
    save(figure, path, bbox_inches="tight")


def image_tables(path, tables, labels):
    """Draws tables of images side by side, columns numbered from 0.

    Args:
        path: PNG file to write.
        tables: Dict of a table's title to images `[rows, columns, H, W, C]` in [0, 1].
        labels: Strings, the labels of the rows.
    """
    columns = [images.shape[1] for images in tables.values()]
    figure = Figure(figsize=(0.4 * sum(columns) + 1.5, 0.4 * len(labels) + 0.6))
    axes = figure.subplots(1, len(tables), width_ratios=columns, squeeze=False)
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
    save(figure, path, bbox_inches="tight")


def _show(axis, image):
    """Shows an image `[H, W, C]`, with values outside [0, 1] clipped."""
    # Matplotlib clips too, but warns when it clips colours.
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
            Rectangle(
                (x * side - 0.5, y * side - 0.5),
                side,
                side,
                fill=False,
                edgecolor="red",
                linewidth=1.5,
            )
        )
