"""Which cases are planned, and for which settings."""

import pytest

from pipelines.benchmark import plan
from pipelines.benchmark.config import BenchmarkConfig
from pipelines.benchmark.trained import jigsaw_config
from pipelines.shared.errors import UserError


def test_quick_changes_what_was_not_given():
    config = BenchmarkConfig(quick=True, repeats=7).completed({"quick", "repeats"})
    assert config.repeats == 7
    assert config.burst == 0.05
    assert config.sizes == ["64x9"]
    assert BenchmarkConfig().completed() == BenchmarkConfig()


def test_the_cases_of_the_sections_in_their_order():
    config = BenchmarkConfig(quick=True).completed()
    keys = [case.key for case in plan.planned_cases(config)]
    assert keys == [
        "operator/forward/64x9/L20/t1/normal",
        "operator/backward/64x9/L20/t1/normal",
        "scaling/forward/4x16/L20/t1/normal",
        "scaling/forward/4x256/L20/t1/normal",
        "scaling/backward/4x16/L20/t1/normal",
        "scaling/backward/4x256/L20/t1/normal",
        "accuracy/forward/4x9/L20/t0.01/normal",
        "accuracy/backward/4x9/L20/t0.01/normal",
        "solver/solve/1x10/t0.0434294/tight",
        "solver/solve/1x10/t0.0108574/tight",
        "matching/match/64x36/normal",
        "matching/match/64x9/digits N = 9",
        "serving/serve/64x9/normal",
        "serving/serve/64x9/digits N = 9, context",
        "serving/request/64x9/jigsaw_mnist_3x3",
        "shapes/forward/64x6x9/L20/t1/normal",
        "shapes/forward/64x9x9:3/L20/t1/normal",
        "shapes/forward/64x9x9:dustbins/L20/t1/normal",
        "shapes/backward/64x6x9/L20/t1/normal",
        "shapes/backward/64x9x9:3/L20/t1/normal",
        "shapes/backward/64x9x9:dustbins/L20/t1/normal",
        "shapes/match/64x6x9/normal",
        "shapes/match/64x9x9:3/normal",
        "eager/forward_sizes/40x9x9:5/L20/t1/normal",
        "eager/backward_sizes/40x9x9:5/L20/t1/normal",
        "eager/match_sizes/40x9x9:5/normal",
        "eager/certify_sizes/40x9x9:5/normal",
        "eager/rank_sizes/40x9x9:5/normal",
        "large/forward/1x512/L20/t1/normal",
        "large/forward/1x512/L20/t0.05/normal",
        "large/backward/1x512/L20/t1/normal",
        "large/backward/1x512/L20/t0.05/normal",
        "spread/forward/64x9/L20/t1/3 normal",
        "spread/backward/64x9/L20/t1/3 normal",
    ]


def test_the_bound_takes_part_in_the_operator_alone():
    sections = ["operator", "serving"]
    config = BenchmarkConfig(quick=True, sections=sections).completed({"sections"})
    operator, *_, request = plan.planned_cases(config)
    names = ["ours_xla", "bound", "scipy", "served"]
    assert plan.participants(operator, names) == {
        "ours_xla": "forward",
        "bound": "bound",
    }
    assert plan.participants(request, names) == {"served": "request"}


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"sections": ["operators"]}, "--sections takes operator, .*: operators"),
        ({"peers": ["nobody"]}, "--peers takes ours_xla, .*: nobody"),
        ({"iterations": []}, "--iterations is empty"),
        ({"sizes": ["64x"]}, "--sizes takes whole numbers from 1. Received: $"),
        ({"shapes": ["64x9"]}, "--shapes takes shapes like 64x6x9, .*: 64x9$"),
        ({"shapes": ["64x9x9:"]}, "masses, balanced, dustbins .*: 64x9x9:$"),
        ({"shapes": ["64x9x9:0"]}, "--shapes takes whole numbers from 1. Received: 0"),
        ({"shapes": ["64x9x9:bins"]}, "after the colon. Received: 64x9x9:bins"),
        ({"eager_sizes": ["8x9"]}, "a batch and two sizes, .*: 8x9$"),
        ({"eager_sizes": ["8x9x5"]}, "the smaller size before .*: 8x9x5$"),
        ({"shapes": ["64x6x9:7"]}, "at most N and M. Received: 64x6x9:7"),
        ({"grids": ["0"]}, "--grids takes whole numbers from 1. Received: 0"),
        ({"temperatures": ["inf"]}, "--temperatures takes positive .*: inf"),
        ({"dataset": "cifar"}, "cifar"),
    ],
)
def test_settings_that_fit_nothing_are_one_sentence(settings, message):
    config = BenchmarkConfig(**settings)
    with pytest.raises(UserError, match=message):
        config.check()
        plan.planned_cases(config)


def test_the_training_of_a_case():
    config = BenchmarkConfig(workdir="run", training_steps=7)
    jigsaw = jigsaw_config(config, 6, "paper")
    assert jigsaw.size == 12 and jigsaw.training.steps == 7
    assert jigsaw.training.workdir == "run/trained/digits_6x6_paper_7"
