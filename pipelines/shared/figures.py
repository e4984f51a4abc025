"""Pictures of results.

They are drawn on `matplotlib.figure.Figure` without pyplot, which would choose a window
system for the whole process: a picture in a file needs no display. `matplotlibrc` beside
this file is the style of all of them, and of the site.
"""

import os

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from pipelines.shared.files import write_whole

_STYLE = os.path.join(os.path.dirname(__file__), "matplotlibrc")
# Vermilion, which differs from gray and from blue for all readers.
WRONG = "#D55E00"


def style():
    """A context in which pictures have the style of this project."""
    return matplotlib.rc_context(fname=_STYLE)


def save(figure, path, dpi=110, **options):
    """Writes a figure, whole or not at all.

    Args:
        figure: A `matplotlib.figure.Figure`.
        path: PNG or SVG file to write.
        dpi: Pixels per inch.
        **options: Further arguments of `Figure.savefig`.
    """
    form = os.path.splitext(path)[1][1:] or "png"
    # An SVG file names its time of making otherwise, and numbers its parts at random.
    metadata = {"Date": None} if form == "svg" else None
    with matplotlib.rc_context({"svg.hashsalt": "sinkhorn_tf"}):
        write_whole(
            path,
            lambda name: figure.savefig(
                name, dpi=dpi, format=form, metadata=metadata, **options
            ),
        )


def save_drawing(figure, path, **options):
    """Writes a figure of lines as a PNG file, and as an SVG file beside it."""
    save(figure, path, **options)
    save(figure, f"{os.path.splitext(path)[0]}.svg", **options)


def image_rows(path, rows, *, frames=None, grid=1):
    """Draws rows of images, with space between them, wrong pieces framed.

    Args:
        path: PNG file to write.
        rows: Dict of a row's label to images `[k, H, W, C]` in [0, 1].
        frames: Dict of a row's label to bool `[k, N]`, the positions to frame.
        grid: Pieces along a side of an image.
    """
    k = len(next(iter(rows.values())))
    with style():
        figure = Figure(figsize=(1.25 * k + 1.4, 1.25 * len(rows)))
        axes = figure.subplots(len(rows), k, squeeze=False)
        for row, (label, images) in zip(axes, rows.items(), strict=True):
            wrong = (frames or {}).get(label)
            for column, (axis, image) in enumerate(zip(row, images, strict=True)):
                _show(axis, image)
                axis.set_axis_off()
                if wrong is not None:
                    _frame(axis, image.shape[0] / grid, grid, wrong[column])
            row[0].text(
                -0.12,
                0.5,
                label,
                ha="right",
                va="center",
                transform=row[0].transAxes,
                fontsize=12,
            )
        figure.subplots_adjust(0, 0, 1, 1, wspace=0.08, hspace=0.08)
        save(figure, path, bbox_inches="tight")


def image_tables(path, tables, labels):
    """Draws tables of images, one below the other, columns numbered from 0.

    Args:
        path: PNG file to write.
        tables: Dict of a table's title to images `[rows, columns, H, W, C]` in [0, 1].
            The images of a table of a single column stand at the left of all others.
        labels: Strings, the labels of the rows.
    """
    sources = {k: v for k, v in tables.items() if v.shape[1] == 1}
    others = {k: v for k, v in tables.items() if v.shape[1] > 1} or sources
    if others is sources:
        sources = {}
    beside = [(title, images[:, 0]) for title, images in sources.items()]
    columns = max(images.shape[1] for images in others.values())
    side = 0.75
    size = (
        side * (columns + len(beside)) + 0.8,
        (side * len(labels) + 0.7) * len(others),
    )
    with style():
        figure = Figure(figsize=size, layout="constrained")
        widths = [1] * len(beside) + [columns]
        axes = figure.subplots(
            len(others), len(widths), width_ratios=widths, squeeze=False
        )
        for row, (title, images) in zip(axes, others.items(), strict=True):
            for axis, (name, source) in zip(row, beside, strict=False):
                _table(axis, source[:, None], name, [""])
            _table(row[-1], images, title, range(images.shape[1]))
            height = images.shape[2] + 2
            row[0].set_yticks((np.arange(len(labels)) + 0.5) * height, labels)
        save(figure, path, bbox_inches="tight")


def _table(axis, images, title, names):
    """Shows a table of images `[rows, columns, H, W, C]` with lines between them."""
    rows, k, height, width, channels = images.shape
    lined = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1), (0, 0)), constant_values=1)
    whole = lined.transpose(0, 2, 1, 3, 4).reshape(
        rows * (height + 2), k * (width + 2), channels
    )
    _show(axis, whole)
    axis.set_title(title)
    axis.set_frame_on(False)
    axis.tick_params(length=0, labeltop=True, labelbottom=False)
    axis.set_xticks((np.arange(k) + 0.5) * (width + 2), names)
    axis.set_yticks([])


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
                edgecolor=WRONG,
                linewidth=2.5,
                clip_on=False,
            )
        )
