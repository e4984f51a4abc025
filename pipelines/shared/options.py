"""Settings of programs: frozen dataclasses, from which command-line flags are derived.

A setting is declared once, by `option`, as a field of an `Options` class: its default,
help and bounds, and what the other parts of a program may do with it. A group of
settings that several programs share is a field whose value is `Options` itself, such as
`TrainingConfig` in `JigsawConfig`. All names in one program are different, so that
`--steps` is the field `steps` wherever it stands.

Nothing here imports TensorFlow: a program answers `--helpshort` and a mistyped flag
from its configuration alone.
"""

import dataclasses
import math
import types
import typing
from typing import ClassVar

from absl import flags

from pipelines.shared.errors import UserError

_METADATA = "option"
# The largest integer without an upper bound of its own: TensorFlow counts in 32 bits.
_MAX_INTEGER = 2**31 - 1


@dataclasses.dataclass(frozen=True)
class Properties:
    """The properties of a setting beside its name, type and default.

    Attributes:
        help: One sentence for `--helpshort`.
        lower, upper: Bounds of a number, inclusive, or None.
        choices: The values of an enumeration, or ().
        is_recorded: Whether the setting says what a run is. A setting that says where a
            run is kept, or what is done with it, is left out of records.
        may_change: Whether a resumed run may have another value.
        replaces_training: Whether the program, where the setting is set, does something
            else than to train, in one process; a search refuses such a setting.
        search: The values that `pipelines.tune` goes over by default, such as
            "0.3..3" or "5|10|20"; "" where it may search over values that the user
            gives; None where it may not search.
        only_for: The value of `--network` that heeds the setting, or None for all.
    """

    help: str
    lower: float | None = None
    upper: float | None = None
    choices: tuple = ()
    is_recorded: bool = True
    may_change: bool = False
    replaces_training: bool = False
    search: str | None = None
    only_for: str | None = None


def option(default, help, **properties):
    """A field of an `Options` class.

    Args:
        default: The value without the flag; None if a program chooses one itself.
        help: One sentence for `--helpshort`.
        **properties: Further `Properties`. A setting that is not recorded may change.
    """
    if not properties.get("is_recorded", True):
        properties["may_change"] = True
    metadata = {_METADATA: Properties(help, **properties)}
    if isinstance(default, list):
        return dataclasses.field(
            default_factory=lambda: list(default), metadata=metadata
        )
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class Options:
    """The base of all groups of settings; checks the bounds of each.

    Attributes:
        searched: Dict of the names of settings to the values that a search goes over
            by default, where this program differs from the `search` of the settings.
    """

    searched: ClassVar[dict[str, str]] = {}

    def __post_init__(self):
        for field in dataclasses.fields(self):
            if _METADATA in field.metadata:
                check(field.name, getattr(self, field.name), field.metadata[_METADATA])

    def completed(self):
        """The settings with the values that a program chooses for those that are None."""
        return self

    def check(self, explicit_names=frozenset()):
        """Raises UserError where settings do not fit one another.

        Args:
            explicit_names: The names of the settings that the command line sets.
        """

    def replace(self, **changes):
        """A copy with other values.

        Args:
            **changes: Values by the names of settings, of any group.

        Raises:
            UserError: If a setting is unknown or a value out of bounds.
        """
        own = {field.name for field in dataclasses.fields(self)}
        new = {name: changes.pop(name) for name in own & changes.keys()}
        for name, part in groups(self).items():
            here = {k: changes.pop(k) for k in changes.keys() & values(part).keys()}
            if here:
                new[name] = part.replace(**here)
        if changes:
            raise UserError(f"Unknown settings. Received: {', '.join(sorted(changes))}")
        return dataclasses.replace(self, **new)

    def with_defaults(self, defaults, explicit_names):
        """A copy with other defaults.

        Args:
            defaults: Dict of names to values.
            explicit_names: The names of the settings that keep their values, as the
                command line sets them.
        """
        changes = {k: v for k, v in defaults.items() if k not in explicit_names}
        return self.replace(**changes)


def check(name, value, properties):
    """Raises UserError where a value is out of bounds or not among the choices."""
    if properties.choices and value is not None and value not in properties.choices:
        raise UserError(
            f"--{name} must be one of {', '.join(properties.choices)}. "
            f"Received: --{name}={value}"
        )
    if isinstance(value, list):
        for element in value:
            check(name, element, properties)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return
    # NaN passes every comparison.
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"--{name} must be finite. Received: --{name}={value}")
    low, high = properties.lower, properties.upper
    if high is None and isinstance(value, int) and value > _MAX_INTEGER:
        raise UserError(f"--{name} must fit into 32 bits. Received: --{name}={value}")
    if (low is not None and value < low) or (high is not None and value > high):
        raise UserError(f"--{name} must be {_range(low, high)}. Received: {value}")


def _range(low, high):
    if high is None:
        return f"at least {low:g}"
    return f"at most {high:g}" if low is None else f"from {low:g} to {high:g}"


def groups(options):
    """The groups among the fields of an `Options`: a dict of names to `Options`."""
    parts = {f.name: getattr(options, f.name) for f in dataclasses.fields(options)}
    return {name: part for name, part in parts.items() if isinstance(part, Options)}


def entries(options):
    """All settings, with those of the groups, by name.

    Returns:
        Dict of names to triples of type, value and `Properties`.
    """
    own = {}
    hints = typing.get_type_hints(type(options))
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        if isinstance(value, Options):
            inner = entries(value)
            repeated = own.keys() & inner.keys()
            if repeated:
                raise ValueError(f"Two settings have one name: {repeated}")
            own |= inner
        elif _METADATA in field.metadata:
            kind = _kind(hints[field.name])
            own[field.name] = (kind, value, field.metadata[_METADATA])
    return own


def values(options):
    """The values of all settings, a dict sorted by name."""
    return {name: value for name, (_, value, _) in sorted(entries(options).items())}


def names(options, property_name):
    """The set of the names of the settings that have a property, such as "may_change"."""
    return {
        name
        for name, (_, _, properties) in entries(options).items()
        if getattr(properties, property_name)
    }


def recorded(options):
    """The values of the settings that say what a run is; no path is among them."""
    return drop_unrecorded(options, values(options))


def drop_unrecorded(options, settings):
    """A dict of settings without those that do not say what a run is.

    Args:
        options: The `Options` of the program.
        settings: Dict of names to values, possibly of another version of the program.
    """
    hidden = entries(options).keys() - names(options, "is_recorded")
    return {name: value for name, value in settings.items() if name not in hidden}


def _kind(hint):
    """The type of a setting without its None, such as `int` or `list[str]`."""
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        (hint,) = (part for part in typing.get_args(hint) if part is not type(None))
    return hint


def define_flags(options, flag_values, module_name=None):
    """Defines a flag for each setting.

    The flag of a `list[str]` takes values that commas separate; the flag of a list of
    numbers is repeated, once for each.

    Args:
        options: The `Options` with the default values.
        flag_values: The `absl.flags.FlagValues` that takes the flags.
        module_name: The program that `--helpshort` lists them under.
    """
    for name, (kind, default, properties) in entries(options).items():
        if properties.choices:
            flag = flags.EnumFlag(name, default, properties.help, properties.choices)
        elif kind is bool:
            flag = flags.BooleanFlag(name, default, properties.help)
        elif kind == list[str]:
            flag = flags.Flag(
                flags.ListParser(),
                flags.ListSerializer(","),
                name,
                default,
                properties.help,
            )
        else:
            is_repeated = typing.get_origin(kind) is list
            make = flags.MultiFlag if is_repeated else flags.Flag
            parser = _parser(*(typing.get_args(kind) or [kind]), properties)
            serializer = flags.ArgumentSerializer()
            flag = make(parser, serializer, name, default, properties.help)
        flags.DEFINE_flag(flag, flag_values, module_name=module_name)
        if module_name is not None:
            flag_values.register_key_flag_for_module(module_name, flag)


def _parser(kind, properties):
    """The absl parser of a type, with the bounds of a setting."""
    bounds = {"lower_bound": properties.lower, "upper_bound": properties.upper}
    if kind is int:
        return flags.IntegerParser(**bounds)
    if kind is float:
        return flags.FloatParser(**bounds)
    return flags.ArgumentParser()


def from_flags(options, flag_values):
    """The settings with the values of parsed flags.

    Returns:
        The `Options`, and a frozenset of the names that the command line sets.

    Raises:
        UserError: If a value is out of bounds: absl lets NaN pass.
    """
    names = entries(options)
    explicit_names = frozenset(name for name in names if flag_values[name].present)
    changes = {name: flag_values[name].value for name in explicit_names}
    return options.replace(**changes), explicit_names


def from_arguments(options, arguments):
    """The settings with the values of command-line arguments.

    Args:
        options: The `Options` with the default values.
        arguments: List of strings, such as `["--flagfile=configs/x.cfg"]`.

    Returns:
        The same as `from_flags`.

    Raises:
        UserError: If an argument is no flag of these options, or its value is out of
            bounds.
    """
    flag_values = flags.FlagValues()
    define_flags(options, flag_values)
    try:
        rest = flag_values(["program", *arguments])[1:]
    # A boolean with a value and a flag file that is not UTF-8 are ValueErrors of absl.
    except (flags.Error, ValueError) as error:
        raise UserError(str(error)) from error
    if rest:
        raise UserError(f"Unexpected arguments: {' '.join(rest)}")
    return from_flags(options, flag_values)


def parse_value(options, name, text):
    """The value that a text stands for as the flag of a setting.

    Raises:
        ValueError: If the flag takes no such value.
    """
    flag_values = flags.FlagValues()
    define_flags(options, flag_values)
    value = flag_values[name].parser.parse(text)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("it must be a finite number")
    return value


def as_arguments(options, names):
    """The lines of a flag file that set the named settings to their values here."""
    flag_values = flags.FlagValues()
    define_flags(options, flag_values)
    return [flag_values[name].serialize() for name in names]
