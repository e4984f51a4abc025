"""The experiment on sorting: network, losses, lists, validation, export."""

import os

import numpy as np

import sinkhorn_tf as st
from pipelines.shared import files, lists
from pipelines.shared.training import export
from pipelines.shared.training.relaxation import Relaxation
from pipelines.sorting import evaluation, report
from pipelines.sorting.scorer import SortingScorer


class SortingExperiment:
    """An `Experiment` on sorting numbers.

    Args:
        config: `SortingConfig`.
    """

    def __init__(self, config):
        self.config = config
        self.training = config.training
        self._relaxation = Relaxation.from_config(config.training)
        self._held_out = {
            name: lists.evaluation_lists(config.n, name, "validation", 100)
            for name in lists.INTERVALS
        }
        self._scorer = SortingScorer(
            st.models.sorting_network(config.n, config.hidden),
            config.precision,
            config.from_least,
        )
        self._evaluator = evaluation.Evaluator(self._scorer)

    def variant(self, config):
        """The experiment with other settings."""
        return SortingExperiment(config)

    def default_workdir(self):
        """The run directory where `--workdir` is not set."""
        return f"runs/sorting_n{self.config.n}"

    def identity(self):
        """An empty dict: the settings alone say what a run is."""
        return {}

    def describe(self):
        """The empty string: the lists follow from the settings."""
        return ""

    def build_network(self):
        """Builds a new network with random weights."""
        return st.models.sorting_network(self.config.n, self.config.hidden)

    def losses(self, network, batch):
        """The reconstruction error (Mena et al. 2018, eq. 5), a sum over numbers: `[b]`.

        A mean would have gradients as small as Adam's epsilon.
        """
        logits = network(batch["values"], training=True)
        soft = self._relaxation.soft_permutations(logits, batch)
        error = st.losses.reconstruction(soft, batch["values"], batch["sorted"])
        return self.config.n * error

    def batches(self, plan, context):
        """The batches of lists for one input pipeline."""
        return lists.training_lists(self.config.n, plan, context)

    def validate(self, network):
        """The mean over the intervals of P.A.W. and P.W., by content, added up."""
        self._scorer.set_weights(network)
        scores = [
            self._evaluator.scores(batch)["by_content"]
            for batch in self._held_out.values()
        ]
        return float(
            np.mean([s["proportion_any_wrong"] + s["proportion_wrong"] for s in scores])
        )

    def observe(self, network, step, workdir, n_iters=200):
        """Writes the soft permutation of the first held-out list, for the picture."""
        folder = os.path.join(workdir, "soft")
        os.makedirs(folder, exist_ok=True)
        values = self._held_out["U(0,1)"]["sorted"][:1]
        temperature = self.training.temperature
        soft = st.sinkhorn(network(values), temperature, n_iters, jit_compile=False)
        files.write_whole(
            os.path.join(folder, f"{step:07}.npy"), lambda name: np.save(name, soft[0])
        )

    def report(self, network, workdir, seconds=None):
        """Measures, prints and draws; writes `metrics.json`."""
        report.report(network, self.config, workdir, seconds)

    def export(self, network, workdir):
        """Writes the SavedModel of the run, with the logits that were measured."""
        scorer = SortingScorer(network, self.config.precision, self.config.from_least)
        return export.export(scorer.network, workdir, self.training)
