"""The search: its space, its oracles with a formula for a training, the whole program,
and in processes of their own what befalls it."""

import contextlib
import itertools
import json
import os
import re
import shlex
import sys

import pytest
from absl.testing import flagsaver
from pipelines.errors import UserError
from processes import free_ports

from pipelines import files, jigsaw, training
from pipelines.tune import __main__ as tune
from pipelines.tune import outcome, search, space
from pipelines.tune.space import Setting

# Keras Tuner asks for the thread in the way of Python 2.
pytestmark = pytest.mark.filterwarnings(
    "ignore:currentThread|getName:DeprecationWarning"
)

jigsaw.FLAGS.mark_as_parsed()
# Pictures of more take longer than the short trainings.
jigsaw._DRAWN = 2

QUICK = {
    "network": "paper",
    "filters": 4,
    "batch_size": 8,
    "steps": 30,
    "tuner": "bayesian",
    "trials": 2,
    "space": ["learning_rate=0.001..0.1", "n_iters=5|20"],
}


# The space.


@pytest.mark.parametrize(
    "network, names",
    [
        ("paper", {"filters", "kernel_size"}),
        ("context", {"width"}),
    ],
)
def test_a_search_leaves_out_what_the_network_does_not_have(network, names):
    with flagsaver.flagsaver(network=network):
        found = {setting.name for setting in space.settings("jigsaw", [])}
    shared = {"learning_rate", "temperature", "noise_scale", "n_iters"}
    assert found == shared | names


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
    (found,) = space.settings("jigsaw", [text])
    assert found == expected
    assert [type(x) for x in found.bounds] == [type(x) for x in expected.bounds]


@pytest.mark.parametrize(
    "asked, sentence",
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
def test_a_space_that_makes_no_sense_is_one_sentence(asked, sentence):
    with (
        flagsaver.flagsaver(network="context"),
        pytest.raises(UserError, match=sentence),
    ):
        space.settings("jigsaw", asked)


def test_real_numbers_have_three_digits_within_their_bounds():
    setting = Setting("learning_rate", bounds=(0.0012345, 0.0098765))
    assert setting.rounded(0.00456789) == 0.00457
    assert setting.rounded(0.0012345) == 0.0012345
    assert setting.rounded(0.0098765) == 0.0098765
    assert Setting("n_iters", bounds=(5, 20000)).rounded(12345) == 12345


def test_settings_as_given_are_the_first_trial_only_if_they_are_in_the_space():
    settings = space.settings("jigsaw", ["learning_rate=0.001..0.1", "n_iters=5|20"])
    with flagsaver.flagsaver(learning_rate=0.003, n_iters=20):
        assert space.given(settings) == {"learning_rate": 0.003, "n_iters": 20}
    for values in ({"learning_rate": 0.003, "n_iters": 6}, {"learning_rate": None}):
        with flagsaver.flagsaver(**values):
            assert space.given(settings) is None


# The oracles, with a formula instead of a training.


class Formula:
    """Best at a rate of 0.01 and 20 iterations, better with more steps.

    Attributes:
        calls: The trials in the order of the calls.
        fails: Function of the number of calls so far; may raise.
    """

    def __init__(self, fails=lambda number: None):
        self.calls = []
        self.fails = fails

    def __call__(self, workdir):
        self.calls.append(os.path.basename(workdir))
        os.makedirs(os.path.join(workdir, "checkpoints"), exist_ok=True)
        self.fails(len(self.calls))
        flags = jigsaw.FLAGS
        rate = abs(flags.learning_rate - 0.01) * 10
        return rate + (flags.n_iters != 20) + 1 / flags.steps


def searched(workdir, train, kind="hyperband", check=lambda: None, seed=0, trials=4):
    """The outcome of a search in `workdir`, which may hold one already."""
    settings = space.settings("jigsaw", ["learning_rate=0.001..0.1", "n_iters=5|10|20"])
    given = {"learning_rate": 0.05, "n_iters": 5}
    oracle = search.oracle(
        kind, settings, given, seed=seed, trials=trials, factor=3, rungs=3
    )
    tuner = search.Tuner(oracle, settings, train, check, workdir=str(workdir), steps=90)
    search.run(tuner)
    return tuner.outcome()


@pytest.fixture(params=["hyperband", "bayesian"])
def kind(request):
    return request.param


def test_the_same_command_gives_the_same_trials(kind, tmp_path):
    train = Formula()
    found = searched(tmp_path / "a", train, kind)
    assert found == searched(tmp_path / "b", Formula(), kind)
    other = searched(tmp_path / "c", Formula(), kind, seed=1, trials=2)
    assert other[0] == found[0] and other[1] != found[1]
    assert found[0]["values"] == {"learning_rate": 0.05, "n_iters": 5}
    assert train.calls == [trial["trial"] for trial in found]
    best = outcome.ranking(found)[0]
    assert best["score"] < found[0]["score"]
    for trial in found:
        rate = abs(trial["values"]["learning_rate"] - 0.01) * 10
        expected = rate + (trial["values"]["n_iters"] != 20) + 1 / trial["steps"]
        assert trial["score"] == pytest.approx(expected)
        # Nothing is kept to go on with what is finished.
        assert not list((tmp_path / "a/trials" / trial["trial"]).iterdir())


def test_hyperband_makes_the_best_anew_with_more_steps(tmp_path):
    found = searched(tmp_path, Formula())
    count = {steps: sum(t["steps"] == steps for t in found) for steps in (10, 30, 90)}
    assert count == {10: 9, 30: 8, 90: 6} and len(found) == 23
    shortest = sorted((t["score"], t["trial"]) for t in found[:9])
    again = [t["values"] for t in found[9:12]]
    by_name = {t["trial"]: t["values"] for t in found}
    assert again == [by_name[name] for _, name in shortest[:3]]


def test_hyperband_makes_the_best_anew_where_others_fail(tmp_path):
    def diverge(number):
        if number in (2, 5, 8):
            raise training.Diverged("The loss became NaN at step 50.")

    found = searched(tmp_path, Formula(diverge))
    steps = [t["steps"] for t in found]
    assert len(found) == 23 and steps[:13] == [10] * 9 + [30] * 3 + [90]
    good = sorted(t["score"] for t in found[:9] if t["status"] == "COMPLETED")
    assert len(good) == 6
    by_score = {t["score"]: t["values"] for t in found[:9]}
    assert [t["values"] for t in found[9:12]] == [by_score[x] for x in good[:3]]


@pytest.mark.parametrize("count", [2, 8, 12])
def test_hyperband_ends_a_small_space_with_the_longest_trials(count, tmp_path):
    rates = [0.001 * k for k in range(1, count + 1)]
    asked = ["learning_rate=" + "|".join(f"{rate:.3f}" for rate in rates)]
    settings = space.settings("jigsaw", asked)
    results = []
    for cut in (None, 3):

        def interrupt(number, cut=cut):
            if number == cut:
                raise KeyboardInterrupt

        for fails in (interrupt, lambda number: None):
            oracle = search.oracle(
                "hyperband", settings, None, seed=0, trials=0, factor=3, rungs=3
            )
            tuner = search.Tuner(
                oracle,
                settings,
                Formula(fails),
                lambda: None,
                workdir=str(tmp_path / f"{cut}"),
                steps=90,
            )
            with contextlib.suppress(KeyboardInterrupt):
                search.run(tuner)
        results.append(tuner.outcome())
    found = results[0]
    assert results[1] == found
    shortest = {t["values"]["learning_rate"] for t in found if t["steps"] == 10}
    assert len(shortest) == min(count, 9)
    best = outcome.ranking(found)[0]
    assert best["steps"] == 90
    if count < 10:
        # All rates up to 0.01: the highest is the best.
        assert best["values"]["learning_rate"] == pytest.approx(rates[-1])


@pytest.mark.parametrize("seed", [0, 2**32 - 1])
def test_any_seed_that_a_training_takes(seed, kind, tmp_path):
    assert searched(tmp_path, Formula(), kind, seed=seed)


def test_a_search_has_as_many_trials_as_asked_for(tmp_path):
    found = searched(tmp_path, Formula(), "bayesian", trials=2)
    assert [t["trial"] for t in found] == ["0", "1"]
    # More of them go on with those.
    train = Formula()
    assert searched(tmp_path, train, "bayesian", trials=3)[:2] == found
    assert train.calls == ["2"]


@pytest.mark.parametrize(
    "kind, call", [("hyperband", 1), ("hyperband", 10), ("bayesian", 4)]
)
def test_a_search_that_was_interrupted_ends_as_if_it_had_not_been(kind, call, tmp_path):
    def interrupt(number):
        if number == call:
            raise KeyboardInterrupt

    train = Formula(interrupt)
    with pytest.raises(KeyboardInterrupt):
        searched(tmp_path / "a", train, kind)
    # What has been written is whole.
    for path in (tmp_path / "a/search").rglob("*.json"):
        assert json.loads(path.read_text()) is not None
    assert not list((tmp_path / "a").rglob(".writing-*"))
    again = Formula()
    found = searched(tmp_path / "a", again, kind)
    assert found == searched(tmp_path / "b", Formula(), kind)
    # The one that was interrupted, and then those that were not there yet.
    assert train.calls[-1:] + [t["trial"] for t in found[call:]] == again.calls


@pytest.mark.parametrize("name, neighbour", [("s[3]", "s3"), ("s*", "sx")])
def test_the_name_of_a_search_is_not_a_pattern(name, neighbour, tmp_path):
    def interrupt(number):
        if number == 4:
            raise KeyboardInterrupt

    other = searched(tmp_path / neighbour, Formula(), seed=1)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.json")}
    with pytest.raises(KeyboardInterrupt):
        searched(tmp_path / name, Formula(interrupt))
    again = Formula()
    found = searched(tmp_path / name, again)
    assert found == searched(tmp_path / "whole", Formula()) != other
    assert again.calls == [trial["trial"] for trial in found[3:]]
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize("status", ["RUNNING", "COMPLETED"])
def test_between_the_files_of_the_trial_and_of_the_oracle(
    status, tmp_path, monkeypatch
):
    def killed(oracle):
        number = len(oracle.start_order)
        now = [trial.status for trial in oracle.ongoing_trials.values()]
        if number == 4 and now == [status]:
            raise KeyboardInterrupt
        save(oracle)

    save = search._Oracle.save
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(search._Oracle, "save", killed)
        searched(tmp_path / "a", Formula())
    record = json.loads((tmp_path / "a/search/oracle.json").read_text())
    trial = json.loads((tmp_path / "a/search/trial_0003/trial.json").read_text())
    assert len(record["start_order"]) == 3 + (status == "COMPLETED")
    assert trial["status"] == status
    train = Formula()
    found = searched(tmp_path / "a", train)
    assert found == searched(tmp_path / "b", Formula())
    # What is finished is not run twice.
    finished = 4 if status == "COMPLETED" else 3
    assert train.calls == [t["trial"] for t in found[finished:]]


def test_trials_that_diverge_fail_and_others_go_on(kind, tmp_path):
    def diverge(number):
        if number in (2, 3):
            raise training.Diverged("The loss became NaN at step 50; try another.")

    found = searched(tmp_path, Formula(diverge), kind)
    failed = [t for t in found if t["status"] == "FAILED"]
    assert len(failed) == 2
    assert all(t["score"] is None for t in failed)
    assert failed[0]["message"] == "The loss became NaN at step 50; try another."
    assert {t["status"] for t in found} == {"COMPLETED", "FAILED"}


def test_flags_that_do_not_fit_one_another_are_no_end(kind, tmp_path):
    def check():
        if jigsaw.FLAGS.n_iters == 5:
            raise UserError("These do not fit.")

    train = Formula()
    found = searched(tmp_path, train, kind, check=check)
    for trial in found:
        expected = "FAILED" if trial["values"]["n_iters"] == 5 else "COMPLETED"
        assert trial["status"] == expected
    assert len(train.calls) < len(found)


def test_a_search_in_which_everything_fails_ends(kind, tmp_path):
    def diverge(_):
        raise training.Diverged("The loss became NaN at step 50.")

    train = Formula(diverge)
    found = searched(tmp_path, train, kind, trials=50)
    # Not only after all of them; Hyperband has no more than 17 that are random.
    assert len(train.calls) == len(found) == 10
    settings = [Setting("n_iters", choices=(5, 20))]
    with pytest.raises(
        UserError, match="None of the 10 trials .* became NaN at step 50"
    ):
        outcome.write(found, settings, str(tmp_path), [], "", "")
    assert not (tmp_path / "best.cfg").exists()


def test_other_errors_end_a_search_that_then_goes_on(tmp_path):
    def full(number):
        if number == 3:
            raise UserError("The checkpoint cannot be written.")

    with pytest.raises(UserError, match="^The checkpoint cannot be written.$"):
        searched(tmp_path / "a", Formula(full))
    found = searched(tmp_path / "a", Formula())
    assert found == searched(tmp_path / "b", Formula())


def test_a_score_after_fewer_steps_is_no_measure():
    trial = lambda name, steps, score, status="COMPLETED": {
        "trial": name,
        "steps": steps,
        "score": score,
        "status": status,
    }
    trials = [
        trial("0", 10, 0.1),
        trial("1", 30, 0.3),
        trial("2", 30, 0.2),
        trial("3", 30, 0.2),
        trial("4", 90, None, "FAILED"),
    ]
    assert [t["trial"] for t in outcome.ranking(trials)] == ["2", "3", "1", "0"]


# The program.


def run(workdir, **flags):
    with flagsaver.flagsaver(workdir=str(workdir), **(QUICK | flags)):
        tune.main(jigsaw)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("tune") / "run"
    run(workdir)
    return workdir


def test_the_best_settings_are_a_config_that_trains(finished, tmp_path, capsys):
    trials = files.read_json(str(finished / "trials.json"), list)
    assert [t["steps"] for t in trials] == [30, 30]
    # As given.
    assert trials[0]["values"] == {"learning_rate": 0.02, "n_iters": 20}
    assert (finished / "trials.png").stat().st_size > 1000
    best = min(trials, key=lambda t: t["score"])
    config = finished / "best.cfg"
    head, *_ = config.read_text().partition("\n--")
    assert head.startswith("# From a search over learning_rate, n_iters:\n# python -m")
    assert f"validation {best['score']:.4f} after 30 steps" in head
    workdir = tmp_path / "run"
    with flagsaver.flagsaver():
        jigsaw.FLAGS.unparse_flags()
        jigsaw.FLAGS(["program", f"--flagfile={config}", f"--workdir={workdir}"])
        jigsaw.FLAGS.export = False
        jigsaw.main()
    jigsaw.FLAGS.mark_as_parsed()
    metrics = json.loads((workdir / "metrics.json").read_text())
    expected = {k: v for k, v in QUICK.items() if k in metrics["flags"]} | best[
        "values"
    ]
    assert metrics["flags"].items() >= expected.items()
    # The trial was this very training.
    assert f"validation {best['score']:.4f} (30)" in capsys.readouterr().err


def test_a_finished_search_is_not_run_twice(finished, capsys):
    before = {
        name: (finished / name).read_bytes() for name in ("best.cfg", "trials.json")
    }
    run(finished, resume=True)
    assert "trial 0:" not in capsys.readouterr().err
    assert all((finished / name).read_bytes() == text for name, text in before.items())


@pytest.mark.parametrize(
    "flags, sentence",
    [
        ({}, "already holds a search: pass --resume"),
        (
            {"resume": True, "batch_size": 9},
            "Received: --batch_size=9, the search has 8",
        ),
        ({"resume": True, "factor": 4}, "Received: --factor=4, the search has 3"),
        ({"evaluate": "elsewhere"}, "Received: --evaluate=elsewhere"),
        ({"profile": True}, "Received: --profile=True"),
        ({"distribute": "multiworker"}, "Received: --distribute=multiworker"),
        ({"tuner": "hyperband", "rungs": 9}, "Received: --trial_steps=30"),
        ({"network": "context", "width": 9, "space": []}, "Received: --width=9"),
        ({"split": "nothing"}, "Received: --split=nothing"),
    ],
)
def test_what_the_user_can_mend_is_one_sentence(finished, flags, sentence):
    with pytest.raises(UserError, match=sentence):
        run(finished, **flags)


def test_other_images_are_another_search(finished, monkeypatch):
    source, size, images = jigsaw.training_data()
    monkeypatch.setattr(jigsaw, "training_data", lambda: (source, size, images[:-1]))
    with pytest.raises(UserError, match="Received: --training_images="):
        run(finished, resume=True)


def test_the_command_is_kept_without_places(monkeypatch):
    given = [
        "--data_dir",
        "here",
        "--grid=3",
        "--resume",
        "--workdir=there",
        "--mirror",
    ]
    monkeypatch.setattr(sys, "argv", ["tune", *given])
    assert tune.command() == "python -m pipelines.tune --grid=3 --mirror"


def test_a_run_is_not_searched_over(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints/ckpt-10.index").write_text("")
    with pytest.raises(UserError, match="holds a run: give a search another --workdir"):
        run(tmp_path)


def test_a_missing_package_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "pipelines.tune.search")
    monkeypatch.delattr("pipelines.tune.search")
    for name in [x for x in sys.modules if x.partition(".")[0] == "keras_tuner"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "keras_tuner", None)
    with pytest.raises(UserError, match="needs keras-tuner: pip install keras-tuner"):
        run(tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["TUNER_ID", "ORACLE_IP", "ORACLE_PORT"])
def test_incomplete_variables_are_one_sentence(name, tmp_path, monkeypatch):
    monkeypatch.setenv(f"KERASTUNER_{name}", "1")
    with pytest.raises(UserError, match="Missing: KERASTUNER_"):
        run(tmp_path / "run")


@pytest.mark.parametrize(
    "arguments", [["--pipeline=cooking"], ["--pipeline", "cooking"]]
)
def test_an_unknown_pipeline_is_one_sentence(arguments, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["tune", "--grid=3", *arguments])
    with pytest.raises(SystemExit) as ended:
        tune._program()
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ") and "cooking" in said and said.count("\n") == 1


# Processes.

COMMAND = (
    "-m",
    "pipelines.tune",
    "--network=paper",
    "--filters=8",
    "--batch_size=8",
    "--steps=200",
    "--checkpoint_every=20",
    "--rungs=2",
    "--space=learning_rate=0.001..0.1,n_iters=5|20",
)


def begun(program):
    """The trials that a process said it begins, with their steps."""
    return re.findall(r"^trial (\d+): \d+ steps", program.said(), re.MULTILINE)


def read_trials(workdir):
    return json.loads((workdir / "trials.json").read_text())


@pytest.mark.slow
@pytest.mark.parametrize("tuner", ["hyperband", "bayesian"])
def test_a_search_that_was_killed_goes_on(tuner, start, tmp_path):
    command = (*COMMAND, f"--tuner={tuner}")
    if tuner == "bayesian":
        command += ("--trials=5",)
    whole = start(*command, f"--workdir={tmp_path / 'whole'}")
    workdir = tmp_path / "killed"
    for number in (1, 3):
        program = start(*command, f"--workdir={workdir}", "--resume")
        digits = 4 if tuner == "hyperband" else 1
        trial = workdir / "trials" / f"{number:0{digits}}"
        program.wait_for(trial / "checkpoints" / "ckpt-20.index")
        program.process.kill()
        program.ended()
        assert not (workdir / "best.cfg").exists()
    last = start(*command, f"--workdir={workdir}", "--resume")
    last.succeeded()
    # Within the trial, from its checkpoint; not those before.
    assert re.search("resumed at step [1-9]", last.said())
    assert begun(last)[0] == trial.name
    whole.succeeded()
    assert read_trials(workdir) == read_trials(tmp_path / "whole")
    settings = lambda path: path.joinpath("best.cfg").read_text().partition("\n--")[2]
    assert settings(workdir) == settings(tmp_path / "whole")


@pytest.fixture
def start_search(start):
    """Starts a process of a search with a chief on loopback, by its name."""
    (port,) = free_ports(1)

    def start_search(name, *arguments):
        variables = {
            "KERASTUNER_TUNER_ID": name,
            "KERASTUNER_ORACLE_IP": "localhost",
            "KERASTUNER_ORACLE_PORT": str(port),
        }
        return start(*COMMAND, *arguments, environment=variables)

    return start_search


@pytest.mark.slow
def test_a_chief_and_two_workers_share_the_trials(start_search, start, tmp_path):
    workdir = f"--workdir={tmp_path / 'run'}"
    chief = start_search("chief", workdir)
    workers = [start_search(f"worker{number}", workdir) for number in range(2)]
    for program in (*workers, chief):
        program.succeeded()
    trials = read_trials(tmp_path / "run")
    assert {t["status"] for t in trials} == {"COMPLETED"}
    parts = [begun(worker) for worker in workers]
    assert all(parts) and not begun(chief)
    assert sorted(itertools.chain(*parts)) == [t["trial"] for t in trials]
    assert "best so far" in chief.said()
    # What one process would have found with these values.
    first = trials[0]
    config = (tmp_path / "run" / "best.cfg").read_text()
    lines = [x for x in config.splitlines() if not x.startswith("#")]
    flags = [
        x for x in lines if x.split("=")[0] not in ("--learning_rate", "--n_iters")
    ]
    values = [f"--{name}={value}" for name, value in first["values"].items()]
    alone = start(
        "-m",
        "pipelines.jigsaw",
        *flags,
        *values,
        f"--steps={first['steps']}",
        f"--workdir={tmp_path / 'alone'}",
        "--noexport",
    )
    alone.succeeded()
    assert f"validation {first['score']:.4f}" in alone.said()
    # One process goes on with what a chief has begun.
    again = start(*COMMAND, workdir, "--resume")
    again.succeeded()
    assert not begun(again) and read_trials(tmp_path / "run") == trials


@pytest.mark.slow
def test_a_worker_that_was_killed_takes_up_its_trial(start_search, tmp_path):
    workdir = tmp_path / "run"
    chief = start_search("chief", f"--workdir={workdir}")
    worker = start_search("worker", f"--workdir={workdir}")
    worker.wait_for(workdir / "trials/0001/checkpoints/ckpt-20.index")
    worker.process.kill()
    worker.ended()
    again = start_search("worker", f"--workdir={workdir}", "--resume")
    again.succeeded()
    chief.succeeded()
    assert re.search("resumed at step [1-9]", again.said())
    assert begun(again)[0] == "0001"
    assert {t["status"] for t in read_trials(workdir)} == {"COMPLETED"}


@pytest.mark.slow
def test_workers_with_other_flags_or_without_a_chief_end(start_search, tmp_path):
    workdir = f"--workdir={tmp_path / 'run'}"
    alone = start_search("worker", workdir, "--startup_timeout=5")
    alone.failed("The chief of the search does not answer")
    chief = start_search("chief", workdir)
    other = start_search("worker", workdir, "--filters=4")
    other.failed("Received: --filters=4, the search has 8")
    chief.process.kill()
    second = start_search("chief", f"--workdir={tmp_path / 'other'}", "--filters=0")
    assert second.ended() != 0 and "filters" in second.said()


@pytest.mark.slow
def test_sorting_is_searched_too(start, tmp_path):
    flags = ("--n=6", "--steps=60", "--batch_size=20", "--averaging=.9", "--rungs=2")
    program = start(
        "-m",
        "pipelines.tune",
        "--pipeline=sorting",
        *flags,
        f"--workdir={tmp_path / 'search'}",
        "--space=learning_rate,hidden=8|16",
    )
    program.succeeded()
    config = tmp_path / "search" / "best.cfg"
    assert "\n--hidden=" in config.read_text()
    (command,) = re.findall("# Command: (.*)", config.read_text())
    run = start(*shlex.split(command)[1:], f"--workdir={tmp_path / 'run'}")
    run.succeeded()
    assert (tmp_path / "run" / "metrics.json").exists()
