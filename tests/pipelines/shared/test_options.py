import dataclasses
import math

import pytest
from absl import flags

from pipelines.assembly.config import AssemblyConfig
from pipelines.jigsaw.config import JigsawConfig
from pipelines.shared import options
from pipelines.shared.errors import UserError
from pipelines.shared.options import Options, option
from pipelines.sorting.config import SortingConfig
from tests.pipelines.processes import ROOT

CONFIGS = sorted((ROOT / "configs").glob("**/*.cfg"))
DEFAULTS = {
    "jigsaw": JigsawConfig(),
    "sorting": SortingConfig(),
    "assembly": AssemblyConfig(),
}


@dataclasses.dataclass(frozen=True)
class Inner(Options):
    rate: float = option(0.5, "A rate.", lower=0, upper=2, search="0.1..1")
    label: str | None = option(None, "A label.", is_recorded=False)


@dataclasses.dataclass(frozen=True)
class Innermost(Options):
    deep: int = option(3, "Far below.", lower=0)


@dataclasses.dataclass(frozen=True)
class Middle(Options):
    innermost: Innermost = dataclasses.field(default_factory=Innermost)


@dataclasses.dataclass(frozen=True)
class Outer(Options):
    count: int = option(1, "A count.", lower=1, may_change=True)
    largest: float | None = option(None, "No more.", upper=10)
    shape: str = option("round", "A shape.", choices=("round", "square"))
    quick: bool = option(False, "In a hurry.", replaces_training=True)
    names: list[str] = option([], "Names.")
    inner: Inner = dataclasses.field(default_factory=Inner)
    middle: Middle = dataclasses.field(default_factory=Middle)


NAMES = ["count", "deep", "label", "largest", "names", "quick", "rate", "shape"]


def parsed(*arguments):
    return options.from_arguments(Outer(), list(arguments))


def test_values_are_those_of_all_groups_by_name():
    chosen = options.values(Outer(inner=Inner(rate=1)))
    assert list(chosen) == NAMES
    assert chosen["rate"] == 1 and chosen["deep"] == 3 and chosen["names"] == []


def test_a_setting_that_is_not_recorded_may_change():
    assert options.recorded(Outer()).keys() == set(NAMES) - {"label"}
    assert options.names(Outer(), "may_change") == {"count", "label"}
    assert options.names(Outer(), "replaces_training") == {"quick"}
    assert options.names(Outer(), "search") == {"rate"}


def test_replace_finds_a_setting_in_its_group_and_changes_a_copy():
    before = Outer()
    after = before.replace(count=2, rate=1.5, deep=4)
    assert (after.count, after.inner.rate, after.middle.innermost.deep) == (2, 1.5, 4)
    assert after.inner.label is None
    assert before == Outer()
    # A whole group is a field of its own.
    assert before.replace(inner=Inner(rate=2)).inner.rate == 2
    assert before.replace() == before


def test_a_setting_that_is_unknown_is_not_replaced():
    with pytest.raises(UserError, match="Unknown settings. Received: colour, sise"):
        Outer().replace(sise=1, colour=2, count=3)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"count": 0}, "--count must be at least 1. Received: 0"),
        ({"rate": 2.5}, "--rate must be from 0 to 2. Received: 2.5"),
        ({"rate": -1}, "--rate must be from 0 to 2. Received: -1"),
        ({"largest": 11}, "--largest must be at most 10. Received: 11"),
        ({"deep": -1}, "--deep must be at least 0. Received: -1"),
        ({"rate": math.nan}, "--rate must be finite. Received: --rate=nan"),
        ({"largest": -math.inf}, "--largest must be finite. Received: --largest=-inf"),
        (
            {"shape": "long"},
            "--shape must be one of round, square. Received: --shape=long",
        ),
    ],
)
def test_values_out_of_bounds_are_one_sentence(changes, message):
    with pytest.raises(UserError) as caught:
        Outer().replace(**changes)
    assert str(caught.value) == message


def test_bounds_are_inclusive_and_no_value_has_none():
    Outer().replace(count=1, rate=2.0, largest=10)
    Outer().replace(rate=0, largest=None, label=None)


def test_a_flag_for_each_setting_by_its_name_default_help_and_bounds():
    flag_values = flags.FlagValues()
    options.define_flags(Outer(count=7), flag_values, module_name="a program")
    assert sorted(flag_values) == NAMES
    assert flag_values["count"].default == 7
    assert flag_values["count"].help == "A count."
    assert flag_values["rate"].default == 0.5
    assert flag_values["shape"].parser.enum_values == ["round", "square"]
    shown = {flag.name for flag in flag_values.get_key_flags_for_module("a program")}
    assert shown == set(NAMES)


def test_parsed_values_and_the_names_that_were_given():
    chosen, given = parsed("--count=5", "--noquick", "--rate=1e-1", "--names=a,b")
    assert chosen == Outer(count=5, names=["a", "b"], inner=Inner(rate=0.1))
    # Also those that were given their default values.
    assert given == {"count", "quick", "rate", "names"}
    chosen, given = parsed("--quick", "--label=x y", "--shape=square", "--deep=9")
    assert chosen.quick and chosen.inner.label == "x y" and chosen.shape == "square"
    assert chosen.middle.innermost.deep == 9
    assert parsed() == (Outer(), frozenset())


def test_the_defaults_are_those_that_were_handed_over():
    chosen, given = options.from_arguments(Outer(count=7), ["--rate=1"])
    assert chosen == Outer(count=7, inner=Inner(rate=1)) and given == {"rate"}


def test_a_flag_file_is_read_where_it_stands(tmp_path):
    other, path = tmp_path / "other.cfg", tmp_path / "some.cfg"
    other.write_text("--deep=1\n--count=2\n")
    path.write_text(f"# Heads may say anything.\n\n--count=3\n--flagfile={other}\n")
    chosen, given = parsed("--count=4", f"--flagfile={path}", "--rate=1")
    assert (chosen.count, chosen.inner.rate) == (2, 1)
    assert given == {"count", "deep", "rate"}
    assert parsed(f"--flagfile={path}", "--count=8")[0].count == 8


@pytest.mark.parametrize(
    "argument, message",
    [
        ("--cuont=2", "Unknown command line flag 'cuont'"),
        ("--count=2.5", "--count=2.5"),
        ("--count=0", "--count=0"),
        ("--rate=many", "--rate=many"),
        ("--rate=3", "--rate=3"),
        ("--rate=nan", "--rate must be finite. Received: --rate=nan"),
        ("--largest=-inf", "--largest must be finite. Received: --largest=-inf"),
        ("--shape=long", "--shape=long"),
        ("--flagfile=nowhere.cfg", "nowhere.cfg"),
        ("extra", "Unexpected arguments: extra"),
    ],
)
def test_arguments_that_cannot_be_parsed_are_a_user_error(argument, message):
    with pytest.raises(UserError) as caught:
        parsed(argument)
    assert message in str(caught.value)


def test_parsing_leaves_the_flags_of_the_process_alone():
    before = set(flags.FLAGS)
    parsed("--count=2")
    parsed("--count=3")
    assert set(flags.FLAGS) == before


def test_two_settings_of_one_name_are_refused():
    @dataclasses.dataclass(frozen=True)
    class Twice(Options):
        rate: int = option(1, "The same name.")
        inner: Inner = dataclasses.field(default_factory=Inner)

    @dataclasses.dataclass(frozen=True)
    class TwoGroups(Options):
        inner: Inner = dataclasses.field(default_factory=Inner)
        other: Inner = dataclasses.field(default_factory=Inner)

    for repeated in (Twice(), TwoGroups()):
        with pytest.raises(ValueError, match="Two settings have one name: .*rate"):
            options.entries(repeated)


def test_a_list_is_nobody_elses():
    Outer().names.append("mine")
    assert Outer().names == []


def test_the_value_of_a_text():
    assert options.parse_value(Outer(), "rate", "1e-1") == 0.1
    assert options.parse_value(Outer(), "deep", "4") == 4
    assert options.parse_value(Outer(), "shape", "square") == "square"
    for name, text in {"rate": "nan", "deep": "-1", "shape": "long"}.items():
        with pytest.raises(ValueError):
            options.parse_value(Outer(), name, text)


def test_arguments_of_settings_are_parsed_to_the_same():
    changed = Outer(
        count=3, largest=0.1, quick=True, names=["a", "b"], inner=Inner(1 / 3, "x y")
    )
    lines = options.as_arguments(changed, NAMES)
    assert options.from_arguments(Outer(), lines)[0] == changed
    lines = options.as_arguments(Outer(), ["quick", "shape"])
    assert lines == ["--noquick", "--shape=round"]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_is_of_settings_that_fit(path, monkeypatch):
    # A config may begin with another one, by its path in the repository.
    monkeypatch.chdir(ROOT)
    defaults = DEFAULTS[path.stem.partition("_")[0]]
    chosen, given = options.from_arguments(defaults, [f"--flagfile={path}"])
    lines = [line for line in path.read_text().splitlines() if line.startswith("--")]
    named = {line[2:].partition("=")[0] for line in lines} - {"flagfile"}
    assert named and {name.removeprefix("no") for name in named - given} <= given
    chosen.completed().check(given)


@pytest.mark.parametrize("name", DEFAULTS)
def test_settings_of_a_program_have_help_and_take_their_own_defaults(name):
    for setting, (_, value, known) in options.entries(DEFAULTS[name]).items():
        assert known.help.endswith((".", ")")), setting
        options.check(setting, value, known)
        assert known.search is None or not known.may_change, setting


def test_a_boolean_with_a_value_and_a_broken_flag_file_are_one_sentence(tmp_path):
    with pytest.raises(UserError, match="does not take an argument"):
        options.from_arguments(JigsawConfig(), ["--nocrop=true"])
    path = tmp_path / "broken.cfg"
    path.write_bytes(b"--steps=\xe9\n")
    with pytest.raises(UserError, match="utf-8"):
        options.from_arguments(JigsawConfig(), [f"--flagfile={path}"])


def test_integers_fit_into_32_bits():
    with pytest.raises(UserError, match="--steps must fit into 32 bits"):
        JigsawConfig().replace(steps=2**31)
