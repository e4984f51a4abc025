"""The experiment on assembly: network, losses, pairs, validation, export."""

import functools
import os

import tensorflow as tf

import sinkhorn_tf as st
from pipelines.assembly import judge, report, templates
from pipelines.assembly.images import load_labelled
from pipelines.assembly.pairs import Pairs
from pipelines.shared import datasets
from pipelines.shared.puzzles.config import image_size
from pipelines.shared.puzzles.images import fingerprint
from pipelines.shared.training import export
from pipelines.shared.training.relaxation import Relaxation

# The number of images of the validation split by which the best weights are chosen.
_HELD_OUT = 500
# The judges by which templates are chosen: one that compares pixels, one that was trained.
_CHOOSERS = ("nearest", "strided")


class AssemblyExperiment:
    """An `Experiment` on assembling digits from the pieces of other digits.

    Args:
        config: `AssemblyConfig`.
        fitted_on: Labelled `datasets.Images`, or None to load those of the settings.
    """

    def __init__(self, config, fitted_on=None):
        self.config = config = config.completed()
        config.check()
        self.training = config.training
        self._relaxation = Relaxation.from_config(config.training)
        self._source = datasets.source(config.images.dataset)
        self._size = image_size(config.images, config.grid)
        if fitted_on is None:
            fitted_on = load_labelled(config.images, "train", self._size)
        self._fitted_on = fitted_on
        self._judges = None

    def variant(self, config):
        """The experiment with other settings of its training, on the same images."""
        return AssemblyExperiment(config, self._fitted_on)

    def load_judges(self):
        """The panel, a list of `judge.Judge`; trains those that are absent."""
        if self._judges is None:
            self._judges = report.load_judges(self.config)
        return self._judges

    @functools.cached_property
    def _templates(self):
        """The templates of the seed, beside the judges, or None; chooses them if absent."""
        config, seed = self.config, self.training.seed
        if config.recipe != "template":
            return None
        digest = templates.fingerprint(self._fitted_on.images)[:12]
        name = f"{config.grid}x{config.grid}_{self._size}px_seed{seed}_{digest}.npz"

        def choose():
            data, n_labels = self._fitted_on, self._source.n_labels
            judges = judge.load_or_train_panel(
                _CHOOSERS, config.judge_directory, config.images, config.judge_steps
            )
            return templates.choose(
                data.images, data.labels, n_labels, config.grid, judges, seed
            )

        path = os.path.join(f"{config.judge_directory}_templates", name)
        return templates.load_or_choose(path, choose)

    def default_workdir(self):
        """The run directory where `--workdir` is not set."""
        return f"runs/assembly_{self._source.file_name}_{self.config.recipe}"

    def identity(self):
        """The hashes of the training images, and of the templates if there are any."""
        known = {"training_images": fingerprint(self._fitted_on.images)}
        if self._templates:
            known["templates"] = fingerprint(self._templates.drawings)
        return known

    def describe(self):
        """The numbers of training images and of pixels, as a line."""
        side = self._size // self.config.grid
        return (
            f"{self._source.name}: {len(self._fitted_on.images):,} training images, "
            f"pieces of {side} x {side} px"
        )

    def build_network(self):
        """Builds a new network with random weights."""
        config = self.config
        side = self._size // config.grid
        return st.models.assembly_network(
            config.grid**2,
            (side, side, self._source.channels),
            self._source.n_labels,
            width=config.width,
            hidden=config.hidden,
            bounds=self._templates.bounds.tolist() if self._templates else (),
            depth=config.depth,
            heads=config.heads,
        )

    def losses(self, network, batch):
        """The reconstruction error (Mena et al. 2018, eq. 5), a sum over pieces: `[b]`."""
        logits = network([batch["pieces"], batch["digit"]], training=True)
        soft = self._relaxation.soft_permutations(logits, batch)
        error = st.losses.reconstruction(soft, batch["pieces"], batch["target"])
        return self.config.grid**2 * error

    def batches(self, plan, context):
        """The batches of pairs for one input pipeline."""
        return self._pairs.training(plan, context)

    @functools.cached_property
    def _pairs(self):
        config = self.config
        return Pairs(
            self._fitted_on.images,
            self._fitted_on.labels,
            grid=config.grid,
            candidates=config.candidates if config.recipe == "nearest" else 0,
            bold=config.bold,
            templates=self._templates,
        )

    @functools.cached_property
    def _held_out(self):
        images = load_labelled(self.config.images, "validation", self._size)
        return self._pairs.evaluation(
            images.images[:_HELD_OUT], images.labels[:_HELD_OUT]
        )

    def validate(self, network):
        """The mean squared error of hard reconstructions."""
        pairs = self._held_out
        scores, _ = self.assembler(network)(
            [pairs["pieces"], pairs["digit"]], training=False
        )
        restored = st.permutations.apply(st.matching(scores), pairs["pieces"])
        return float(tf.reduce_mean(tf.square(restored - pairs["target"])))

    def observe(self, network, step, workdir):
        """Writes nothing."""

    def assembler(self, network):
        """The model that assembles as these settings say, see `acceptance.assembler`."""
        return report.assembler(network, self.config)

    def report(self, network, workdir, seconds=None):
        """Measures, prints and draws; writes `metrics.json`."""
        report.report(
            network,
            self.config,
            self.identity(),
            self.load_judges(),
            workdir,
            seconds,
        )

    def export(self, network, workdir):
        """Writes the SavedModel of the run.

        It matches the scores of hard assembly; its plan is the network's soft
        permutation.
        """
        return export.export(self.assembler(network), workdir, self.training)
