"""How far a training is."""

import sys
import time

from tqdm import tqdm


class Bar:
    """A bar on a terminal; elsewhere a line now and then, without control codes."""

    def __init__(self, first, last):
        self._last = last
        self._latest = {}
        self._spoken = time.monotonic()
        self._bar = None
        if sys.stderr.isatty():
            self._bar = tqdm(total=last, initial=first, unit="step")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._bar is not None:
            self._bar.close()

    def show(self, step, **values):
        """Shows the latest values, those that are older with their steps."""
        self._latest |= {name: (value, step) for name, value in values.items()}
        shown = {name: _said(*latest, step) for name, latest in self._latest.items()}
        if self._bar is not None:
            self._bar.set_postfix(shown)
            self._bar.update(step - self._bar.n)
        elif time.monotonic() - self._spoken > 10 or step == self._last:
            self._spoken = time.monotonic()
            text = "  ".join(f"{name} {value}" for name, value in shown.items())
            print(f"step {step}/{self._last}  {text}", file=sys.stderr, flush=True)


def _said(value, step, now):
    """A value as text; the step that it is of, unless it is that of the line."""
    return f"{value:.4f}" + ("" if step == now else f" (at step {step})")
