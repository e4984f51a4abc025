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


@dataclasses.dataclass(frozen=True)
class Properties:
    """What is known of a setting beside its name, type and default.

    Attributes:
        help: One sentence for `--helpshort`.
        lower, upper: Bounds of a number, inclusive, or None.
        choices: The values of an enumeration, or ().
        is_recorded: Whether the setting says what a run is. One that does not says where
            a run is kept or what is done with it, and is left out of records.
        may_change: Whether a resumed run may have another value.
        replaces_training: Whether a value that is true makes the program do something
            other than to train, in one process, which no search does.
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
    found = Properties(help, **properties)
    if isinstance(default, list):
        return dataclasses.field(
            default_factory=lambda: list(default), metadata={_METADATA: found}
        )
    return dataclasses.field(default=default, metadata={_METADATA: found})


@dataclasses.dataclass(frozen=True)
class Options:
    """The base of all groups of settings; checks the bounds of each.

    Attributes:
        searched: The values that a search goes over where this program differs from
            what its settings say, by name.
    """

    searched: ClassVar[dict[str, str]] = {}

    def __post_init__(self):
        for field in dataclasses.fields(self):
            if _METADATA in field.metadata:
                check(field.name, getattr(self, field.name), field.metadata[_METADATA])

    def completed(self):
        """The settings with the values that a program chooses where none was given."""
        return self

    def check(self, given=frozenset()):
        """Raises UserError where settings do not fit one another.

        Args:
            given: The names of the settings that the command line gave.
        """

    def replace(self, **changes):
        """A copy with other values, by the names of settings, in whichever group.

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
    if not math.isfinite(value):
        raise UserError(f"--{name} must be finite. Received: --{name}={value}")
    low, high = properties.lower, properties.upper
    if (low is not None and value < low) or (high is not None and value > high):
        raise UserError(f"--{name} must be {_range(low, high)}. Received: {value}")


def _range(low, high):
    if high is None:
        return f"at least {low:g}"
    return f"at most {high:g}" if low is None else f"from {low:g} to {high:g}"


def groups(options):
    """The groups of settings inside of these: a dict of names to `Options`."""
    parts = {f.name: getattr(options, f.name) for f in dataclasses.fields(options)}
    return {name: part for name, part in parts.items() if isinstance(part, Options)}


def entries(options):
    """All settings, of the groups too: a dict of names to `(type, value, Properties)`."""
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
    """The names of the settings with a property that is true, a set."""
    return {
        name
        for name, (_, _, properties) in entries(options).items()
        if getattr(properties, property_name)
    }


def recorded(options):
    """The values that say what a run is: no path of a machine."""
    kept = names(options, "is_recorded")
    return {name: value for name, value in values(options).items() if name in kept}


def _kind(hint):
    """The type of a setting without its None; of lists that of their elements too."""
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
        The `Options`, and a frozenset of the names that the command line gave.

    Raises:
        UserError: If a value is out of bounds: absl lets NaN pass.
    """
    known = entries(options)
    chosen = {name: flag_values[name].value for name in known}
    given = frozenset(name for name in known if flag_values[name].present)
    changes = {name: chosen[name] for name in given}
    return options.replace(**changes), given


def from_arguments(options, arguments):
    """The settings with the values of command-line arguments, `--flagfile` among them.

    Args:
        options: The `Options` with the default values.
        arguments: List of strings, such as `["--flagfile=configs/x.cfg"]`.

    Returns:
        As `from_flags`.

    Raises:
        UserError: If an argument is no flag of these, or its value is out of bounds.
    """
    flag_values = flags.FlagValues()
    define_flags(options, flag_values)
    try:
        rest = flag_values(["program", *arguments])[1:]
    except flags.Error as error:
        raise UserError(str(error)) from error
    if rest:
        raise UserError(f"Unexpected arguments: {' '.join(rest)}")
    return from_flags(options, flag_values)


def parse_value(options, name, text):
    """The value that the flag of a setting would take from a text.

    Raises:
        ValueError: If it takes no such value.
    """
    flag_values = flags.FlagValues()
    define_flags(options, flag_values)
    value = flag_values[name].parser.parse(text)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("it must be a finite number")
    return value


def as_arguments(options, names):
    """Command-line arguments of the named settings, one line each, as in a flag file."""
    flag_values = flags.FlagValues()
    define_flags(options, flag_values)
    lines = []
    for name in names:
        lines.append(flag_values[name].serialize())
    return lines
