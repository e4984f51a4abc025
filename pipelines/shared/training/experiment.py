"""What a training needs to know of its task."""

import dataclasses
from collections.abc import Callable
from typing import Any, Protocol

import keras
import tensorflow as tf

from pipelines.shared.input_pipeline.batches import BatchPlan
from pipelines.shared.options import Options
from pipelines.shared.training.config import TrainingConfig


class Task(Protocol):
    """What the trainer asks: a network, its losses, its batches, and a score."""

    def build_network(self) -> keras.Model:
        """A new network with random weights."""

    def losses(self, network: keras.Model, batch: dict) -> tf.Tensor:
        """The loss of each example of a batch: `[b]`."""

    def batches(
        self, plan: BatchPlan, context: tf.distribute.InputContext
    ) -> tf.data.Dataset:
        """The batches of one input pipeline."""

    def validate(self, network: keras.Model) -> float:
        """A score on data that no training sees; smaller is better."""

    def observe(self, network: keras.Model, step: int, workdir: str) -> None:
        """Keeps what the network does at the steps 1, 3, 10, 30, ... and the last."""


class Experiment(Task, Protocol):
    """A task with the program around it: its settings, its report and its export.

    Attributes:
        config: Its settings, complete.
        training: The `TrainingConfig` among them.
    """

    config: Options
    training: TrainingConfig

    def default_workdir(self) -> str:
        """Where a run goes without `--workdir`."""

    def identity(self) -> dict[str, Any]:
        """What tells this run from others beside its settings, such as its images."""

    def describe(self) -> str:
        """A line about the data, for the terminal; empty for none."""

    def report(
        self, network: keras.Model, workdir: str, seconds: float | None = None
    ) -> None:
        """Measures, prints and draws; writes `metrics.json`."""

    def export(self, network: keras.Model, workdir: str) -> str:
        """Writes the SavedModel of a run and returns its path."""

    def variant(self, config: Options) -> "Experiment":
        """The experiment with other settings of its training, on the same data."""


@dataclasses.dataclass(frozen=True)
class FunctionTask:
    """A `Task` made of functions, for small trainings and for tests."""

    build_network: Callable[[], keras.Model]
    losses: Callable[[keras.Model, dict], tf.Tensor]
    batches: Callable[[BatchPlan, tf.distribute.InputContext], tf.data.Dataset]
    validate: Callable[[keras.Model], float]
    observe: Callable[[keras.Model, int, str], None] = lambda network, step, workdir: (
        None
    )
