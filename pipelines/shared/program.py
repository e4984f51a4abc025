"""From a command line to a program: flags, start-up, and errors in one sentence.

TensorFlow is imported only once the flags are parsed.
"""

import importlib.util
import os
import sys

from absl import app, logging

from pipelines.shared import options, startup
from pipelines.shared.errors import UserError

# Packages that one extra brings, for a sentence about those that are missing.
_EXTRA = "pip install 'sinkhorn_tf[pipelines]'"
_OWN = ("pipelines", "sinkhorn_tf")


def run(main, defaults, flag_values):
    """Runs a program; an error that the user can mend is one sentence on stderr.

    Args:
        main: Function of the settings, an `Options`, and of the names of those that
            the command line gave, a frozenset.
        defaults: The `Options` with the default values, from which flags are derived.
        flag_values: The `absl.flags.FlagValues` of this process.
    """
    # Before TensorFlow is imported: its start-up messages drown those of the programs.
    startup.quieten()
    options.define_flags(defaults, flag_values, module_name=sys.argv[0])

    def guarded(arguments):
        _print_any_name()
        if len(arguments) > 1:
            _fail(f"Unexpected arguments: {' '.join(arguments[1:])}")
        try:
            config, given = options.from_flags(defaults, flag_values)
            _start_up()
            main(config, given)
        except KeyboardInterrupt:
            _fail("Interrupted. A training goes on from its last checkpoint: --resume.")
        # Anything that is not for the user to mend is raised again.
        except Exception as error:
            sentence = _sentence(error)
            if sentence is None:
                raise
            _fail(sentence)

    app.run(guarded)


def _start_up():
    logging.set_verbosity(logging.WARNING)
    # Pictures go to files: Matplotlib needs no display.
    os.environ["MPLBACKEND"] = "Agg"
    if importlib.util.find_spec("tensorflow") is None:
        raise UserError(f"TensorFlow is not installed: {_EXTRA}")
    import tensorflow as tf

    # On a GPU too the results are those of a CPU: where neighbours differ in the fourth
    # digit, TensorFloat-32 makes them equal.
    tf.config.experimental.enable_tensor_float_32_execution(False)


def _sentence(error):
    """What to say of an error that the user can mend, or None."""
    import tensorflow as tf

    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, ModuleNotFoundError):
        package = (error.name or "").partition(".")[0]
        return (
            None
            if package in ("", *_OWN)
            else f"This needs the package {package}: {_EXTRA}"
        )
    if isinstance(error, tf.errors.OpError):
        # A UserError that is raised where batches are made comes wrapped.
        _, is_ours, sentence = error.message.partition("UserError: ")
        if is_ours:
            return sentence.splitlines()[0]
        return f"{type(error).__name__}: {error.message.splitlines()[0]}"
    return str(error) if isinstance(error, OSError) else None


def _print_any_name():
    """A name that the terminal's encoding lacks is shown escaped; it is no error."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _fail(message):
    print(f"error: {message}", file=sys.stderr)
    sys.exit(1)
