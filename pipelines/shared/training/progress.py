"""How far a training is."""

import sys
import time

from tqdm import tqdm


class Bar:
    """A bar on a terminal; elsewhere a line now and then, without control codes."""

    def __init__(self, first, last):
        self._last = last
        self._shown = {}
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
        """Shows the latest values."""
        # With the step of each: a validation is older than the latest loss.
        self._shown |= {k: f"{v:.4f} ({step})" for k, v in values.items()}
        if self._bar is not None:
            self._bar.set_postfix(self._shown)
            self._bar.update(step - self._bar.n)
        elif time.monotonic() - self._spoken > 10 or step == self._last:
            self._spoken = time.monotonic()
            text = "  ".join(f"{name} {value}" for name, value in self._shown.items())
            print(f"step {step}/{self._last}  {text}", file=sys.stderr, flush=True)
