"""The experiment on jigsaw puzzles: network, losses, batches, validation, export."""

import functools
import math

import tensorflow as tf

import sinkhorn_tf as st
from pipelines.jigsaw import evaluation, report
from pipelines.shared import datasets
from pipelines.shared.puzzles import batches, cutting
from pipelines.shared.puzzles.images import fingerprint, load_images
from pipelines.shared.training import export
from pipelines.shared.training.relaxation import Relaxation


class JigsawExperiment:
    """An `Experiment` on jigsaw puzzles.

    Args:
        config: `JigsawConfig`.
        training_images: uint8 array `[M, S, S, C]`, or None to load those of the
            settings.
    """

    def __init__(self, config, training_images=None):
        self.config = config = config.completed()
        config.check()
        self.training = config.training
        self._relaxation = Relaxation.from_config(config.training)
        self._source = datasets.source(config.images.dataset)
        self._size = config.size
        if training_images is None:
            loaded = load_images(config.images, "train", self.stored_size)
            training_images = loaded.images
        self._training_images = training_images
        self._evaluator = None

    def variant(self, config):
        """The experiment with other settings of its training, on the same images."""
        return JigsawExperiment(config, self._training_images)

    @property
    def stored_size(self):
        """The side of training images; photographs are larger, for random crops."""
        has_room = self._source.photographs and self.config.crop
        return round(self._size * 9 / 8) if has_room else self._size

    def default_workdir(self):
        """The run directory where `--workdir` is not set."""
        config = self.config
        name = f"{self._source.file_name}_{config.grid}x{config.grid}"
        return f"runs/jigsaw_{name}_{config.network}"

    def identity(self):
        """The hash of the training images."""
        return {"training_images": fingerprint(self._training_images)}

    def describe(self):
        """The numbers of training images and of pixels, as a line."""
        return (
            f"{self._source.name}: {len(self._training_images):,} training images, "
            f"puzzles of {self._size} x {self._size} px"
        )

    def build_network(self):
        """Builds a new network with random weights."""
        config = self.config
        side = self._size // config.grid - 2 * config.erode
        return st.models.jigsaw_network(
            config.grid**2,
            (side, side, self._source.channels),
            config.network,
            filters=config.filters,
            kernel_size=config.kernel_size,
            dropout=config.dropout,
            width=config.width,
            depth=config.depth,
            heads=config.heads,
            edge_scales=config.edge_scales,
        )

    def losses(self, network, batch):
        """The loss of each puzzle of a batch: `[b]`."""
        logits = network(batch["pieces"], training=True)
        soft = self._relaxation.soft_permutations(logits, batch)
        if self.config.loss == "cross_entropy":
            return st.losses.cross_entropy(soft, batch["perm"])
        return st.losses.reconstruction(soft, batch["pieces"], batch["target"])

    def batches(self, plan, context):
        """The batches of puzzles for one input pipeline."""
        config = self.config
        return batches.training_puzzles(
            self._training_images,
            plan,
            context,
            grid=config.grid,
            size=self._size,
            margin=config.erode,
            augment=batches.Augmentation(
                mirror=self._source.photographs and config.mirror,
                rotation=config.rotation,
                color=config.color,
                offset=config.offset,
            ),
        )

    def validate(self, network):
        """The proportion of wrong pieces on the split that weights are chosen on."""
        if self._evaluator is None or self._evaluator.network is not network:
            self._evaluator = evaluation.Evaluator(network)
        return self._evaluator.summary(self._held_out)["proportion_wrong"]

    @functools.cached_property
    def _held_out(self):
        images = load_images(self.config.images, "validation", self._size)
        return report.as_puzzles(images, self.config)

    def observe(self, network, step, workdir):
        """Writes nothing."""

    def report(self, network, workdir, seconds=None):
        """Measures, prints and draws; writes `metrics.json`."""
        report.report(
            network, self.config, self.identity(), "test", workdir, "", seconds
        )

    def export(self, network, workdir):
        """Writes the SavedModel of the run, with the signature `solve_image`."""
        _, n, height, width, channels = network.inputs[0].shape
        grid, margin = math.isqrt(n), self.config.erode

        def solve_image(solve, image):
            pieces = cutting.cut(image, grid)
            answer = solve(cutting.erode(pieces, margin))
            restored = st.permutations.apply(answer["permutation"], pieces)
            return {**answer, "restored": cutting.join(restored, grid)}

        height, width = (grid * (side + 2 * margin) for side in (height, width))
        spec = tf.TensorSpec([None, height, width, channels], tf.float32, name="image")
        signatures = {"solve_image": (solve_image, spec)}
        return export.export(network, workdir, self.training, signatures)
