"""The picture of distances to the exact posterior."""

from matplotlib.figure import Figure

from pipelines.shared import figures

# Lines of the first panel: an approximation, its style, its label.
_LINES = {
    "fitted, closed_form": ("C1s-", "fitted, closed-form KL"),
    "fitted, tight": ("C4^-", "fitted, tight KL"),
    "fitted, mixture": ("C0o-", "fitted, KL of the mixture"),
    "told, perturbed matching": ("C2--", "told the posterior's logits"),
    "exact samples": ("0.6", "exact samples (bias)"),
}
_PUBLISHED = {"rounding": ("kx:", "rounding (2018)")}


def draw(path, scores):
    """Draws the distances over sigma, and the gap of the bound over N.

    Args:
        path: PNG file to write.
        scores: The entries `distances`, `published` and `sizes` of `metrics.json`.
    """
    with figures.style():
        figure = Figure(figsize=(8, 3.4), layout="constrained")
        left, right = figure.subplots(1, 2)
        for name, (style, label) in _LINES.items():
            row = scores["distances"].get(name, {})
            if row:
                _plot(left, {s: x["distance"] for s, x in row.items()}, style, label)
        for name, (style, label) in _PUBLISHED.items():
            _plot(left, scores["published"][name], style, label)
        left.set(
            xlabel="sigma of the observations",
            ylabel="distance to the exact posterior",
            ylim=(0, None),
        )
        left.legend(fontsize="small")
        sizes = scores["sizes"]
        gaps = {n: row["bound_gap"] for n, row in sizes.items()}
        errors = {n: row["marginal_error"] for n, row in sizes.items()}
        _plot(right, gaps, "C0o-", "evidence less its bound (nats)")
        _plot(right, errors, "C3v-", "error of the marginals of an item")
        right.set(xlabel="N", ylim=(0, None))
        if sizes:
            right.legend(fontsize="small")
        figures.save_drawing(figure, path)


def _plot(axes, values, style, label):
    axes.plot(list(map(float, values)), list(values.values()), style, label=label)
