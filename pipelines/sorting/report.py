"""The report of a run on sorting: scores, a picture, and lines on the terminal."""

import glob
import os
import time

import numpy as np

from pipelines.shared import baselines, lists, options
from pipelines.shared.errors import UserError
from pipelines.shared.files import read_json
from pipelines.shared.training import export, metrics_file
from pipelines.sorting import evaluation, figures
from pipelines.sorting.scorer import SortingScorer, inversions, slopes


def evaluate_run(config):
    """Measures the network of a finished run again.

    Args:
        config: `SortingConfig`.
    """
    workdir = config.evaluate
    network = export.load_network(workdir)
    if len(network.inputs[0].shape) != 2:
        raise UserError(f"Not a run of pipelines.sorting. Received: {workdir}")
    earlier = read_json(os.path.join(workdir, "flags.json"))
    changed = ("precision", "from_least", "evaluate")
    settings = earlier | {name: getattr(config, name) for name in changed}
    recorded = options.drop_unrecorded(config, settings)
    suffix = f"_{config.precision}{'_from_least' if config.from_least else ''}"
    _measure(network, config, recorded, workdir, suffix)


def report(network, config, workdir, seconds=None):
    """Measures, prints and draws a run that has just been trained.

    Args:
        network: The Keras model.
        config: `SortingConfig`.
        workdir: The run directory.
        seconds: Seconds of the training.
    """
    _measure(network, config, options.recorded(config), workdir, "", seconds)


def _measure(network, config, recorded, workdir, suffix, seconds=None):
    """Measures and prints; writes `metrics<suffix>.json` and `sorting<suffix>.png`."""
    started = time.monotonic()
    scorer = SortingScorer(network, config.precision, config.from_least)
    evaluator = evaluation.Evaluator(scorer)
    scores = {
        "intervals": {
            name: evaluator.scores(lists.evaluation_lists(scorer.n, name, "test"))
            for name in lists.INTERVALS
        },
        "chance": baselines.chance(scorer.n),
        "slopes": {"inversions": len(inversions(slopes(network)[0]))},
    }
    metrics = os.path.join(workdir, f"metrics{suffix}.json")
    evaluated = time.monotonic() - started
    metrics_file.write_metrics(metrics, scores, recorded, evaluated, seconds)
    picture = os.path.join(workdir, f"sorting{suffix}.png")
    draw(network, scores, workdir, picture)
    print(f"\nSorting {scorer.n} numbers")
    print(evaluation.table(scores["intervals"]))
    print(f"Metrics: {metrics}\nPicture: {picture}")


def draw(network, scores, workdir, path):
    """Draws the soft permutation over training, the errors, and the slopes."""
    pattern = os.path.join(glob.escape(workdir), "soft", "*.npy")
    # Early on the soft permutations all look the same: the last four are drawn.
    soft = {
        f"step {int(os.path.splitext(os.path.basename(name))[0]):,}": np.load(name)
        for name in sorted(glob.glob(pattern))[-4:]
    }
    a, kink = slopes(network)
    errors = {
        name: (
            s["by_content"]["proportion_wrong"],
            s["by_content"]["proportion_any_wrong"],
        )
        for name, s in scores["intervals"].items()
    }
    figures.draw(path, soft, errors, a, inversions(a), kink)
