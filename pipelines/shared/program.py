"""From a command line to a program: flags, start-up, and errors in one sentence.

TensorFlow is imported only once the flags are parsed.
"""

import importlib.util
import sys

from absl import app, logging

from pipelines.shared import options, startup
from pipelines.shared.errors import UserError, first_line, operation_failure

# The command that installs every package that a program needs.
_INSTALL = "pip install 'sinkhorn_tf[pipelines]'"
# A module of these that is missing is a mistake of the project, not of the user.
_OWN_PACKAGES = ("pipelines", "sinkhorn_tf")
# The packages whose names are not those of their modules.
_PACKAGES = {
    "PIL": "pillow",
    "keras_tuner": "keras-tuner",
    "sklearn": "scikit-learn",
    "tensorflow_datasets": "tensorflow-datasets",
}


def run(main, defaults, flag_values):
    """Runs a program; an error that the user can mend is one sentence on stderr.

    Args:
        main: Function of the settings, an `Options`, and of the names of those that
            the command line sets, a frozenset.
        defaults: The `Options` with the default values, from which flags are derived.
        flag_values: The `absl.flags.FlagValues` of this process.
    """
    # The start-up messages of TensorFlow would drown those of the program.
    startup.quieten()
    options.define_flags(defaults, flag_values, module_name=sys.argv[0])

    def guarded_main(arguments):
        _escape_unprintable_names()
        if len(arguments) > 1:
            _fail(f"Unexpected arguments: {' '.join(arguments[1:])}")
        try:
            config, explicit_names = options.from_flags(defaults, flag_values)
            _start_up()
            main(config, explicit_names)
        except KeyboardInterrupt:
            _fail("Interrupted. A training goes on from its last checkpoint: --resume.")
        # An error that the user cannot mend is raised again.
        except Exception as error:
            sentence = _sentence(error)
            if sentence is None:
                raise
            _fail(sentence)

    app.run(guarded_main, flags_parser=_parse)


def _parse(arguments):
    """Parses as absl does; what absl raises without words of its own is a sentence."""
    try:
        return app.parse_flags_with_usage(arguments)
    # A boolean with a value, or a flag file that is not UTF-8.
    except ValueError as error:
        _fail(error)


def _start_up():
    """Imports TensorFlow, and sets what concerns the whole process."""
    logging.set_verbosity(logging.WARNING)
    if importlib.util.find_spec("tensorflow") is None:
        raise UserError(f"tensorflow is not installed: {_INSTALL}")
    import tensorflow as tf

    # TensorFloat-32 would make numbers equal that differ in the fourth digit, and the
    # results on a GPU would differ from those on a CPU.
    tf.config.experimental.enable_tensor_float_32_execution(False)


def _sentence(error):
    """The sentence about an error that the user can mend; None for any other error."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, ModuleNotFoundError):
        module = (error.name or "").partition(".")[0]
        if module in ("", *_OWN_PACKAGES):
            return None
        return f"{_PACKAGES.get(module, module)} is not installed: {_INSTALL}"
    # Without an import of TensorFlow there is no error of TensorFlow.
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is not None and isinstance(error, tensorflow.errors.OpError):
        # TensorFlow wraps a UserError that is raised where batches are made.
        _, is_user_error, sentence = error.message.partition("UserError: ")
        if is_user_error:
            return first_line(sentence)
        return f"{type(error).__name__}: {operation_failure(error)}"
    return str(error) if isinstance(error, OSError) else None


def _escape_unprintable_names():
    """Lets names be printed that the terminal's encoding lacks, with escapes."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _fail(message):
    print(f"error: {message}", file=sys.stderr)
    sys.exit(1)
