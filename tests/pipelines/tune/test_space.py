"""The settings that a search goes over."""

import pytest

from pipelines.jigsaw.config import JigsawConfig
from pipelines.shared.errors import UserError
from pipelines.tune import space
from pipelines.tune.space import Setting


@pytest.mark.parametrize(
    "network, names",
    [
        ("paper", {"filters", "kernel_size"}),
        ("context", {"width"}),
    ],
)
def test_a_search_leaves_out_what_the_network_does_not_have(network, names):
    settings = space.settings(JigsawConfig(network=network), [])
    shared = {"learning_rate", "temperature", "noise_scale", "n_iters"}
    assert {setting.name for setting in settings} == shared | names


@pytest.mark.parametrize(
    "text, expected",
    [
        ("learning_rate=0.001..0.1", Setting("learning_rate", bounds=(0.001, 0.1))),
        ("n_iters=20|5|20", Setting("n_iters", choices=(5, 20))),
        ("n_iters=5..20", Setting("n_iters", bounds=(5, 20))),
        ("n_iters", Setting("n_iters", choices=(5, 10, 20, 50))),
        ("weight_decay=0..0.1", Setting("weight_decay", bounds=(0.0, 0.1))),
    ],
)
def test_settings_are_read(text, expected):
    (setting,) = space.settings(JigsawConfig(), [text])
    assert setting == expected
    assert [type(x) for x in setting.bounds] == [type(x) for x in expected.bounds]


@pytest.mark.parametrize(
    "texts, sentence",
    [
        (["grid=2|3"], "Received: 'grid'"),
        (["learning_rat"], "Received: 'learning_rat'"),
        (["weight_decay"], "needs values such as weight_decay=A|B"),
        (["filters"], "--network=context does not have"),
        (["width", "width=8|16"], "a setting twice. Received: width"),
        (["n_iters=20..5"], "Received: n_iters=20..5"),
        (["n_iters=20"], "two values at least. Received: n_iters=20"),
        (["n_iters=1..2..3"], "Received: n_iters=1..2..3"),
        (["n_iters=0..5"], "--n_iters does not take .* Received: n_iters=0..5"),
        (["learning_rate=a..1"], "does not take .* Received: learning_rate=a..1"),
        (["learning_rate=nan..1"], "finite .* Received: learning_rate=nan..1"),
        (["learning_rate=0.1..nan"], "finite .* Received: learning_rate=0.1..nan"),
        (["temperature=1..inf"], "does not take .* Received: temperature=1..inf"),
        (["temperature=1|nan|2"], r"finite .* Received: temperature=1\|nan\|2"),
        (["learning_rate=-1..1"], "does not take .* Received: learning_rate=-1..1"),
    ],
)
def test_a_space_that_makes_no_sense_is_one_sentence(texts, sentence):
    with pytest.raises(UserError, match=sentence):
        space.settings(JigsawConfig(network="context"), texts)


def test_real_numbers_have_three_digits_within_their_bounds():
    setting = Setting("learning_rate", bounds=(0.0012345, 0.0098765))
    assert setting.rounded(0.00456789) == 0.00457
    assert setting.rounded(0.0012345) == 0.0012345
    assert setting.rounded(0.0098765) == 0.0098765
    assert Setting("n_iters", bounds=(5, 20000)).rounded(12345) == 12345


def test_settings_of_the_user_are_the_first_trial_only_if_they_are_in_the_space():
    config = JigsawConfig()
    texts = ["learning_rate=0.001..0.1", "n_iters=5|20"]
    settings = space.settings(config, texts)
    values = {"learning_rate": 0.003, "n_iters": 20}
    assert space.initial_values(config.replace(**values), settings) == values
    for outside in ({"learning_rate": 0.003, "n_iters": 6}, {"learning_rate": None}):
        assert space.initial_values(config.replace(**outside), settings) is None
