"""The search itself: Keras Tuner's oracles, and trials that are trainings.

An oracle chooses the values of the next trial; a tuner runs the trials. The files of
Keras Tuner are in `WORKDIR/search`, each written whole or not at all, so that a search
that was killed goes on from them.
"""

import math
import os
import shutil
import sys
import time
import warnings

import grpc
import keras_tuner
import numpy as np
import tensorflow as tf
from keras_tuner.errors import FailedTrialError, FatalError

from pipelines.shared import files
from pipelines.shared.errors import UserError, first_line
from pipelines.shared.training.trainer import Diverged
from pipelines.tune import keras_tuner_private

# The number of failed trials in a row that ends a search.
_FAILURES = 10


class _Oracle:
    """A mix-in with the changes to Keras Tuner that both oracles share.

    Args:
        settings: List of `space.Setting`s.
        initial: The values of the first trial, a dict, or None for random ones.
        seed: Python int.
        **options: Further arguments of the oracle of Keras Tuner.
    """

    def __init__(self, settings, initial, seed, **options):
        hyperparameters = keras_tuner.HyperParameters()
        for setting in settings:
            setting.declare(hyperparameters)
        self._initial = initial
        super().__init__(
            objective=keras_tuner.Objective("validation", "min"),
            hyperparameters=hyperparameters,
            allow_new_entries=False,
            # Keras Tuner takes 0 for no seed, and NumPy takes seeds below 2**32.
            seed=seed % (2**32 - 1) + 1,
            # Keras Tuner would raise, and a chief would answer no more: see populate_space.
            max_consecutive_failed_trials=sys.maxsize,
            **options,
        )
        self.verbose = 0

    def populate_space(self, trial_id):
        """The values of the next trial, or the end of the search, a dict."""
        # Keras Tuner does not save this state: a resumed search would try other values.
        self._random_state = np.random.RandomState([self.seed, int(trial_id)])
        last = [self.trials[name].status for name in self.end_order[-_FAILURES:]]
        if last == ["FAILED"] * _FAILURES:
            return {"status": "STOPPED"}
        response = self._populate(trial_id)
        if response["status"] == "IDLE":
            # The tuner asks again at once.
            time.sleep(0.5)
        return response

    def _populate(self, trial_id):
        return super().populate_space(trial_id)

    def _random_values(self):
        if self._initial and not self.trials:
            return dict(self._initial)
        return super()._random_values()

    def end_trial(self, trial):
        """Ends a trial, saves the search, and prints the score or the reason."""
        super().end_trial(trial)
        # Keras Tuner has saved the trial as one that still runs.
        self.save()
        ended = self.trials[trial.trial_id]
        if ended.status == "COMPLETED":
            result = f"{ended.score:.4f}"
        else:
            result = f"failed: {_reason(ended.message or ended.status)}"
        scores = [t.score for t in self.trials.values() if t.status == "COMPLETED"]
        best = f", best so far {min(scores):.4f}" if scores else ""
        print(f"trial {trial.trial_id}: {result}{best}", file=sys.stderr, flush=True)

    def save(self):
        """Writes the state of the oracle, whole or not at all."""
        files.write_json(self._get_oracle_fname(), self.get_state())

    def _save_trial(self, trial):
        path = os.path.join(self._get_trial_dir(trial.trial_id), "trial.json")
        files.write_json(path, trial.get_state())

    def reload(self):
        """Reads the state of the oracle and its trials; those that ran start again."""
        # Keras Tuner takes the path of the search for a pattern: in `s[3]` it finds no
        # trial, in `s*` those of another search.
        for name in sorted(os.listdir(self._project_dir)):
            path = os.path.join(self._project_dir, name, "trial.json")
            if name.startswith("trial_") and os.path.exists(path):
                trial = keras_tuner_private.Trial.load(path)
                self.trials[trial.trial_id] = trial
        self.set_state(files.read_json(self._get_oracle_fname()))
        self._retry_queue += [t.trial_id for t in self.ongoing_trials.values()]
        self.ongoing_trials = {}
        # Drop trials that started after the oracle was last saved; they start again.
        self.trials = {name: self.trials[name] for name in self.start_order}
        # A trial that ended before the oracle was saved is known from its own file.
        self._retry_queue = [
            name for name in self._retry_queue if self.trials[name].status == "RUNNING"
        ]


class _Hyperband(_Oracle, keras_tuner.oracles.HyperbandOracle):
    """Hyperband in which the best trials of a rung go on even if the others fail."""

    def __init__(self, *arguments, **options):
        # The number of trials of each bracket that ran out of new values.
        self._closed = {}
        super().__init__(*arguments, **options)

    def _populate(self, trial_id):
        # Keras Tuner would wait for the score of a failed trial: it gets the worst one.
        failed = [t for t in self.trials.values() if t.status == "FAILED"]
        for trial in failed:
            trial.status, trial.score = "COMPLETED", math.inf
        try:
            return super()._populate(trial_id)
        finally:
            for trial in failed:
                trial.status, trial.score = "FAILED", None

    def _random_trial(self, trial_id, bracket):
        response = super()._random_trial(trial_id, bracket)
        if "values" in response:
            return response
        # Keras Tuner would end the search of a small space after the shortest trials.
        self._closed[str(bracket["bracket_num"])] = len(bracket["rounds"][0])
        return keras_tuner.oracles.HyperbandOracle.populate_space(self, trial_id)

    def _get_size(self, bracket_num, round_num):
        size = super()._get_size(bracket_num, round_num)
        tried = self._closed.get(str(bracket_num))
        if tried is None:
            return size
        return min(size, math.ceil(tried / self.factor**round_num))

    def get_state(self):
        """The state to save, a dict."""
        return super().get_state() | {"closed": self._closed}

    def set_state(self, state):
        """Restores a state that was saved."""
        super().set_state(state)
        self._closed = state.get("closed", {})


class _Bayesian(_Oracle, keras_tuner.oracles.BayesianOptimizationOracle):
    """Bayesian optimization by Gaussian processes."""


def oracle(config, settings, initial):
    """The oracle that `--tuner` names.

    Args:
        config: `TuneConfig`.
        settings: List of `space.Setting`s.
        initial: The values of the first trial, a dict, or None for random ones.
    """
    seed = config.program.training.seed
    if config.tuner == "hyperband":
        return _Hyperband(
            settings,
            initial,
            seed,
            max_epochs=config.factor ** (config.rungs - 1),
            factor=config.factor,
        )
    return _Bayesian(
        settings,
        initial,
        seed,
        max_trials=config.trials,
        num_initial_points=max(config.trials // 3, 2),
    )


class Tuner(keras_tuner_private.BaseTuner):
    """Runs the trials of an oracle, which is in this process or in a chief.

    Args:
        oracle: An oracle that the function `oracle` returns.
        settings: List of `space.Setting`s.
        trial: A `study.Trial`, which trains with a dict of settings in a directory and
            returns the score; its method `config` raises UserError where settings do
            not fit one another.
        workdir: Directory of the search.
        steps: Steps of the longest trials.
        startup_timeout: Seconds to wait for a chief.
    """

    def __init__(self, oracle, settings, trial, *, workdir, steps, startup_timeout):
        self._settings = settings
        self._trial = trial
        self._workdir = workdir
        self._steps = steps
        self._most = getattr(oracle, "max_epochs", 1)
        keras_tuner_private.wait_for_chief(startup_timeout)
        keras_tuner_private.hide_tracebacks()
        super().__init__(oracle, directory=workdir, project_name="search")

    def search(self):
        """Runs trials until the oracle has no more."""
        # A search that ends in its first trial can be resumed, too.
        self.save()
        super().search()

    def save(self):
        """Writes the state of the oracle and of the tuner, unless this is a worker."""
        if not self._is_worker():
            self.oracle.save()
            files.write_json(self._get_tuner_fname(), self.get_state())

    def _get_tuner_fname(self):
        # A single process and a chief have the same file: each can go on with the other's.
        return os.path.join(self.project_dir, "tuner.json")

    def reload(self):
        """Reads the state that was saved, unless this is a worker."""
        if not self._is_worker():
            super().reload()

    def run_trial(self, trial):
        """Trains from the beginning with the values of a trial.

        The schedule of the rate depends on the number of steps, so a longer trial cannot
        continue a shorter one.

        Returns:
            Dict of the objective to the score.

        Raises:
            FailedTrialError: If the loss became NaN, the flags do not fit one another, or
                there is not enough memory.
            FatalError: After any other error, which ends this process.
        """
        values, steps = self.values(trial), self.steps(trial)
        text = "  ".join(f"{name}={value:g}" for name, value in values.items())
        line = f"trial {trial.trial_id}: {steps} steps  {text}"
        print(line, file=sys.stderr, flush=True)
        try:
            changes = {**values, "steps": steps}
            score = self._train_checked(changes, self.trial_workdir(trial))
        except (Diverged, tf.errors.ResourceExhaustedError) as error:
            raise FailedTrialError(first_line(error, repr(error))) from error
        except FailedTrialError:
            raise
        except Exception as error:
            raise FatalError(first_line(error, repr(error))) from error
        return {"validation": score}

    def _train_checked(self, changes, workdir):
        try:
            self._trial.config(changes)
        except UserError as error:
            raise FailedTrialError(first_line(error, repr(error))) from error
        return self._trial(changes, workdir)

    def on_trial_end(self, trial):
        """Ends a trial and removes its checkpoints, which nothing will resume."""
        super().on_trial_end(trial)
        checkpoints = os.path.join(self.trial_workdir(trial), "checkpoints")
        shutil.rmtree(checkpoints, ignore_errors=True)

    def trial_workdir(self, trial):
        """The run directory of a trial."""
        return os.path.join(self._workdir, "trials", trial.trial_id)

    def values(self, trial):
        """The flags that a trial sets, a dict."""
        values = trial.hyperparameters.values
        return {x.name: x.rounded(values[x.name]) for x in self._settings}

    def steps(self, trial):
        """The steps of a trial's training."""
        share = trial.hyperparameters.values.get("tuner/epochs", self._most)
        return max(1, round(self._steps * share / self._most))

    def outcome(self):
        """The trials so far, a list of dicts in the order of the trials.

        Each dict has `trial`, `status`, `steps`, `score` (None if the trial failed) and
        `values`; that of a trial that failed also has the reason as `message`.
        """
        trials = sorted(self.oracle.trials.values(), key=lambda t: int(t.trial_id))
        return [
            {
                "trial": trial.trial_id,
                "status": trial.status,
                "steps": self.steps(trial),
                "score": trial.score,
                "values": self.values(trial),
                **({"message": _reason(trial.message)} if trial.message else {}),
            }
            for trial in trials
        ]


def run(tuner):
    """Searches with a `Tuner`, or serves the trials as a chief.

    Raises:
        UserError: If the chief cannot be reached, or cannot listen.
    """
    with warnings.catch_warnings():
        # scikit-learn warns about Gaussian processes that are fitted to few trials.
        warnings.filterwarnings("ignore", module="sklearn")
        try:
            tuner.search()
        except FatalError as error:
            raise error.__cause__ from None
        except grpc.RpcError as error:
            raise UserError(
                "The chief of the search does not answer: start it and the workers "
                f"again with --resume. Received: {_address()} ({error.code().name})"
            ) from error
        except RuntimeError as error:
            if "bind" not in str(error):
                raise
            raise UserError(
                f"The chief of the search cannot listen. Received: {_address()}"
            ) from error


def _address():
    names = ("KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT")
    return ":".join(os.environ[name] for name in names)


def _reason(message):
    """The last line of the traceback that Keras Tuner keeps, without the type."""
    return message.strip().splitlines()[-1].rpartition("Error: ")[2]
