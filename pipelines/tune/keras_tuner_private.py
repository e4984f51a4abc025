"""The interfaces of Keras Tuner that are not public, each with its reason.

They were checked with Keras Tuner 1.4.8. `tests/pipelines/tune/test_keras_tuner_private.py`
fails with a sentence if one of them is gone. `search.py` takes nothing else from Keras
Tuner that is private: it gets `BaseTuner` and `Trial` here, and the names with an
underscore that it overrides or uses are those of `ATTRIBUTES`.
"""

from keras_tuner.engine.base_tuner import BaseTuner
from keras_tuner.engine.trial import Trial
from keras_tuner.src import config as _config
from keras_tuner.src.distribute import oracle_client as _oracle_client
from keras_tuner.src.distribute import utils as _utils

__all__ = [
    "ATTRIBUTES",
    # `keras_tuner.Tuner` builds and fits Keras models; a trial here is a training of this
    # project. The base class is exported, but not at the top level.
    "BaseTuner",
    # `Oracle` finds the files of trials by a pattern; `search.py` reads each by its name.
    "Trial",
    "hide_tracebacks",
    "role",
    "wait_for_chief",
]

# The names with an underscore that `search.py` overrides or uses, by class of Keras Tuner.
ATTRIBUTES = {
    "Oracle": {
        "_random_values": "Overridden: no public way chooses the first trial.",
        "_save_trial": "Overridden: a file is written whole or not at all.",
        "_get_oracle_fname": "The path of a file that `search.py` writes and reads.",
        "_get_trial_dir": "The folder of a file that `search.py` writes.",
        "_project_dir": "The folder in which `search.py` looks for trials.",
        "_retry_queue": "The trials that a resumed search begins with.",
    },
    "HyperbandOracle": {
        "_random_trial": "Overridden: a small space must not end a search too early.",
        "_get_size": "Overridden: rungs of a small space have fewer trials.",
    },
    "BayesianOptimizationOracle": {
        "_random_state": "Set for each trial: Keras Tuner does not save its state.",
    },
    "BaseTuner": {
        "_get_tuner_fname": "Overridden: one process and a chief share a file.",
        "_is_worker": "No public method tells whether this process keeps files.",
    },
}


def role():
    """The part of this process in a search: "chief", "worker" or "alone".

    No public API tells; the variables alone do not say whether there is a chief.
    """
    if _utils.is_chief_oracle():
        return "chief"
    return "worker" if _utils.has_chief_oracle() else "alone"


def hide_tracebacks():
    """Stops Keras Tuner from printing the traceback of each failed trial.

    No public switch exists; `search.py` prints the reason in a line.
    """
    _config.DEBUG = False


def wait_for_chief(seconds):
    """Sets the time for which Keras Tuner waits for a chief; no argument does so."""
    _oracle_client.TIMEOUT = seconds
