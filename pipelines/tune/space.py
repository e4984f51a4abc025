"""The settings that a search goes over, as text such as `learning_rate=0.001..0.01`."""

import dataclasses
import math

from absl import flags

from pipelines.errors import UserError

# What is searched without --space.
_DEFAULTS = {
    "jigsaw": {
        "learning_rate": "0.0003..0.03",
        "temperature": "0.3..3",
        "noise_scale": "0..1",
        "n_iters": "5|10|20|50",
        "filters": "32|64|128",
        "kernel_size": "3|5|7|9",
        "width": "32|64|128",
    },
    "sorting": {
        "learning_rate": "0.01..1",
        "temperature": "0.1..10",
        "noise_scale": "0..1",
        "n_iters": "20|50|100|200",
        "hidden": "16|32|64",
    },
}
# What else may be asked for, with a range: nothing that makes the task an easier one.
_MORE = {
    "averaging",
    "batch_size",
    "color",
    "depth",
    "edge_scales",
    "final_noise_scale",
    "final_temperature",
    "heads",
    "n_samples",
    "rotation",
    "warmup_steps",
    "weight_decay",
}
# What only one kind of network has.
_OF_NETWORK = {
    "paper": {"filters", "kernel_size"},
    "context": {"width", "depth", "heads", "edge_scales"},
}


@dataclasses.dataclass(frozen=True)
class Setting:
    """The values that a search may give to a flag.

    Attributes:
        name: Of the flag.
        bounds: The least and the largest value; () where there are `choices`.
        choices: The values to choose from, ascending; () where there are `bounds`.
    """

    name: str
    bounds: tuple = ()
    choices: tuple = ()

    @property
    def is_logarithmic(self):
        """Whether its values are better spread evenly over their logarithms."""
        least, most = self.bounds or (self.choices[0], self.choices[-1])
        return least > 0 and most >= 4 * least

    def holds(self, value):
        """Whether a value is one of these."""
        if self.choices:
            return value in self.choices
        return value is not None and self.bounds[0] <= value <= self.bounds[1]

    def rounded(self, value):
        """A value as it is used and written: real numbers have three digits."""
        if not self.bounds or isinstance(self.bounds[0], int):
            return value
        return min(max(float(f"{value:.3g}"), self.bounds[0]), self.bounds[1])

    def declare(self, hyperparameters):
        """Adds it to a `keras_tuner.HyperParameters`."""
        if self.choices:
            hyperparameters.Choice(self.name, list(self.choices), ordered=True)
            return
        kind = (
            hyperparameters.Int
            if isinstance(self.bounds[0], int)
            else hyperparameters.Float
        )
        sampling = "log" if self.is_logarithmic else "linear"
        kind(self.name, *self.bounds, sampling=sampling)


def settings(pipeline, asked):
    """What a search goes over.

    Args:
        pipeline: "jigsaw" or "sorting", whose flags have been parsed.
        asked: The entries of `--space`, `NAME`, `NAME=LOW..HIGH` or `NAME=A|B|C`; none
            for all that the pipeline is searched for by default.

    Returns:
        List of `Setting`s, of flags that the chosen network heeds.

    Raises:
        UserError: If an entry cannot be read, or is of a flag that is unknown, that the
            network does not heed, or that does not take these values.
    """
    known = _DEFAULTS[pipeline]
    foreign = set()
    if "network" in flags.FLAGS:
        network = flags.FLAGS.network
        foreign = set().union(*_OF_NETWORK.values()) - _OF_NETWORK[network]
    found = {}
    for entry in asked or [name for name in known if name not in foreign]:
        name, equals, text = (part.strip() for part in entry.partition("="))
        if name not in known and (name not in _MORE or name not in flags.FLAGS):
            everything = sorted(known.keys() | {x for x in _MORE if x in flags.FLAGS})
            raise UserError(
                f"--space has the settings {', '.join(everything)}. Received: {name!r}"
            )
        if name in foreign:
            raise UserError(
                f"--network={network} does not have what --space asks for. "
                f"Received: {name}"
            )
        if name in found:
            raise UserError(f"--space has a setting twice. Received: {name}")
        if not equals and name not in known:
            raise UserError(
                f"--space needs values such as {name}=A|B. Received: {entry}"
            )
        found[name] = _setting(name, text if equals else known[name])
    return list(found.values())


def given(found):
    """The values that the flags have now, a dict; None if one is not in the space."""
    values = {setting.name: flags.FLAGS[setting.name].value for setting in found}
    inside = all(setting.holds(values[setting.name]) for setting in found)
    return values if inside else None


def _setting(name, text):
    is_range = ".." in text
    parts = text.split("..") if is_range else text.split("|")
    try:
        values = tuple(flags.FLAGS[name].parser.parse(part) for part in parts)
    except ValueError as error:
        raise UserError(
            f"--{name} does not take what --space says: {error}. Received: {name}={text}"
        ) from error
    if not all(math.isfinite(x) for x in values if isinstance(x, float)):
        raise UserError(
            f"--space takes finite numbers for {name}. Received: {name}={text}"
        )
    if len(set(values)) < 2 or (
        is_range and (len(values) > 2 or values[0] > values[1])
    ):
        raise UserError(
            "--space takes LOW..HIGH or A|B|C, of two values at least. "
            f"Received: {name}={text}"
        )
    if is_range:
        return Setting(name, bounds=values)
    return Setting(name, choices=tuple(sorted(set(values))))
