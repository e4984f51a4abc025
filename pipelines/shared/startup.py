"""TensorFlow's start-up without the lines that it prints about itself.

The C++ of TensorFlow writes these lines before it reads `TF_CPP_MIN_LOG_LEVEL`, at the
import and at the first look for a GPU, so no variable hides them.
"""

import contextlib
import importlib.abc
import importlib.machinery
import os
import subprocess
import sys

# A program that copies stdin to stdout without those lines. It runs in a process of its
# own, so that nothing is lost if TensorFlow ends this one, as it does on an old processor.
_FILTER = r"""
import re, sys
known = re.compile(
    rb"WARNING: All log messages before absl::InitializeLog|I\d{4} \d\d:\d\d:|"
    rb"To enable the following instructions: |"
    rb"E\d{4} .*failed call to cuInit: .*(303|CUDA_ERROR_NO_DEVICE)"
)
for line in sys.stdin.buffer:
    if not known.match(line):
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()
"""


def quieten():
    """Hides what TensorFlow will say of itself when it is imported.

    Warnings and errors are still shown. `TF_CPP_MIN_LOG_LEVEL=0` shows everything.
    """
    level = os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if level != "0" and "tensorflow" not in sys.modules:
        sys.meta_path.insert(0, _Finder())


class _Finder(importlib.abc.MetaPathFinder):
    """Finds TensorFlow where it is, and gives it a `_Loader`."""

    def find_spec(self, name, path, target=None):
        if name != "tensorflow":
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None:
            spec.loader = _Loader(spec.loader)
        return spec


class _Loader(importlib.abc.Loader):
    """Imports TensorFlow and looks for GPUs behind `_filtered_stderr`."""

    def __init__(self, loader):
        self._loader = loader

    def __getattr__(self, name):
        return getattr(self._loader, name)

    def create_module(self, spec):
        return self._loader.create_module(spec)

    def exec_module(self, module):
        # TensorFlow asks its own loader for resources.
        module.__spec__.loader = module.__loader__ = self._loader
        with _filtered_stderr():
            self._loader.exec_module(module)
            module.config.list_physical_devices()


@contextlib.contextmanager
def _filtered_stderr():
    """Sends all that is written to the file descriptor of stderr through `_FILTER`."""
    try:
        sys.stderr.flush()
        terminal = os.dup(2)
    # The process may have no stderr.
    except (AttributeError, OSError):
        yield
        return
    with subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _FILTER],
        stdin=subprocess.PIPE,
        stdout=terminal,
        # An interrupt from the keyboard ends this process alone: the filter still has to
        # pass on its last words.
        start_new_session=True,
    ) as process:
        os.dup2(process.stdin.fileno(), 2)
        process.stdin.close()
        try:
            yield
        finally:
            sys.stderr.flush()
            # The filter sees the end of its input, and ends.
            os.dup2(terminal, 2)
            os.close(terminal)
