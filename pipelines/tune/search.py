"""The search itself: Keras Tuner's oracles, and trials that are trainings.

An oracle says which values are tried next; a tuner runs the trials. The files of Keras
Tuner are in `WORKDIR/search`, each written whole or not at all, so that a search that was
killed goes on from them.
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

from pipelines.shared import files
from pipelines.shared.errors import UserError
from pipelines.shared.training.trainer import Diverged
from pipelines.tune import keras_tuner_private

# As many failed trials in a row end a search.
_FAILURES = 10


class _Oracle:
    """What both oracles have in common, beside what is Keras Tuner's.

    Args:
        settings: List of `space.Setting`s.
        initial: The values of the first trial, a dict, or None for random ones.
        seed: Python int.
        **options: Of the oracle.
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
            # It takes 0 for none, and no more than NumPy does.
            seed=seed % (2**32 - 1) + 1,
            # See populate_space: an exception here would stop a chief from answering.
            max_consecutive_failed_trials=sys.maxsize,
            **options,
        )
        self.verbose = 0

    def populate_space(self, trial_id):
        # Keras Tuner does not save this state: a resumed search would try other values.
        self._random_state = np.random.RandomState([self.seed, int(trial_id)])
        last = [self.trials[name].status for name in self.end_order[-_FAILURES:]]
        if last == ["FAILED"] * _FAILURES:
            return {"status": "STOPPED"}
        response = self._populate(trial_id)
        if response["status"] == "IDLE":
            # Asked again at once.
            time.sleep(0.5)
        return response

    def _populate(self, trial_id):
        return super().populate_space(trial_id)

    def _random_values(self):
        if self._initial and not self.trials:
            return dict(self._initial)
        return super()._random_values()

    def end_trial(self, trial):
        super().end_trial(trial)
        # Keras Tuner saves it as one that still runs.
        self.save()
        found = self.trials[trial.trial_id]
        best = min((t.score for t in self._completed()), default=None)
        if found.status == "COMPLETED":
            said = f"{found.score:.4f}"
        else:
            said = f"failed: {_reason(found.message or found.status)}"
        sofar = "" if best is None else f", best so far {best:.4f}"
        print(f"trial {trial.trial_id}: {said}{sofar}", file=sys.stderr, flush=True)

    def _completed(self):
        return [t for t in self.trials.values() if t.status == "COMPLETED"]

    def save(self):
        files.write_json(self._get_oracle_fname(), self.get_state())

    def _save_trial(self, trial):
        path = os.path.join(self._get_trial_dir(trial.trial_id), "trial.json")
        files.write_json(path, trial.get_state())

    def reload(self):
        # Keras Tuner takes the path of the search for a pattern: in `s[3]` it finds no
        # trial, in `s*` those of another search.
        for name in sorted(os.listdir(self._project_dir)):
            path = os.path.join(self._project_dir, name, "trial.json")
            if name.startswith("trial_") and os.path.exists(path):
                trial = keras_tuner.engine.trial.Trial.load(path)
                self.trials[trial.trial_id] = trial
        self.set_state(files.read_json(self._get_oracle_fname()))
        self._retry_queue += [t.trial_id for t in self.ongoing_trials.values()]
        self.ongoing_trials = {}
        # One that was begun without the oracle having been saved is begun again.
        self.trials = {name: self.trials[name] for name in self.start_order}
        # The trial's file is the first to say that it has ended.
        self._retry_queue = [
            name for name in self._retry_queue if self.trials[name].status == "RUNNING"
        ]


class _Hyperband(_Oracle, keras_tuner.oracles.HyperbandOracle):
    """Hyperband in which the best of a rung go on whatever becomes of the others."""

    def __init__(self, *arguments, **options):
        # Brackets for which there were no more values to try, and how many had been.
        self._closed = {}
        super().__init__(*arguments, **options)

    def _populate(self, trial_id):
        # Keras Tuner would wait for the score of a failed trial. It is the worst.
        failed = [t for t in self.trials.values() if t.status == "FAILED"]
        for trial in failed:
            trial.status, trial.score = "COMPLETED", math.inf
        try:
            return super()._populate(trial_id)
        finally:
            for trial in failed:
                trial.status, trial.score = "FAILED", None

    def _random_trial(self, trial_id, bracket):
        found = super()._random_trial(trial_id, bracket)
        if "values" in found:
            return found
        # Keras Tuner would end the search: of a small space only the shortest trials.
        self._closed[str(bracket["bracket_num"])] = len(bracket["rounds"][0])
        return keras_tuner.oracles.HyperbandOracle.populate_space(self, trial_id)

    def _get_size(self, bracket_num, round_num):
        size = super()._get_size(bracket_num, round_num)
        tried = self._closed.get(str(bracket_num))
        if tried is None:
            return size
        return min(size, math.ceil(tried / self.factor**round_num))

    def get_state(self):
        return super().get_state() | {"closed": self._closed}

    def set_state(self, state):
        super().set_state(state)
        self._closed = state.get("closed", {})


class _Bayesian(_Oracle, keras_tuner.oracles.BayesianOptimizationOracle):
    pass


def oracle(config, settings, initial):
    """The oracle of `--tuner`.

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


class Tuner(keras_tuner.engine.base_tuner.BaseTuner):
    """Runs the trials of an oracle, of this process or of a chief.

    Args:
        oracle: See `oracle`.
        settings: List of `space.Setting`s.
        trial: `study.Trial`: called with a dict of settings and a directory it trains,
            or goes on with what is there, and returns the score, smaller is better; its
            `config` raises UserError where settings do not fit one another.
        workdir: Directory of the search.
        steps: Of the longest trials.
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
        # From the first trial on there is something to go on with.
        self.save()
        super().search()

    def save(self):
        if not self._is_worker():
            self.oracle.save()
            files.write_json(self._get_tuner_fname(), self.get_state())

    def _get_tuner_fname(self):
        # The same for one process and for a chief: either goes on with the other's.
        return os.path.join(self.project_dir, "tuner.json")

    def reload(self):
        # A worker keeps nothing.
        if not self._is_worker():
            super().reload()

    def run_trial(self, trial):
        """Trains with the values of a trial, anew: how the rate falls depends on the
        number of steps, so a longer trial is none that goes on.

        Returns:
            Dict of the objective to the score.

        Raises:
            keras_tuner.errors.FailedTrialError: If the loss became NaN, or the flags do
                not fit one another, or there is not enough memory.
            keras_tuner.errors.FatalError: From anything else, which ends this process.
        """
        values, steps = self.values(trial), self.steps(trial)
        text = "  ".join(f"{name}={value:g}" for name, value in values.items())
        print(
            f"trial {trial.trial_id}: {steps} steps  {text}",
            file=sys.stderr,
            flush=True,
        )
        try:
            changes = {**values, "steps": steps}
            score = self._train_checked(changes, self.trial_workdir(trial))
        except (Diverged, tf.errors.ResourceExhaustedError) as error:
            raise keras_tuner.errors.FailedTrialError(_first_line(error)) from error
        except keras_tuner.errors.FailedTrialError:
            raise
        except Exception as error:
            raise keras_tuner.errors.FatalError(_first_line(error)) from error
        return {"validation": score}

    def _train_checked(self, changes, workdir):
        try:
            self._trial.config(changes)
        except UserError as error:
            raise keras_tuner.errors.FailedTrialError(_first_line(error)) from error
        return self._trial(changes, workdir)

    def on_trial_end(self, trial):
        super().on_trial_end(trial)
        # It is not gone on with any more.
        checkpoints = os.path.join(self.trial_workdir(trial), "checkpoints")
        shutil.rmtree(checkpoints, ignore_errors=True)

    def trial_workdir(self, trial):
        """The run directory of a trial."""
        return os.path.join(self._workdir, "trials", trial.trial_id)

    def values(self, trial):
        """The flags that a trial sets, a dict."""
        found = trial.hyperparameters.values
        return {x.name: x.rounded(found[x.name]) for x in self._settings}

    def steps(self, trial):
        """The steps of a trial's training."""
        share = trial.hyperparameters.values.get("tuner/epochs", self._most)
        return max(1, round(self._steps * share / self._most))

    def outcome(self):
        """What has been tried, a list of dicts in the order of the trials.

        Each with `trial`, `status`, `steps`, `score` (None if it failed), `values`, and
        `message` of one that failed.
        """
        found = []
        for trial in sorted(self.oracle.trials.values(), key=lambda t: int(t.trial_id)):
            found.append(
                {
                    "trial": trial.trial_id,
                    "status": trial.status,
                    "steps": self.steps(trial),
                    "score": trial.score,
                    "values": self.values(trial),
                }
            )
            if trial.message:
                found[-1]["message"] = _reason(trial.message)
        return found


def run(tuner):
    """Searches with a `Tuner`, or serves the trials as a chief.

    Raises:
        UserError: If the chief cannot be reached, or cannot listen.
    """
    with warnings.catch_warnings():
        # Of Gaussian processes fitted to few trials.
        warnings.filterwarnings("ignore", module="sklearn")
        try:
            tuner.search()
        except keras_tuner.errors.FatalError as error:
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


def _first_line(error):
    return str(error).strip().splitlines()[0] if str(error).strip() else repr(error)


def _reason(message):
    """The last line of the traceback that Keras Tuner keeps, without the type."""
    return message.strip().splitlines()[-1].rpartition("Error: ")[2]
