"""The protocols between a training and its task."""

import dataclasses
from collections.abc import Callable
from typing import Any, Protocol

import keras
import tensorflow as tf

from pipelines.shared.input_pipeline.batches import BatchPlan
from pipelines.shared.options import Options
from pipelines.shared.training.config import TrainingConfig


class Task(Protocol):
    """A task that the trainer can train."""

    def build_network(self) -> keras.Model:
        """Builds a new network with random weights."""

    def losses(self, network: keras.Model, batch: dict) -> tf.Tensor:
        """Computes the loss of each example of a batch: `[b]`."""

    def batches(
        self, plan: BatchPlan, context: tf.distribute.InputContext
    ) -> tf.data.Dataset:
        """Makes the batches of one input pipeline."""

    def validate(self, network: keras.Model) -> float:
        """Scores a network on data that no training sees; smaller is better."""

    def observe(self, network: keras.Model, step: int, workdir: str) -> None:
        """May write something about the network, at steps 1, 3, 10, ... and the last."""


class Experiment(Task, Protocol):
    """A task with its settings, its report and its export.

    Attributes:
        config: The complete settings of the program.
        training: The `TrainingConfig` among them.
    """

    config: Options
    training: TrainingConfig

    def default_workdir(self) -> str:
        """The run directory where `--workdir` is not set."""

    def identity(self) -> dict[str, Any]:
        """The facts that tell this run from others beside its settings."""

    def describe(self) -> str:
        """A line about the data, for the terminal; empty if there is nothing to say."""

    def report(
        self, network: keras.Model, workdir: str, seconds: float | None = None
    ) -> None:
        """Measures, prints and draws; writes `metrics.json`."""

    def export(self, network: keras.Model, workdir: str) -> str:
        """Writes the SavedModel of a run and returns its path."""

    def variant(self, config: Options) -> "Experiment":
        """The experiment with other settings of its training, on the same data."""


def observe_nothing(network, step, workdir):
    """The `observe` of a task that writes nothing during its training."""


@dataclasses.dataclass(frozen=True)
class FunctionTask:
    """A `Task` that consists of functions, for small trainings and for tests."""

    build_network: Callable[[], keras.Model]
    losses: Callable[[keras.Model, dict], tf.Tensor]
    batches: Callable[[BatchPlan, tf.distribute.InputContext], tf.data.Dataset]
    validate: Callable[[keras.Model], float]
    observe: Callable[[keras.Model, int, str], None] = observe_nothing
