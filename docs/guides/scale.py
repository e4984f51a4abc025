# %% [markdown]
# # Training at scale, and resuming
#
# The programs in `pipelines/` train on one device, on all devices of a machine, or on several machines, and
# a run that was stopped ends as if it had not been. This page stops a training and resumes it, trains on two
# devices with Keras, and lists the commands for the rest. Install the programs with
# `pip install -e '.[pipelines]'`, from the root of a clone.

# %%
import json
import pathlib
import subprocess
import sys
import tempfile
import time

import keras
import numpy as np
import tensorflow as tf

import sinkhorn_tf as st

processor = tf.config.list_physical_devices("CPU")[0]
half = tf.config.LogicalDeviceConfiguration()
tf.config.set_logical_device_configuration(processor, [half, half])

# %% [markdown]
# ## Stop a run and resume it
#
# The command is a small training on the digits of scikit-learn. One process runs it to its end. In another folder
# a second process runs the same command, until SIGTERM ends it after its second checkpoint.

# %%
start = pathlib.Path(globals().get("__file__", "notebook")).resolve()
repository = next(p for p in start.parents if (p / "pipelines" / "jigsaw").is_dir())
folder = pathlib.Path(tempfile.mkdtemp())
whole, stopped = folder / "whole", folder / "stopped"


def train(workdir, *more):
    """Starts the training in a process of its own."""
    flags = "--network=paper --filters=4 --batch_size=8 --steps=200 --noexport"
    flags += " --checkpoint_every=10 --validate_every=100 --jit_compile=none"
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "pipelines.jigsaw"),
            *(*flags.split(), f"--workdir={workdir}", *more),
        ],
        cwd=repository,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


uninterrupted, interrupted = train(whole), train(stopped)
while len(list(stopped.glob("checkpoints/*.index"))) < 2:
    assert interrupted.poll() is None, interrupted.stderr.read()
    time.sleep(0.01)
interrupted.terminate()
interrupted.communicate()
print("status of the stopped process:", interrupted.returncode)
print("it has results:", (stopped / "metrics.json").exists())

# %% [markdown]
# With `--resume` the same command goes on from the last checkpoint:

# %%
resumed = train(stopped, "--resume")
_, said = resumed.communicate()
assert resumed.returncode == 0, said
print(next(line for line in said.splitlines() if "resumed" in line))

# %%
_, said = uninterrupted.communicate()
assert uninterrupted.returncode == 0, said


def results(workdir):
    """The measurements of a run, and the weights of its network."""
    metrics = json.loads((workdir / "metrics.json").read_text(encoding="utf-8"))
    for name in ("seconds", "flags"):
        del metrics[name]
    network = keras.saving.load_model(workdir / "network.keras")
    return metrics, network.get_weights()


(metrics, weights), (metrics_resumed, weights_resumed) = map(results, (whole, stopped))
same = [np.array_equal(a, b) for a, b in zip(weights, weights_resumed, strict=True)]
for name, measured in (("whole", metrics), ("resumed", metrics_resumed)):
    print(f"{name}: P.W. {measured['proportion_wrong']:.4f}")
print(f"{sum(same)} of {len(same)} arrays of weights are equal bit for bit")

# %% [markdown]
# P.W. is the proportion of wrong pieces. Random permutations, scrambling, noise and the order of
# the images all follow from `--seed` and the step, so nothing depends on where a run was stopped. A
# run keeps its newest two checkpoints, and `--checkpoint_every` says how often it writes one. A
# damaged checkpoint is passed over for the one before. `--resume` refuses flags that would make another training,
# and without a checkpoint it starts anew. Without `--resume` a folder that holds a run is refused.
#
# ## The folder of a run
#
# A run writes to `--workdir`, by default a folder in `runs/` such as `runs/jigsaw_digits_2x2_context`,
# and prints where:
#
# | file | content |
# | --- | --- |
# | `metrics.json` | scores on the test data, beside chance and the best that can be had |
# | `puzzles.png`, `sorting.png` or `assembly.png` | the picture; puzzles have `best.png` and `worst.png`, too |
# | `network.keras` | the network, from pieces to logits |
# | `solver/1/` | the SavedModel, see {doc}`serving` |
# | `checkpoints/` | for `--resume` |
# | `best/`, `logs/` | the best weights so far; TensorBoard |
# | `soft/` | sorting: the soft permutation of one list as the training went on |
# | `flags.json` | the flags of the run |

# %%
print(*sorted(path.name for path in whole.iterdir()))

# %% [markdown]
# On screen and in the tables P.W. is the proportion of wrong pieces (or numbers), P.A.W. the
# proportion of puzzles (or lists) with any wrong, Kendall tau the rank correlation with the true
# order. The same command on another kind of processor gives numbers that differ in the third digit
# (`python -m pipelines.jigsaw`: a P.W. of .028 and .036); `metrics.json` names its own processor.
#
# ## Data, and measuring again
#
# `--dataset` is one of these:
#
# | value | images |
# | --- | --- |
# | `digits`, `photos` | embedded in scikit-learn, no download |
# | `mnist`, `celeba`, `imagenet` | by [TensorFlow Datasets](https://www.tensorflow.org/datasets), in `--data_dir` or `TFDS_DATA_DIR`; downloaded where they can be |
# | `folder` | your own, some hundreds at least, in `--data_dir` |
# | `tfds:NAME` | any other prepared dataset |
#
# ```sh
# python -m pipelines.jigsaw --dataset=folder --data_dir=photographs --grid=3 --image_size=48
# python -m pipelines.jigsaw --flagfile=configs/jigsaw_imagenet_3x3_context.cfg
# python -m pipelines.jigsaw --evaluate=WORKDIR --split=validation
# ```
#
# The second command trains on ImageNet in nine pieces, where `--dataset=imagenet` alone has four. The last one measures a finished run again: on other data with `--dataset`, averaged with the
# mirror images with `--mirrored`. The results are `metrics_<dataset>_<split>.json` and so on.
#
# `--split` takes a role: `train` is fitted on, `validation` chosen on, `test` reported on. It also takes
# a split of TensorFlow Datasets, such as `test[:500]`; `tfds:validation` is the split of that
# name.
#
# `pipelines.assembly` needs labels, and so `digits` or `mnist`. `--helpshort` lists the flags of a program.
# `python -m pipelines.jigsaw --profile` tells the images per second, and what a training step spends its time on.
#
# ## Several devices, with Keras
#
# The layers work under {py:class}`tf.distribute.MirroredStrategy`. The first cell of this page split the processor
# into two devices, and each takes half of every batch. The losses are those of one device, but for
# the order of float32 sums.

# %%
examples = np.random.default_rng(0).uniform(size=[1024, 5, 1]).astype("float32")


def fit(devices):
    """Trains a network that sorts five numbers; returns replicas and losses."""
    keras.utils.set_random_seed(0)
    strategy = tf.distribute.MirroredStrategy(devices)
    with strategy.scope():
        numbers = keras.Input((5, 1))
        x = keras.layers.Dense(32, activation="relu")(numbers)
        plan = st.SinkhornLayer(temperature=0.3)(keras.layers.Dense(5)(x))
        model = keras.Model(numbers, st.Restore()([plan, numbers]))
        model.compile(keras.optimizers.Adam(0.01), loss="mse", jit_compile=False)
    history = model.fit(
        examples,
        np.sort(examples, axis=1),
        batch_size=128,
        epochs=3,
        shuffle=False,
        verbose=0,
    )
    return strategy.num_replicas_in_sync, history.history["loss"]


one, losses_of_one = fit(["CPU:0"])
two, losses_of_two = fit(["CPU:0", "CPU:1"])
print(f"{one} device: ", *(f"{loss:.6f}" for loss in losses_of_one))
print(f"{two} devices:", *(f"{loss:.6f}" for loss in losses_of_two))

# %% [markdown]
# ## Several devices and machines, with the programs
#
# On all devices of a machine, in several processes or machines, or with batches made elsewhere, a
# training of the same seed and `--batch_size` takes the same steps:
#
# ```sh
# # All devices of this machine.
# python -m pipelines.jigsaw --distribute=mirrored
# # On machine a; on b the same with "index": 1. SHARED is a folder that both see.
# TF_CONFIG='{"cluster": {"worker": ["a:2222", "b:2222"]}, "task": {"type": "worker", "index": 0}}' \
#   python -m pipelines.jigsaw --distribute=multiworker --workdir=SHARED/run --resume
# # On a the dispatcher of tf.data service, on b (and others) a worker of it, anywhere the training.
# python -m pipelines.data_service --port=5000
# python -m pipelines.data_service --dispatcher=grpc://a:5000 --host=b
# python -m pipelines.jigsaw --data_service=grpc://a:5000 --cache_dir=SHARED/cache
# ```
#
# **How equal.** Losses agree but for the order of float32 sums: in the tests to 1e-5 after 150 steps, with
# `--jit_compile=none`. With `--jit_compile=step`, the default of sorting, XLA compiles the whole
# step on one device and the operator on several, which rounds differently (1e-3 after 40 steps).
# Where gradients are almost 0, Adam turns rounding errors into steps, so that losses of
# `pipelines.sorting`, at its rate of 0.1, differ by some percent after 50 steps. With the data service
# everything is the same bit for bit, in a resumed run too.
#
# **Workers.** Every worker runs the same command with its own index in `TF_CONFIG`; worker 0 (or the task
# `chief`) validates, writes and reports.
#
# **Failures.** A worker whose peers do not come within `--startup_timeout`, or end, ends too,
# with one sentence and a status that is not 0. Let a supervisor start all of them again with `--resume`, which
# does no harm the first time. A training whose data service loses a worker ends in the same way,
# after that time without a batch.
#
# **Images.** The workers of the data service read images in `--cache_dir`. Without it, up to 1 GiB of them is sent.
#
# `python -m pipelines.training_cost` measures how time and memory grow. {doc}`/results/scale` has the
# numbers, and what they mean for all of ImageNet on 8 and 64 accelerators.
#
# ## Search for settings
#
# `python -m pipelines.tune` takes the flags of `pipelines.jigsaw` or, with `--pipeline=sorting`, of
# `pipelines.sorting`, and searches with [Keras Tuner](https://keras.io/keras_tuner/). Each trial is a
# training of that program. Its score is the best validation during it, on the data that weights are
# chosen on, never on those that are reported.
#
# - `--tuner=hyperband`, the default, makes 23 trials, of a ninth, a third and all of `--trial_steps` (by
#   default `--steps`): the best third of each size is trained anew for more steps.
# - `--tuner=bayesian` makes `--trials`.
# - `--space` says what is searched, a name alone over its usual values.
#
# ```sh
# python -m pipelines.tune --steps=500 "--space=learning_rate=0.0001..0.01,n_iters,width=32|64" --workdir=SEARCH
# python -m pipelines.jigsaw --flagfile=SEARCH/best.cfg
# python -m pipelines.tune --pipeline=jigsaw --flagfile=configs/jigsaw_celeba_3x3_paper.cfg --trial_steps=300
# ```
#
# The last command searches for a better rate, temperature, noise, iterations and width.
# `SEARCH` holds the best settings, `best.cfg`, all of them in `trials.json`, and a picture of them,
# `trials.png`. A search that was killed goes on with `--resume`, within the trial from its last
# checkpoint.
#
# Several processes share the trials if each runs the same command with Keras Tuner's variables. The one with
# `chief` in its name gives the trials out and writes the results, the others run them:
#
# ```sh
# export KERASTUNER_ORACLE_IP=localhost KERASTUNER_ORACLE_PORT=8000  # the chief's address
# KERASTUNER_TUNER_ID=chief python -m pipelines.tune --workdir=SEARCH --resume &
# KERASTUNER_TUNER_ID=worker0 python -m pipelines.tune --workdir=SEARCH --resume &
# KERASTUNER_TUNER_ID=worker1 python -m pipelines.tune --workdir=SEARCH --resume
# ```
#
# A worker that was killed and is started again with its name takes up its trial; when the chief ends,
# start all of them again. {doc}`/results/jigsaw` has what a search brought.
#
# The assertions below fail the build of this page if one of its claims is wrong.

# %%
assert interrupted.returncode == -15
assert metrics == metrics_resumed
assert all(same)
assert (one, two) == (1, 2)
# A training makes differences of rounding larger: the last losses differed by .01 of them on
# one processor, and by less than .001 on another.
np.testing.assert_allclose(losses_of_one[0], losses_of_two[0], rtol=1e-3)
np.testing.assert_allclose(losses_of_one, losses_of_two, rtol=0.05)
assert losses_of_two[-1] < losses_of_two[0]
