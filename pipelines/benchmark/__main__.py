"""The operators against every peer that is installed, in speed, memory and accuracy.

    python -m pipelines.benchmark                  # half an hour
    python -m pipelines.benchmark --quick          # two minutes
    python -m pipelines.benchmark --sections=operator --sizes=64x36 --iterations=20
    python -m pipelines.benchmark --scaling        # of training, a quarter of an hour
    pip install -e '.[bench]'                      # the peers that pip can install

One process per peer, one at work at a time, all on the processor: for each case every
peer compiles and warms up, then short bursts go round the peers `--repeats` times.
Every result is compared with a float64 reference; what is further off than 1e-3 is
marked, and beats nobody. Leaves `benchmark.json` and `benchmark.png` in the run
directory.

Sections: `operator`, forward and with the gradient; `scaling`, the same as N grows;
`accuracy` over temperatures, not timed; `solver`, on the tight instance of EP's
theorem 2; `matching`, on random logits and those of the paper's network, trained for it;
`serving`, exported solvers through TensorFlow's C API with XLA disabled, on random logits
and those of a trained network of context, and
`savedmodels/jigsaw_mnist_3x3` beside its matching alone (of random logits).

`--scaling` measures no peers and no section, not the one of that name either, but time
and memory of training as images, N, batch and workers grow (`scaling.py`).
"""

import math
import os
import subprocess
import sys
import tempfile
import time

import keras
import numpy as np
from absl import flags

import sinkhorn_tf as st
from pipelines import datasets, runs
from pipelines.benchmark import cases, figure, machine, scaling, table
from pipelines.benchmark.peers import PEERS
from pipelines.benchmark.workers import Ended, Worker
from pipelines.errors import UserError

FLAGS = flags.FLAGS
SECTIONS = ("operator", "scaling", "accuracy", "solver", "matching", "serving")

flags.DEFINE_string("workdir", "runs/benchmark", "Directory of the run.")
flags.DEFINE_bool("resume", False, "Keep the cases that --workdir has.")
flags.DEFINE_bool("quick", False, "Small sizes, few repeats, for flags not given.")
flags.DEFINE_bool(
    "scaling", False, "Instead of sections: training as images, N, batch, workers grow."
)
flags.DEFINE_list("sections", list(SECTIONS), "What to measure.")
flags.DEFINE_list("peers", list(PEERS), "Whom to measure.")
flags.DEFINE_list("sizes", ["64x9", "64x36", "64x100", "16x256"], "Batch x N.")
flags.DEFINE_list("iterations", ["20", "100"], "Iterations of the operator.")
flags.DEFINE_float("temperature", 1.0, "Of operator and scaling.", lower_bound=1e-6)
flags.DEFINE_list(
    "scaling_sizes",
    [f"4x{2**k}" for k in range(4, 11)],
    "Batch x N, at the fewest iterations.",
)
flags.DEFINE_string("accuracy_size", "64x36", "Batch x N, at the most iterations.")
flags.DEFINE_list(
    "temperatures", ["1", "0.1", "0.03", "0.01", "0.001"], "Of the accuracy."
)
flags.DEFINE_integer("solver_n", 100, "N of the tight instance.", lower_bound=2)
flags.DEFINE_list(
    "matching_sizes",
    ["64x9", "64x36", "64x100", "64x256"],
    "Batch x N of random logits.",
)
flags.DEFINE_list(
    "serving_sizes",
    [f"{batch}x{n}" for n in (9, 36, 100) for batch in (1, 8, 64)],
    "Batch x N of requests.",
)
flags.DEFINE_list("grids", ["3", "6"], "Puzzles to train for, pieces along a side.")
flags.DEFINE_integer("training_steps", 1000, "Steps of that training.", lower_bound=1)
flags.DEFINE_string("dataset", "digits", "Its images, as in pipelines.jigsaw.")
flags.DEFINE_string("data_dir", None, "TFDS directory, or the folder of images.")
flags.DEFINE_string("cache_dir", None, "Keeps decoded images for the next run.")
flags.DEFINE_integer("repeats", 15, "Bursts of each peer and case.", lower_bound=1)
flags.DEFINE_float("burst", 0.1, "Seconds of a burst.", lower_bound=0)
flags.DEFINE_float(
    "budget",
    10.0,
    "Seconds of a peer's bursts in a case, after which it has three at the most.",
    lower_bound=0,
)
flags.DEFINE_float("patience", 300.0, "Seconds to wait for a peer.", lower_bound=1)
flags.DEFINE_integer("seed", 0, "Seed of the inputs.", lower_bound=0)

# The saved model whose requests are measured.
SERVED = "jigsaw_mnist_3x3"
# The network whose logits the serving section matches; the matching section has those of
# the paper's.
CONTEXT = "context"

QUICK = {
    "sizes": ["64x9"],
    "iterations": ["20"],
    "scaling_sizes": ["4x16", "4x256"],
    "accuracy_size": "4x9",
    "temperatures": ["0.01"],
    "solver_n": 10,
    "matching_sizes": ["64x36"],
    "serving_sizes": ["64x9"],
    "grids": ["3"],
    "training_steps": 200,
    "repeats": 3,
    "burst": 0.05,
}

# What cases measured under other values cannot stand beside.
_FIXED = ("repeats", "burst", "budget", "seed", "dataset", "training_steps")

# However slow a peer is: fewer have no quartiles.
_FEWEST_BURSTS = 3

_MOST_HELD_MIB = 256


def main():
    if FLAGS.quick:
        for name, value in QUICK.items():
            if FLAGS[name].using_default_value:
                FLAGS[name].value = value
    busy = machine.load()
    if busy > 0.25:
        print(
            f"the machine is busy (load {busy:.2f} per core): times will be too long",
            file=sys.stderr,
        )
    if FLAGS.scaling:
        # A step of the slowest case takes seconds.
        burst = max(FLAGS.burst, 0.0 if FLAGS.quick else 1.0)
        return scaling.main(FLAGS.workdir, FLAGS.repeats, burst, FLAGS.quick)
    plan = planned_cases()
    chosen = installed_peers()
    record = Record(FLAGS.workdir)
    trained = trained_logits(plan)
    todo = [case for case in plan if not record.has(case, participants(case, chosen))]
    if len(todo) < len(plan):
        print(f"{len(plan) - len(todo)} cases are kept", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        workers = {name: Worker(name, folder, FLAGS.patience) for name in chosen}
        try:
            solvers = exported_solvers(todo, folder)
            for number, case in enumerate(todo, 1):
                started = time.monotonic()
                measured = measure(case, workers, folder, trained, solvers)
                record.add(case, *measured, workers)
                seconds = time.monotonic() - started
                print(
                    f"{number}/{len(todo)}  {case.key}  {seconds:.0f} s",
                    file=sys.stderr,
                    flush=True,
                )
        finally:
            for worker in workers.values():
                worker.close()
    found = [(case, record.cases[case.key]) for case in plan]
    print(table.report(found))
    picture = os.path.join(FLAGS.workdir, "benchmark.png")
    figure.draw(picture, found)
    print(f"\nResults: {record.path}\nPicture: {picture}")


def planned_cases():
    """The cases that the flags ask for, in their order."""
    for name in FLAGS.sections:
        if name not in SECTIONS:
            raise UserError(f"--sections takes {', '.join(SECTIONS)}. Received: {name}")
    iterations = [count("iterations", x) for x in FLAGS.iterations]
    for flag in ("iterations", "sections", "peers"):
        if not FLAGS[flag].value:
            raise UserError(f"--{flag} is empty.")
    plan = []
    if "operator" in FLAGS.sections:
        plan += [
            cases.Case("operator", kind, *size, length, FLAGS.temperature)
            for kind in ("forward", "backward")
            for length in iterations
            for size in sizes("sizes")
        ]
    if "scaling" in FLAGS.sections:
        plan += [
            cases.Case("scaling", kind, *size, min(iterations), FLAGS.temperature)
            for kind in ("forward", "backward")
            for size in sizes("scaling_sizes")
        ]
    if "accuracy" in FLAGS.sections:
        size = batch_and_n("accuracy_size", FLAGS.accuracy_size)
        plan += [
            cases.Case(
                "accuracy", kind, *size, max(iterations), temperature("temperatures", t)
            )
            for kind in ("forward", "backward")
            for t in FLAGS.temperatures
        ]
    if "solver" in FLAGS.sections:
        n = FLAGS.solver_n
        plan += [
            cases.Case(
                "solver",
                "solve",
                1,
                n,
                temperature=cases.tight_temperature(n, factor),
                source="tight",
            )
            for factor in (1, 4)
        ]
    if "matching" in FLAGS.sections:
        plan += [cases.Case("matching", "match", *x) for x in sizes("matching_sizes")]
        for grid in FLAGS.grids:
            n = count("grids", grid) ** 2
            source = f"{datasets.source(FLAGS.dataset).name} N = {n}"
            plan.append(cases.Case("matching", "match", 64, n, source=source))
    if "serving" in FLAGS.sections:
        plan += serving_cases(sizes("serving_sizes"))
    return plan


def serving_cases(chosen):
    """Random logits, those of a trained network where there is one, and requests."""
    source = datasets.source(FLAGS.dataset).name
    squares = {count("grids", grid) ** 2 for grid in FLAGS.grids}
    plan = []
    for batch, n in chosen:
        plan.append(cases.Case("serving", "serve", batch, n))
        if n in squares:
            # What `pipelines.jigsaw` exports unless another network is asked for.
            trained = f"{source} N = {n}, {CONTEXT}"
            plan.append(cases.Case("serving", "serve", batch, n, source=trained))
        if n == 9:
            plan.append(cases.Case("serving", "request", batch, n, source=SERVED))
    return plan


def exported_solvers(plan, folder):
    """The version directory for each size and source of the serving section."""
    root = os.path.join(os.path.dirname(__file__), "..", "..", "savedmodels")
    found = {("request", 9): os.path.join(root, SERVED, "1")}
    for n in {case.n for case in plan if case.kind == "serve"}:
        scores = keras.Input((n, n), name="scores")
        model = keras.Model(scores, keras.layers.Identity()(scores))
        path = os.path.join(folder, f"solver_{n}")
        found["serve", n] = st.export_solver(model, path, n_iters=20)
    return found


def installed_peers():
    """The names of the peers to measure; says which are not there."""
    chosen = []
    for name in FLAGS.peers:
        if name not in PEERS:
            raise UserError(f"--peers takes {', '.join(PEERS)}. Received: {name}")
        missing = PEERS[name].missing()
        if missing:
            packages = " ".join(missing)
            print(
                f"peer {name}: not installed (pip install {packages})", file=sys.stderr
            )
        else:
            chosen.append(name)
    return chosen


def participants(case, names):
    """The peers that take part in a case: name to what it computes."""
    kinds = {}
    for name in names:
        if case.kind in PEERS[name].kinds:
            kinds[name] = case.kind
        elif "bound" in PEERS[name].kinds and case.section in ("operator", "scaling"):
            kinds[name] = "bound"
    return kinds


class Record:
    """`benchmark.json`, written whole after each case."""

    def __init__(self, workdir):
        self.path = os.path.join(workdir, "benchmark.json")
        values = runs.key_flags(sys.modules[__name__])
        self.cases = {}
        peers = {}
        if os.path.exists(self.path):
            if not FLAGS.resume:
                raise UserError(
                    f"{workdir} already holds a run: pass --resume to keep its cases, "
                    "or another --workdir."
                )
            earlier = runs.read_json(self.path)
            for name in _FIXED:
                if earlier["flags"][name] != values[name]:
                    raise UserError(
                        f"--resume needs the flags of the run in {workdir}. Received: "
                        f"--{name}={values[name]}, the run has "
                        f"{earlier['flags'][name]}"
                    )
            self.cases, peers = earlier["cases"], earlier["peers"]
        runs.make_directory(workdir)
        self._content = {
            "flags": values,
            "machine": machine.description(),
            "versions": runs.versions(),
            "peers": peers,
            "cases": self.cases,
        }

    def has(self, case, names):
        """Whether these peers are all in what was measured of a case."""
        return names.keys() <= self.cases.get(case.key, {"peers": {}})["peers"].keys()

    def add(self, case, measured, facts, workers):
        for name in measured:
            self._content["peers"][name] = {
                "label": workers[name].label,
                "versions": workers[name].versions,
            }
        self.cases[case.key] = {
            **{k: v for k, v in vars(case).items() if v is not None},
            **facts,
            "peers": measured,
            "ratios": table.ratios(case, measured),
        }
        runs.write_json(self.path, self._content)


def measure(case, workers, folder, trained, solvers):
    """What each peer made of a case: name to `seconds` (median and quartiles of the
    bursts), memory, and what the judge found, or to why there is nothing. And what the
    judge says of the reference, a dict.
    """
    kinds = {
        name: kind
        for name, kind in participants(case, workers).items()
        if workers[name].usable
    }
    values = cases.inputs(case, FLAGS.seed, trained)
    if case.section == "serving":
        values["model"] = solvers[case.kind, case.n]
    judge = cases.JUDGES[case.kind](case, values)
    if "bound" in kinds.values():
        values["kernel"] = judge.plan.astype(np.float32)
    np.savez(os.path.join(folder, "inputs.npz"), **values)
    measured, bursts = {}, {}
    for name in kinds:
        workers[name].start()
    for name, kind in kinds.items():
        try:
            answer = workers[name].ask(do="prepare", kind=kind, folder=folder)
        except Ended as reason:
            measured[name] = {"failed": str(reason)}
            print(f"peer {name}, {case.key}: {reason}", file=sys.stderr)
            continue
        measured[name] = answer
        if "memory_mib" in answer:
            bursts[name] = []
            if kind != "bound":
                path = os.path.join(folder, f"{name}.npz")
                with np.load(path) as result:
                    measured[name] = answer | judge.judge(result)
                os.remove(path)
    if case.section != "accuracy":
        take_turns(case, workers, bursts, measured)
    for name in kinds:
        try:
            # What a process keeps, its next case would seem not to need.
            if workers[name].ask(do="finish")["held_mib"] > _MOST_HELD_MIB:
                workers[name].close()
        except Ended:
            continue
    return measured, judge.facts


def take_turns(case, workers, bursts, measured):
    """Adds the seconds to `measured`: bursts of all peers, round by round."""
    spent = dict.fromkeys(bursts, 0.0)
    calls = {name: [] for name in bursts}
    for _ in range(FLAGS.repeats):
        for name in list(bursts):
            enough = len(bursts[name]) >= _FEWEST_BURSTS
            if enough and spent[name] > FLAGS.budget:
                continue
            # Threads of the one before may still be spinning.
            time.sleep(0.02)
            started = time.monotonic()
            try:
                answer = workers[name].ask(do="burst", seconds=FLAGS.burst)
            except Ended as reason:
                measured[name] = {"failed": str(reason)}
                print(f"peer {name}, {case.key}: {reason}", file=sys.stderr)
                del bursts[name]
                continue
            spent[name] += time.monotonic() - started
            bursts[name].append(float(np.median(answer["seconds"])))
            calls[name] += answer["seconds"]
    for name, seconds in bursts.items():
        lower, median, upper = np.quantile(seconds, [0.25, 0.5, 0.75])
        measured[name]["seconds"] = {
            "median": float(median),
            "lower_quartile": float(lower),
            "upper_quartile": float(upper),
            "p99_of_calls": float(np.quantile(calls[name], 0.99)),
            "bursts": len(seconds),
        }


def trained_logits(plan):
    """The logits of a network trained for each grid that the plan needs."""
    names = {case.source: case.n for case in plan if "N = " in case.source}
    source = datasets.source(FLAGS.dataset)
    logits = {}
    for name, n in names.items():
        grid = math.isqrt(n)
        network = CONTEXT if name.endswith(CONTEXT) else "paper"
        workdir = os.path.join(
            FLAGS.workdir,
            "trained",
            f"{source.name}_{grid}x{grid}_{network}_{FLAGS.training_steps}",
        )
        path = os.path.join(workdir, "logits.npy")
        if not os.path.exists(path):
            # Pieces of more than a pixel.
            size = max(-(-source.native_size // grid), 2) * grid
            options = {
                "workdir": workdir,
                "dataset": source.name,
                "data_dir": FLAGS.data_dir,
                "cache_dir": FLAGS.cache_dir,
                "grid": grid,
                "network": network,
                "image_size": size,
                "steps": FLAGS.training_steps,
                "evaluation_batch_size": 64,
            }
            given = [f"--{k}={v}" for k, v in options.items() if v is not None]
            print(f"training for {grid}x{grid} puzzles", file=sys.stderr)
            ended = subprocess.run(
                [sys.executable, "-m", "pipelines.benchmark.trained", *given]
                + ["--resume", "--noexport"],
                stdout=subprocess.DEVNULL,
                check=False,
            )
            if ended.returncode:
                raise UserError(
                    f"The network for {grid}x{grid} puzzles could not be trained, see "
                    f"above. Received: --dataset={FLAGS.dataset}"
                )
        logits[name] = np.load(path)
    return logits


def sizes(flag):
    return [batch_and_n(flag, text) for text in FLAGS[flag].value]


def batch_and_n(flag, text):
    parts = text.lower().split("x")
    if len(parts) != 2:
        raise UserError(f"--{flag} takes sizes like 64x9. Received: {text}")
    return tuple(count(flag, part) for part in parts)


def count(flag, text):
    if not text.isdecimal() or int(text) < 1:
        raise UserError(f"--{flag} takes whole numbers from 1. Received: {text}")
    return int(text)


def temperature(flag, text):
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise UserError(f"--{flag} takes positive numbers. Received: {text}")
    return value


if __name__ == "__main__":
    runs.main(main)
