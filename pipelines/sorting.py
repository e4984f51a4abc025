"""Sorting numbers (Mena et al. 2018, section 4.1, table 1).

    python -m pipelines.sorting                              # 50 numbers
    python -m pipelines.sorting --flagfile=configs/sorting_n120.cfg
    python -m pipelines.sorting --evaluate=WORKDIR

Trains a network on lists of uniform numbers from [0, 1), measures its hard matchings
on lists from the seven intervals of the table, and leaves in the run directory
`metrics.json`, `sorting.png`, `network.keras` and the SavedModel `solver/1`.
"""

import glob
import os
import sys
import time

import keras
import numpy as np
from absl import flags

import sinkhorn_tf as st
from pipelines import (
    distribution,
    evaluation,
    figures,
    files,
    lists,
    losses,
    networks,
    runs,
    training,
)
from pipelines.errors import UserError

FLAGS = flags.FLAGS

flags.DEFINE_integer("n", 50, "Numbers of a list.", lower_bound=2, upper_bound=10_000)
flags.DEFINE_integer("hidden", 32, "Units of the hidden layer.", lower_bound=1)
flags.DEFINE_string("evaluate", None, "Only evaluate the run in this directory.")
flags.DEFINE_enum(
    "precision", "float64", ["float32", "float64"], "Of the logits in evaluation."
)
flags.DEFINE_bool(
    "from_least", False, "Subtract each list's least number first, in evaluation."
)
runs.define_training_flags(
    steps=1000,
    batch_size=50,
    learning_rate=0.1,
    warmup_steps=0,
    averaging=0.999,
    weight_decay=0.0,
    validate_every=500,
    checkpoint_every=500,
    temperature=1.0,
    n_iters=100,
    noise_scale=0.0,
    n_samples=1,
    seed=0,
    jit_compile="step",
)
flags.adopt_module_key_flags(runs)


def main():
    if FLAGS.evaluate is not None:
        return evaluate_run(FLAGS.evaluate)
    values = run_flags()
    workdir = runs.start(values, f"runs/sorting_n{FLAGS.n}")
    trainer = make_trainer(workdir)
    network, seconds = trainer.run(), trainer.seconds
    if not distribution.is_chief():
        return
    network = networks.keep(network, workdir)
    report(network, workdir, "", values, seconds)
    if FLAGS.export:
        print(f"SavedModel: {export(network, workdir)}")


def training_data():
    """What a training needs beside its flags: nothing, the lists are made by them."""
    return ()


def run_flags():
    """The flags that describe a run, a dict."""
    return runs.key_flags(sys.modules[__name__], runs)


def make_trainer(workdir):
    """The `training.Training` of a network, or of what was begun in `workdir`."""
    held_out = {
        name: lists.evaluation_lists(FLAGS.n, name, "validation", 100)
        for name in lists.INTERVALS
    }

    logits = Logits(st.networks.sorting_network(FLAGS.n, FLAGS.hidden))

    def validate(network):
        """The mean over the intervals of P.A.W., and a little for each wrong number."""
        logits.set_weights(network)
        scores = [
            evaluation.evaluate_lists(logits, held)["by_content"]
            for held in held_out.values()
        ]
        return float(
            np.mean([s["proportion_any_wrong"] + s["proportion_wrong"] for s in scores])
        )

    return training.Training(
        lambda: st.networks.sorting_network(FLAGS.n, FLAGS.hidden),
        reconstruction_losses,
        lambda first, last: lists.training_lists(
            FLAGS.n,
            batch_size=FLAGS.batch_size,
            first_step=first,
            last_step=last,
            seed=FLAGS.seed,
            served_by=runs.data_service(),
        ),
        validate,
        observe=lambda network, step: keep_soft_permutation(
            network, held_out["U(0,1)"], step, workdir
        ),
        workdir=workdir,
        **runs.training_options(),
    )


def reconstruction_losses(network, batch):
    """The reconstruction error of SN eq. 5, a sum over numbers: `[b]`.

    As a mean its gradients come down to the size of Adam's epsilon.
    """
    logits = network(batch["values"], training=True)
    soft = losses.soft_permutations(logits, batch)
    return FLAGS.n * losses.reconstruction(soft, batch["values"], batch["sorted"])


class Logits:
    """The logits of a network as evaluation takes them: values `[B, N]` -> `[B, N, N]`.

    Far from 0 float32 loses the differences between numbers: the logits are computed
    in the precision of `--precision`, with the same weights. `--from_least` does not
    change the matching where the network is affine: `a_j (x - x_least)` differs from
    `a_j x` by a constant of each column.
    """

    def __init__(self, network):
        n, hidden = network.outputs[0].shape[-1], network.get_layer("hidden").units
        self.n = n
        self._weighted = st.networks.sorting_network(n, hidden, dtype=FLAGS.precision)
        self.network = self._weighted
        if FLAGS.from_least:
            values = keras.Input((n,), name="values", dtype="float32")
            least = keras.ops.min(values, axis=1, keepdims=True)
            self.network = keras.Model(values, self._weighted(values - least))
        self.set_weights(network)

    def set_weights(self, network):
        """Takes over the weights of a network, of any precision."""
        self._weighted.set_weights(network.get_weights())

    def __call__(self, values):
        return self.network(values, training=False)


def evaluate_run(workdir):
    """Measures the network of a finished run again."""
    network = networks.load(workdir)
    if len(network.inputs[0].shape) != 2:
        raise UserError(f"Not a run of pipelines.sorting. Received: {workdir}")
    values = runs.read_json(os.path.join(workdir, "flags.json"))
    for name in ("precision", "from_least", "evaluate"):
        values[name] = FLAGS[name].value
    report(
        network,
        workdir,
        f"_{FLAGS.precision}{'_from_least' * FLAGS.from_least}",
        values,
    )


def report(network, workdir, suffix, values, seconds=None):
    """Measures, prints and draws: `metrics<suffix>.json`, `sorting<suffix>.png`."""
    started = time.monotonic()
    logits = Logits(network)
    scores = {
        "intervals": {
            name: evaluation.evaluate_lists(
                logits, lists.evaluation_lists(logits.n, name, "test")
            )
            for name in lists.INTERVALS
        },
        "chance": evaluation.chance(logits.n),
        "slopes": {"inversions": len(inversions(slopes(network)[0]))},
    }
    metrics = os.path.join(workdir, f"metrics{suffix}.json")
    runs.write_metrics(metrics, scores, values, time.monotonic() - started, seconds)
    picture = os.path.join(workdir, f"sorting{suffix}.png")
    draw(network, scores, workdir, picture)
    print(f"\nSorting {logits.n} numbers")
    print(evaluation.lists_table(scores["intervals"]))
    print(f"Metrics: {metrics}\nPicture: {picture}")


def slopes(network):
    """The slopes `a_j` of the logits beyond the last kink, and that kink.

    There the rows are `a_j x + c_j`, whose matching sorts exactly if `a_j` increases.
    """
    w, b, v, _ = (x.astype(np.float64) for x in network.get_weights())
    w = w[0]
    kinks = -b[w != 0] / w[w != 0]
    return np.maximum(w, 0) @ v, kinks.max(initial=0.0)


def inversions(a):
    """The places j where `a[j + 1]` is not above `a[j]`."""
    return np.flatnonzero(np.diff(a) <= 0)


def keep_soft_permutation(network, held_out, step, workdir, n_iters=200):
    """Writes how soft the first held-out list is sorted now, for the picture."""
    folder = os.path.join(workdir, "soft")
    os.makedirs(folder, exist_ok=True)
    values = held_out["sorted"][:1]
    soft = st.sinkhorn(network(values), FLAGS.temperature, n_iters, jit_compile=False)
    files.write_whole(
        os.path.join(folder, f"{step:07}.npy"), lambda name: np.save(name, soft[0])
    )


def draw(network, scores, workdir, path):
    """Draws the soft permutation over training, the errors, and the slopes."""
    paths = sorted(glob.glob(os.path.join(glob.escape(workdir), "soft", "*.npy")))
    names = [os.path.splitext(os.path.basename(file))[0] for file in paths]
    # The last four; early on all look the same.
    soft = {
        f"step {int(name):,}": np.load(file)
        for name, file in list(zip(names, paths, strict=True))[-4:]
    }
    a, kink = slopes(network)
    errors = {
        name: (
            s["by_content"]["proportion_wrong"],
            s["by_content"]["proportion_any_wrong"],
        )
        for name, s in scores["intervals"].items()
    }
    figures.sorting(path, soft, errors, a, inversions(a), kink)


def export(network, workdir):
    """`networks.export` with the logits that were measured."""
    return networks.export(Logits(network).network, workdir, losses.final_temperature())


if __name__ == "__main__":
    runs.main(main)
