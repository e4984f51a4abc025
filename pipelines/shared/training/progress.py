"""The progress of a training on the terminal or in a log."""

import sys
import time

from tqdm import tqdm


class Bar:
    """A bar on a terminal; elsewhere a line now and then, without control codes.

    Args:
        first: The step at which the training goes on.
        last: The last step.
    """

    def __init__(self, first, last):
        self._last = last
        self._latest = {}
        self._printed_at = time.monotonic()
        self._bar = None
        if sys.stderr.isatty():
            self._bar = tqdm(total=last, initial=first, unit="step")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._bar is not None:
            self._bar.close()

    def show(self, step, **values):
        """Shows the latest value of each name, with its step where that is an older one."""
        self._latest |= {name: (value, step) for name, value in values.items()}
        texts = {name: _format(*latest, step) for name, latest in self._latest.items()}
        if self._bar is not None:
            self._bar.set_postfix(texts)
            self._bar.update(step - self._bar.n)
        elif time.monotonic() - self._printed_at > 10 or step == self._last:
            self._printed_at = time.monotonic()
            line = "  ".join(f"{name} {text}" for name, text in texts.items())
            print(f"step {step}/{self._last}  {line}", file=sys.stderr, flush=True)


def _format(value, step, now):
    """A value as text, with its step unless that is the present one."""
    return f"{value:.4f}" + ("" if step == now else f" (at step {step})")
