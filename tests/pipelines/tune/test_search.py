"""The oracles and the tuner, with a formula instead of a training."""

import contextlib
import json

import pytest

from pipelines.shared.errors import UserError
from pipelines.shared.training.trainer import Diverged
from pipelines.tune import outcome, search
from pipelines.tune.space import Setting
from tests.pipelines.tune.formula import INITIAL, Formula, search_with

# Keras Tuner asks for the thread in the way of Python 2.
pytestmark = pytest.mark.filterwarnings(
    "ignore:currentThread|getName:DeprecationWarning"
)


@pytest.fixture(params=["hyperband", "bayesian"])
def tuner(request):
    return request.param


def interrupts(at):
    """A function that interrupts one of the calls of a formula."""

    def fails(number):
        if number == at:
            raise KeyboardInterrupt

    return fails


def test_the_same_command_gives_the_same_trials(tuner, tmp_path):
    formula = Formula()
    trials = search_with(formula, tmp_path / "a", tuner)
    assert trials == search_with(Formula(), tmp_path / "b", tuner)
    other = search_with(Formula(), tmp_path / "c", tuner, seed=1, n_trials=2)
    assert other[0] == trials[0] and other[1] != trials[1]
    assert trials[0]["values"] == INITIAL
    assert formula.calls == [trial["trial"] for trial in trials]
    best = outcome.ranking(trials)[0]
    assert best["score"] < trials[0]["score"]
    for trial in trials:
        rate = abs(trial["values"]["learning_rate"] - 0.01) * 10
        expected = rate + (trial["values"]["n_iters"] != 20) + 1 / trial["steps"]
        assert trial["score"] == pytest.approx(expected)
        # The checkpoints of a trial are removed when it ends.
        assert not list((tmp_path / "a/trials" / trial["trial"]).iterdir())


def test_hyperband_trains_the_best_again_with_more_steps(tmp_path):
    trials = search_with(Formula(), tmp_path)
    count = {steps: sum(t["steps"] == steps for t in trials) for steps in (10, 30, 90)}
    assert count == {10: 9, 30: 8, 90: 6} and len(trials) == 23
    shortest = sorted((t["score"], t["trial"]) for t in trials[:9])
    again = [t["values"] for t in trials[9:12]]
    by_name = {t["trial"]: t["values"] for t in trials}
    assert again == [by_name[name] for _, name in shortest[:3]]


def test_hyperband_trains_the_best_again_where_others_fail(tmp_path):
    def diverge(number):
        if number in (2, 5, 8):
            raise Diverged("The loss became NaN at step 50.")

    trials = search_with(Formula(diverge), tmp_path)
    steps = [t["steps"] for t in trials]
    assert len(trials) == 23 and steps[:13] == [10] * 9 + [30] * 3 + [90]
    good = sorted(t["score"] for t in trials[:9] if t["status"] == "COMPLETED")
    assert len(good) == 6
    by_score = {t["score"]: t["values"] for t in trials[:9]}
    assert [t["values"] for t in trials[9:12]] == [by_score[x] for x in good[:3]]


@pytest.mark.parametrize("count", [2, 8, 12])
def test_hyperband_ends_a_small_space_with_the_longest_trials(count, tmp_path):
    rates = [0.001 * k for k in range(1, count + 1)]
    small = {
        "texts": ["learning_rate=" + "|".join(f"{rate:.3f}" for rate in rates)],
        "initial": None,
    }
    trials = search_with(Formula(), tmp_path / "whole", **small)
    assert search_with(Formula(), tmp_path / "whole", **small) == trials
    with contextlib.suppress(KeyboardInterrupt):
        search_with(Formula(interrupts(at=3)), tmp_path / "cut", **small)
    assert search_with(Formula(), tmp_path / "cut", **small) == trials
    shortest = {t["values"]["learning_rate"] for t in trials if t["steps"] == 10}
    assert len(shortest) == min(count, 9)
    best = outcome.ranking(trials)[0]
    assert best["steps"] == 90
    if count < 10:
        # All rates up to 0.01: the highest is the best.
        assert best["values"]["learning_rate"] == pytest.approx(rates[-1])


@pytest.mark.parametrize("seed", [0, 2**32 - 1])
def test_any_seed_that_a_training_takes(seed, tuner, tmp_path):
    assert search_with(Formula(), tmp_path, tuner, seed=seed)


def test_a_search_has_as_many_trials_as_the_user_asks_for(tmp_path):
    trials = search_with(Formula(), tmp_path, "bayesian", n_trials=2)
    assert [t["trial"] for t in trials] == ["0", "1"]
    # A search with more trials begins with the same ones.
    formula = Formula()
    longer = search_with(formula, tmp_path, "bayesian", n_trials=3)
    assert longer[:2] == trials
    assert formula.calls == ["2"]


@pytest.mark.parametrize(
    "tuner, call", [("hyperband", 1), ("hyperband", 10), ("bayesian", 4)]
)
def test_a_search_that_was_interrupted_ends_as_if_it_had_not_been(
    tuner, call, tmp_path
):
    formula = Formula(interrupts(at=call))
    with pytest.raises(KeyboardInterrupt):
        search_with(formula, tmp_path / "a", tuner)
    # Every file is whole.
    for path in (tmp_path / "a/search").rglob("*.json"):
        assert json.loads(path.read_text()) is not None
    assert not list((tmp_path / "a").rglob(".writing-*"))
    again = Formula()
    trials = search_with(again, tmp_path / "a", tuner)
    assert trials == search_with(Formula(), tmp_path / "b", tuner)
    # The trial that was interrupted, and then those that were not there yet.
    assert formula.calls[-1:] + [t["trial"] for t in trials[call:]] == again.calls


@pytest.mark.parametrize("name, neighbour", [("s[3]", "s3"), ("s*", "sx")])
def test_the_name_of_a_search_is_not_a_pattern(name, neighbour, tmp_path):
    other = search_with(Formula(), tmp_path / neighbour, seed=1)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.json")}
    with pytest.raises(KeyboardInterrupt):
        search_with(Formula(interrupts(at=4)), tmp_path / name)
    again = Formula()
    trials = search_with(again, tmp_path / name)
    assert trials == search_with(Formula(), tmp_path / "whole") != other
    assert again.calls == [trial["trial"] for trial in trials[3:]]
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize("status", ["RUNNING", "COMPLETED"])
def test_a_kill_between_the_files_of_the_trial_and_of_the_oracle(
    status, tmp_path, monkeypatch
):
    def save_or_die(oracle):
        number = len(oracle.start_order)
        now = [trial.status for trial in oracle.ongoing_trials.values()]
        if number == 4 and now == [status]:
            raise KeyboardInterrupt
        save(oracle)

    save = search._Oracle.save
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(search._Oracle, "save", save_or_die)
        search_with(Formula(), tmp_path / "a")
    record = json.loads((tmp_path / "a/search/oracle.json").read_text())
    trial = json.loads((tmp_path / "a/search/trial_0003/trial.json").read_text())
    assert len(record["start_order"]) == 3 + (status == "COMPLETED")
    assert trial["status"] == status
    formula = Formula()
    trials = search_with(formula, tmp_path / "a")
    assert trials == search_with(Formula(), tmp_path / "b")
    # A finished trial is not run twice.
    finished = 4 if status == "COMPLETED" else 3
    assert formula.calls == [t["trial"] for t in trials[finished:]]


def test_trials_that_diverge_fail_and_others_go_on(tuner, tmp_path):
    def diverge(number):
        if number in (2, 3):
            raise Diverged("The loss became NaN at step 50; try another.")

    trials = search_with(Formula(diverge), tmp_path, tuner)
    failed = [t for t in trials if t["status"] == "FAILED"]
    assert len(failed) == 2
    assert all(t["score"] is None for t in failed)
    assert failed[0]["message"] == "The loss became NaN at step 50; try another."
    assert {t["status"] for t in trials} == {"COMPLETED", "FAILED"}


def test_settings_that_do_not_fit_one_another_do_not_end_a_search(tuner, tmp_path):
    def check(config):
        if config.training.n_iters == 5:
            raise UserError("These do not fit.")

    formula = Formula(check=check)
    trials = search_with(formula, tmp_path, tuner)
    for trial in trials:
        expected = "FAILED" if trial["values"]["n_iters"] == 5 else "COMPLETED"
        assert trial["status"] == expected
    assert len(formula.calls) < len(trials)


def test_a_search_in_which_everything_fails_ends(tuner, tmp_path):
    def diverge(_):
        raise Diverged("The loss became NaN at step 50.")

    formula = Formula(diverge)
    trials = search_with(formula, tmp_path, tuner, n_trials=50)
    # It ends before all are tried; Hyperband has no more than 17 that are random.
    assert len(formula.calls) == len(trials) == 10
    settings = [Setting("n_iters", choices=(5, 20))]
    with pytest.raises(
        UserError, match="None of the 10 trials .* became NaN at step 50"
    ):
        outcome.write(trials, settings, str(tmp_path), [], "", "")
    assert not (tmp_path / "best.cfg").exists()


def test_other_errors_end_a_search_that_then_goes_on(tmp_path):
    def full(number):
        if number == 3:
            raise UserError("The checkpoint cannot be written.")

    with pytest.raises(UserError, match="^The checkpoint cannot be written.$"):
        search_with(Formula(full), tmp_path / "a")
    trials = search_with(Formula(), tmp_path / "a")
    assert trials == search_with(Formula(), tmp_path / "b")
