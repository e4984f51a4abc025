"""The time that the parts of a training step take."""

import statistics
import time


def profile(parts, *, rounds=5, burst=2.0):
    """Times functions in turn, so that background load affects all of them equally.

    Args:
        parts: Dict of a name to a function without arguments; each is called once
            before it is timed.
        rounds: Bursts of each function; the median of them counts.
        burst: Least seconds of a burst: enough to use up the batches that an input
            pipeline has prepared ahead.

    Returns:
        Dict of a name to the seconds of a call.
    """
    for call in parts.values():
        call()
    seconds = {name: [] for name in parts}
    for _ in range(rounds):
        for name, call in parts.items():
            started, calls = time.perf_counter(), 0
            while time.perf_counter() - started < burst:
                call()
                calls += 1
            seconds[name].append((time.perf_counter() - started) / calls)
    return {name: statistics.median(times) for name, times in seconds.items()}


def rates(seconds, batch_size):
    """Images per second, and the shares of a step, of the parts of a training.

    Args:
        seconds: Dict that `profile` returns for `trainer.Trainer.parts`.
        batch_size: Examples of a step.

    Returns:
        Dict of `images_per_second` and `share_of_step`, both dicts of floats.
    """
    step, network = seconds["step"], seconds["network"]
    return {
        "images_per_second": {
            "input pipeline alone": batch_size / seconds["input"],
            "training step alone": batch_size / step,
            "training": batch_size / seconds["training"],
        },
        "share_of_step": {
            "network, forward and backward": network / step,
            "operator, loss and optimizer": max(step - network, 0.0) / step,
            "waiting for input": max(seconds["training"] - step, 0.0) / step,
        },
    }


def table(rates):
    """Formats what the function `rates` returns, as lines of text."""
    lines = [
        f"{name:32}{value:10,.0f} images per second"
        for name, value in rates["images_per_second"].items()
    ]
    lines += [
        f"{name:32}{value:10.0%} of a step"
        for name, value in rates["share_of_step"].items()
    ]
    return "\n".join(lines)
