"""A benchmark as a whole: its cases, its peers, and its results."""

import os
import sys
import tempfile
import time

import keras

import sinkhorn_tf as st
from pipelines.benchmark import cases, figure, plan, table, trained
from pipelines.benchmark.measure import measure
from pipelines.benchmark.record import Record
from pipelines.benchmark.worker_pool import Worker
from pipelines.shared import machine
from pipelines.shared.files import ROOT


def run(config):
    """Measures all cases and prints them; leaves `benchmark.json` and `benchmark.png`.

    Args:
        config: `BenchmarkConfig`, complete.
    """
    machine.warn_of_load()
    planned = plan.planned_cases(config)
    peers = plan.installed_peers(config)
    record = Record(config)
    logits = trained.all_logits(planned, config)
    todo = [
        case for case in planned if not record.has(case, plan.participants(case, peers))
    ]
    if len(todo) < len(planned):
        print(f"{len(planned) - len(todo)} cases are kept", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        workers = {name: Worker(name, folder, config.patience) for name in peers}
        try:
            solvers = exported_solvers(todo, folder)
            for number, case in enumerate(todo, 1):
                started = time.monotonic()
                values = cases.inputs(case, config.seed, logits)
                if case.section == "serving":
                    values["model"] = solvers[case.kind, case.n]
                record.add(
                    case, measure(case, values, workers, folder, config), workers
                )
                print(
                    f"{number}/{len(todo)}  {case.key}  "
                    f"{time.monotonic() - started:.0f} s",
                    file=sys.stderr,
                    flush=True,
                )
        finally:
            for worker in workers.values():
                worker.close()
    results = [(case, record.cases[case.key]) for case in planned]
    print(table.report(results))
    picture = os.path.join(config.workdir, "benchmark.png")
    figure.draw(picture, results)
    print(f"\nResults: {record.path}\nPicture: {picture}")


def run_training_cost(config):
    """Starts the program that `--scaling` became.

    Args:
        config: `BenchmarkConfig`, complete.
    """
    from pipelines.training_cost.__main__ import main
    from pipelines.training_cost.config import TrainingCostConfig

    print("--scaling: this is python -m pipelines.training_cost", file=sys.stderr)
    # A step of the slowest case takes seconds.
    burst = max(config.burst, 0.0 if config.quick else 1.0)
    settings = {
        "workdir": config.workdir,
        "quick": config.quick,
        "repeats": config.repeats,
        "burst": burst,
    }
    main(TrainingCostConfig(**settings), frozenset(settings))


def exported_solvers(todo, folder):
    """The models of the section serving: a saved one, and others that are exported.

    Args:
        todo: List of cases.
        folder: Directory for new models.

    Returns:
        Dict of `(kind, n)` to the directory of a version.
    """
    saved = ROOT / "savedmodels" / plan.SERVED / "1"
    solvers = {("request", 9): str(saved)}
    for n in {case.n for case in todo if case.kind == "serve"}:
        scores = keras.Input((n, n), name="scores")
        model = keras.Model(scores, keras.layers.Identity()(scores))
        path = os.path.join(folder, f"solver_{n}")
        solvers["serve", n] = st.export_solver(model, path, n_iters=20)
    return solvers
