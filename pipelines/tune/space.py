"""The settings that a search goes over, as text such as `learning_rate=0.001..0.01`."""

import dataclasses

from pipelines.shared import options
from pipelines.shared.errors import UserError


@dataclasses.dataclass(frozen=True)
class Setting:
    """The values that a search may give to a flag.

    Attributes:
        name: The name of the flag.
        bounds: The least and the largest value; () where there are `choices`.
        choices: The values to choose from, ascending; () where there are `bounds`.
    """

    name: str
    bounds: tuple = ()
    choices: tuple = ()

    @property
    def is_logarithmic(self):
        """Whether a search spreads the values evenly over their logarithms."""
        least, most = self.bounds or (self.choices[0], self.choices[-1])
        return least > 0 and most >= 4 * least

    def holds(self, value):
        """Whether a search may give a value to the flag."""
        if self.choices:
            return value in self.choices
        return value is not None and self.bounds[0] <= value <= self.bounds[1]

    def rounded(self, value):
        """A value as it is used and written; a float has three digits."""
        if not self.bounds or isinstance(self.bounds[0], int):
            return value
        return min(max(float(f"{value:.3g}"), self.bounds[0]), self.bounds[1])

    def declare(self, hyperparameters):
        """Adds the setting to a `keras_tuner.HyperParameters`."""
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


def settings(config, asked):
    """The settings that a search goes over.

    Args:
        config: The `Options` of the program whose training is searched for.
        asked: The entries of `--space`, `NAME`, `NAME=LOW..HIGH` or `NAME=A|B|C`; an
            empty list for all settings that are searched by default.

    Returns:
        List of `Setting`s that the chosen network heeds.

    Raises:
        UserError: If an entry cannot be read, or if its setting is unknown, does not
            concern the network, or does not take these values.
    """
    known, foreign = _searchable(config)
    network = options.values(config).get("network")
    by_default = [name for name, text in known.items() if text and name not in foreign]
    chosen = {}
    for entry in asked or by_default:
        name, equals, text = (part.strip() for part in entry.partition("="))
        if name not in known:
            raise UserError(
                f"--space has the settings {', '.join(sorted(known))}. "
                f"Received: {name!r}"
            )
        if name in foreign:
            raise UserError(
                f"--network={network} does not have what --space asks for. "
                f"Received: {name}"
            )
        if name in chosen:
            raise UserError(f"--space has a setting twice. Received: {name}")
        if not equals and not known[name]:
            raise UserError(
                f"--space needs values such as {name}=A|B. Received: {entry}"
            )
        chosen[name] = _setting(config, name, text if equals else known[name])
    return list(chosen.values())


def initial_values(config, searched):
    """The values of the settings that a search starts with.

    Args:
        config: The `Options` of the program.
        searched: List of `Setting`s.

    Returns:
        Dict of names to values; None if one of the values is not in the space.
    """
    values = options.values(config)
    inside = all(setting.holds(values[setting.name]) for setting in searched)
    return {s.name: values[s.name] for s in searched} if inside else None


def _searchable(config):
    """The settings that may be searched.

    Returns:
        Dict of their names to the values that are searched by default, "" for none; and
        the set of the names that do not concern the network.
    """
    # Keras Tuner draws values in this order: the settings of the training come first.
    groups = [*options.groups(config).values(), config]
    names = [name for part in groups for name in options.entries(part)]
    entries = options.entries(config)
    network = options.values(config).get("network")
    known, foreign = {}, set()
    for name in dict.fromkeys(names):
        properties = entries[name][2]
        if properties.search is not None:
            known[name] = config.searched.get(name, properties.search)
            if properties.only_for not in (None, network):
                foreign.add(name)
    return known, foreign


def _setting(config, name, text):
    is_range = ".." in text
    parts = text.split("..") if is_range else text.split("|")
    try:
        values = tuple(options.parse_value(config, name, part) for part in parts)
    except ValueError as error:
        raise UserError(
            f"--{name} does not take what --space says: {error}. Received: {name}={text}"
        ) from error
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
