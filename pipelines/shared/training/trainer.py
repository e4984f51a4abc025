"""The training loop of every experiment."""

import math
import os
import sys
import tempfile
import time

import keras
import numpy as np
import tensorflow as tf

from pipelines.shared.errors import UserError
from pipelines.shared.input_pipeline.batches import BatchPlan
from pipelines.shared.training import progress, schedule
from pipelines.shared.training import strategy as strategies
from pipelines.shared.training.checkpoints import Checkpoints, paths, steps


class Diverged(UserError):
    """The loss of a training became NaN."""


class Trainer:
    """A network in training: its average, optimizer, checkpoints and logs.

    It runs on any `tf.distribute` strategy. Several workers share `workdir`: the chief
    validates and writes there; the others write to a temporary directory.

    The average of the weights is validated and kept. The state that is saved (weights,
    their average, the best average so far and its score, optimizer, step, dropout) and
    the randomness keyed by the step make a resumed run the same run.

    Args:
        task: `experiment.Task`: the network, its losses, batches and validation.
        config: `TrainingConfig`. XLA compiles the whole step where `jit_compile` says
            so, but never for several replicas, where it fails.
        strategy: A `tf.distribute.Strategy`.
        workdir: Directory for checkpoints and TensorBoard logs.
    """

    def __init__(self, task, config, strategy, workdir):
        self._task = task
        self._config = config
        self._strategy = strategy
        self._is_chief = strategies.is_chief(strategy)
        self._best_step = None
        self._workdir = workdir
        own = workdir
        if not self._is_chief:
            # Every worker has to save, since variables may be spread over workers.
            self._temporary = tempfile.TemporaryDirectory()
            own = self._temporary.name
        self._logs = os.path.join(own, "logs")
        self._schedule = schedule.learning_rate(config)
        with strategy.scope():
            self._make_variables()
        self._last_states = Checkpoints(self._state(), os.path.join(own, "checkpoints"))
        self._best_weights = Checkpoints(
            tf.train.Checkpoint(network=self.best), os.path.join(own, "best")
        )
        on_one_device = strategy.num_replicas_in_sync == 1
        self._jit_compile = config.jit_compile == "step" and on_one_device
        self._train_step = tf.function(
            self._distributed_step, jit_compile=self._jit_compile, autograph=False
        )

    def _make_variables(self):
        """Makes the networks, the optimizer and the counters, in the strategy's scope."""
        self.network = self._task.build_network()
        self.average = keras.models.clone_model(self.network)
        self.average.set_weights(self.network.get_weights())
        self.best = keras.models.clone_model(self.network)
        # Decoupled weight decay (Loshchilov and Hutter 2019), but not of biases and norms.
        self._optimizer = keras.optimizers.Adam(
            self._schedule, weight_decay=self._config.weight_decay or None
        )
        self._optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
        self._optimizer.build(self.network.trainable_variables)
        self._step = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._best_score = tf.Variable(float("inf"), trainable=False)
        self._seconds = tf.Variable(0.0, dtype=tf.float64, trainable=False)

    def _state(self):
        """The `tf.train.Checkpoint` of all that makes a resumed run the same run."""
        # Keras does not count the state of dropout among the weights. A network without
        # dropout has no entry for it, like older checkpoints.
        weights = {id(variable) for variable in self.network.weights}
        seeds = [v.value for v in self.network.variables if id(v) not in weights]
        return tf.train.Checkpoint(
            **({"seeds": seeds} if seeds else {}),
            network=self.network,
            average=self.average,
            optimizer=self._optimizer,
            step=self._step,
            best=self.best,
            best_score=self._best_score,
            seconds=self._seconds,
        )

    @property
    def seconds(self):
        """Seconds of training so far, over all resumptions."""
        return float(self._seconds.numpy())

    @property
    def best_score(self):
        """The smallest validation score so far; infinity before the first validation."""
        return float(self._best_score.numpy())

    def run(self):
        """Trains from the last checkpoint, if there is one, to the end.

        Returns:
            The averaged network with the weights that validated best.
        """
        self._restore()
        first = int(self._step.numpy())
        if first:
            print(f"resumed at step {first}", file=sys.stderr)
        if first < self._config.steps:
            self._train(first)
        if self._is_chief and math.isfinite(self.best_score):
            step = "" if self._best_step is None else f" of step {self._best_step}"
            print(
                f"kept the weights{step}, which validated best: {self.best_score:.4f}",
                file=sys.stderr,
            )
        return self.best

    def parts(self, inputs="pieces"):
        """The parts of a step, as functions without arguments that can be timed.

        They go on training the network: do not keep that network.

        Args:
            inputs: The entry of a batch that the network takes.

        Returns:
            Dict of four functions: `input` makes a batch; `network` does its forward and
            backward pass; `step` trains on a batch that is there; `training` does
            `input` and `step`.
        """
        # Two pipelines: batches that one prepares ahead must not shorten the other's wait.
        alone, feeding = (iter(self._batches(0, 1_000_000)) for _ in range(2))
        batch = next(alone)

        @tf.function(jit_compile=self._jit_compile, autograph=False)
        def network():
            with tf.GradientTape() as tape:
                logits = self.network(batch[inputs], training=True)
                total = tf.reduce_sum(logits * logits)
            variables = [v.value for v in self.network.trainable_variables]
            return tape.gradient(total, variables)

        def wait_for(value):
            """Returns once TensorFlow has computed a value."""
            return tf.nest.flatten(value)[0].numpy()

        return {
            "input": lambda: next(alone),
            "network": lambda: wait_for(network()),
            "step": lambda: wait_for(self._train_step(batch)),
            "training": lambda: wait_for(self._train_step(next(feeding))),
        }

    def _train(self, first):
        dataset = self._batches(first, self._config.steps)
        writer = tf.summary.create_file_writer(self._logs)
        started, before = time.monotonic(), self.seconds
        with writer.as_default(), progress.Bar(first, self._config.steps) as bar:
            batches = iter(dataset)
            milestones = schedule.milestones(self._config.steps)
            for step in range(first + 1, self._config.steps + 1):
                loss = self._train_step(next(batches))
                is_last, news = step == self._config.steps, {}
                validates = step % self._config.validate_every == 0 or is_last
                saves = validates or step % self._config.checkpoint_every == 0
                # NaN must not reach a checkpoint.
                if step % 50 == 0 or saves:
                    news["loss"] = float(loss.numpy())
                    if math.isnan(news["loss"]):
                        raise Diverged(
                            f"The loss became NaN at step {step}; try a smaller "
                            "--learning_rate or a larger --temperature."
                        )
                    tf.summary.scalar("learning_rate", self._schedule(step), step)
                if self._is_chief and step in milestones:
                    self._task.observe(self.average, step, self._workdir)
                if validates:
                    news["validation"] = self._keep_if_best(step)
                if saves:
                    self._step.assign(step)
                    self._seconds.assign(before + time.monotonic() - started)
                    self._last_states.save(step)
                for name, value in news.items():
                    tf.summary.scalar(name, value, step)
                if news:
                    bar.show(step, **news)

    def _batches(self, first, last):
        plan = BatchPlan.from_config(self._config, first, last)
        return self._strategy.distribute_datasets_from_function(
            lambda context: self._task.batches(plan, context)
        )

    def _distributed_step(self, batch):
        per_replica = self._strategy.run(self._replica_step, args=(batch,))
        loss = self._strategy.reduce("SUM", per_replica, axis=None)
        # Early on the average forgets faster, or it would retain the initial weights.
        step = tf.cast(self._optimizer.iterations.value, tf.float32)
        decay = tf.minimum(self._config.averaging, (1 + step) / (10 + step))
        for mean, weight in zip(
            self.average.weights, self.network.weights, strict=True
        ):
            if mean.dtype.startswith("float"):
                mean.assign(weight + decay * (mean - weight))
        return loss

    def _replica_step(self, batch):
        with tf.GradientTape() as tape:
            # A share of the mean over the batch, since gradients of replicas are summed.
            loss = (
                tf.reduce_sum(self._task.losses(self.network, batch))
                / self._config.batch_size
            )
        variables = [v.value for v in self.network.trainable_variables]
        gradients = tape.gradient(loss, variables)
        self._optimizer.apply(gradients, self.network.trainable_variables)
        return loss

    def _keep_if_best(self, step):
        # The chief measures for all workers, which have to agree on the best weights.
        score = self._task.validate(self.average) if self._is_chief else math.nan
        score = float(strategies.gather_from_processes(self._strategy, score)[0])
        # On a tie keep the later weights. Compare in float32, the precision that the best
        # score is stored in.
        if np.float32(score) <= self.best_score:
            self.best.set_weights(self.average.get_weights())
            self._best_score.assign(score)
            self._best_step = step
            self._best_weights.save(step)
        return score

    def _restore(self):
        """Restores the newest checkpoint that can be read, if there is any."""
        known_paths = checkpoints(self._workdir)
        for path in reversed(known_paths):
            try:
                self._last_states.restore(path)
                self._best_step = self._step_of_best()
                break
            # A spoiled file raises exceptions of TensorFlow, or an IndexError.
            except Exception as error:  # noqa: BLE001
                reason = type(error).__name__
                print(f"{path} cannot be read ({reason})", file=sys.stderr)
        else:
            if known_paths:
                raise UserError(
                    "None of the checkpoints can be read. Start again with another "
                    f"--workdir. Received: {os.path.dirname(known_paths[-1])}"
                )
        strategies.check_same(
            self._strategy,
            f"{self._step.numpy()}",
            "The workers do not see the same checkpoints: --workdir has to be on a file "
            f"system that all of them share. Received: --workdir={self._workdir}",
        )

    def _step_of_best(self):
        """The step of the best weights of a restored state, or None.

        Later best weights are those of a training that ended before it saved its state.
        """
        known = steps(os.path.join(self._workdir, "best"))
        last = int(self._step.numpy())
        return max((step for step in known if step <= last), default=None)


def checkpoints(workdir):
    """The checkpoints of a training, oldest first: paths without an extension."""
    return paths(os.path.join(workdir, "checkpoints"))
