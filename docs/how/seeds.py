# %% [markdown]
# # Seeds and resumption
#
# The same command on the same machine gives the same result, also if it was interrupted and resumed, or
# if other processes made its batches. This page shows why, with functions of the library and a
# few lines that do what the programs do. The code is in `sinkhorn_tf/distributions/noise.py`,
# `pipelines/shared/input_pipeline/` and `pipelines/shared/training/`.

# %%
import os
import tempfile

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf

import sinkhorn_tf as st

# %% [markdown]
# ## Random numbers without a state
#
# A usual generator has a state: each draw changes it, so a number depends on all draws before. A
# *stateless* draw is a function of a seed and a shape. The library's random functions are
# stateless. With the same seed you get the same bits, with None fresh ones. Inside a trace None
# raises an error, as it would draw one seed and keep it for every call.
#
# A layer must draw new noise at each call, so {py:class}`sinkhorn_tf.GumbelSinkhorn` has a Keras generator
# with a state. Its `seed` makes the sequence of its noise reproducible.

# %%
logits = tf.random.stateless_normal([3, 9, 9], seed=[0, 1])


def sample():
    return st.gumbel_sinkhorn(logits, temperature=0.5, n_samples=2, seed=0)


soft, noisy = sample()
soft_again, noisy_again = sample()
assert np.array_equal(soft, soft_again) and np.array_equal(noisy, noisy_again)
try:
    tf.function(lambda: st.gumbel_sinkhorn(logits))()
except ValueError as error:
    print(str(error).splitlines()[0][:79])
else:
    raise AssertionError("a trace took the seed None")

# %% [markdown]
# ## The same noise in eager calls, graphs and XLA
#
# {py:func}`tf.random.stateless_uniform` gives other numbers under XLA than in a plain graph if its seed is
# known only when the graph runs. Its integers agree. So `noise.py` draws 32-bit integers, keeps 23
# of the bits, adds half a step, and has a uniform number $U$ that is exact and strictly between 0 and 1.
# The Gumbel noise $-\log(-\log U)$ is finite therefore.

# %%
graph = tf.function(sample)()
compiled = tf.function(sample, jit_compile=True)()
assert np.array_equal(noisy, graph[1]) and np.array_equal(noisy, compiled[1])
print(
    "largest difference of plans:",
    np.abs(soft - graph[0]).max(),
    np.abs(soft - compiled[0]).max(),
)
assert np.allclose(soft, graph[0], rtol=0, atol=1e-6)
assert np.allclose(soft, compiled[0], rtol=0, atol=1e-6)

# %% [markdown]
# The noise is the same bit for bit. The plans agree to rounding: XLA and a plain graph add the same numbers
# in different orders. A seed that is known only at run time gives the same uniform numbers,
# too, but then XLA computes the logarithms with code of its own, which may round the last bit otherwise.


# %%
def draw(seed):
    noise = st.distributions.gumbel_noise([4, 9, 9], seed)
    return noise, st.permutations.sample([4], 9, seed)


seed = tf.constant([0, 7])
noise, perm = draw(seed)
for jit in (False, True):
    other_noise, other_perm = tf.function(draw, jit_compile=jit)(seed)
    assert np.array_equal(perm, other_perm)
    assert np.allclose(noise, other_noise, rtol=1e-6, atol=1e-6)

# %% [markdown]
# The order of a batch's entries does not matter to the operator: no example sees another one.

# %%
forwards, backwards = st.sinkhorn(logits), st.sinkhorn(logits[::-1])
assert np.array_equal(forwards, backwards[::-1])

# %% [markdown]
# ## What depends on what in a training
#
# Everything random in a training of `pipelines/` is a function of the seed of the run, the purpose of the
# draw, the step, and the position in the batch. The exceptions are the first weights and dropout, which Keras draws
# from generators of its own, started by {py:func}`keras.utils.set_random_seed`. In the drawing an
# arrow from one step to the next is a state, and a checkpoint has to hold each state that crosses its line.

# %%
rows = [
    ("order of the examples", "seed, epoch", False),
    ("scrambles, crops, lists", "seed, purpose, step", False),
    ("Gumbel noise", "seed, purpose, step", False),
    ("dropout", "Keras' generator", True),
    ("weights, average, optimizer", "all of the above", True),
]
n_steps, cut = 5, 2.5
fig, ax = plt.subplots(figsize=(7.2, 3.6))
for y, (name, source, has_state) in enumerate(rows):
    color = "C1" if has_state else "C0"
    ax.text(-0.6, y - 0.12, name, ha="right", va="center")
    ax.text(
        -0.6,
        y + 0.22,
        f"from {source}",
        ha="right",
        va="center",
        fontsize="small",
        alpha=0.8,
    )
    ax.plot(
        range(n_steps),
        [y] * n_steps,
        "o" if has_state else "s",
        color=color,
        markersize=12,
    )
    for step in range(n_steps - 1):
        if has_state:
            arrow = {
                "arrowstyle": "->",
                "color": color,
                "shrinkA": 8,
                "shrinkB": 8,
                "linewidth": 2,
            }
            ax.annotate("", (step + 1, y), (step, y), arrowprops=arrow)
ax.axvline(cut, ymax=0.92, linestyle="--", color="C2")
ax.text(cut, -0.75, "checkpoint", ha="center", color="C2")
ax.set_xlim(-4.4, n_steps - 0.5)
ax.set_ylim(len(rows) - 0.4, -1)
ax.set_xticks(range(n_steps), [f"step {step}" for step in range(n_steps)])
ax.set_yticks([])
ax.spines["left"].set_visible(False)
plt.show()

# %% [markdown]
# *Squares are made from the seed and the step alone, so a run that starts at step 3 makes the same ones.
# Circles depend on the step before. Only their arrows cross the checkpoint.*
#
# These lines key a draw (`seeds.py`): words of the purpose's name are mixed with the seed, so that
# scrambles and noise of the same step differ.


# %%
def stream(seed, purpose, step):
    """The seed of one draw: two integers."""
    words = np.frombuffer(purpose.encode().ljust(32, b"\0")[:32], np.uint32)
    key = np.random.SeedSequence([seed, *words.tolist()]).generate_state(1)
    return [int(key.astype(np.int32)[0]), step]


at_step_3 = st.distributions.gumbel_noise([8, 6, 6], stream(0, "noise", 3))
assert np.array_equal(
    at_step_3, st.distributions.gumbel_noise([8, 6, 6], stream(0, "noise", 3))
)
for other in (stream(0, "noise", 4), stream(1, "noise", 3), stream(0, "scramble", 3)):
    assert not np.array_equal(
        at_step_3, st.distributions.gumbel_noise([8, 6, 6], other)
    )

# %% [markdown]
# ## A batch follows from its step
#
# A shuffle buffer cannot be resumed at a step: what is in it depends on all that went through it. Here the
# order of an epoch is a permutation keyed by seed and epoch, and step $s$ takes the places $sB$ to
# $(s + 1) B - 1$ of all epochs one after the other (`batches.py`). A batch may hold the end of one epoch
# and the start of the next.


# %%
def examples_of(step, n_examples, batch_size, seed):
    places = np.arange(step * batch_size, (step + 1) * batch_size)
    orders = {
        e: np.random.default_rng([seed, e]).permutation(n_examples)
        for e in places // n_examples
    }
    return np.array(
        [orders[place // n_examples][place % n_examples] for place in places]
    )


batches = [examples_of(step, 10, 4, seed=0) for step in range(5)]
print("examples of each step:", *(b.tolist() for b in batches))
assert sorted(np.concatenate(batches)[:10]) == list(range(10))  # each once an epoch
assert np.array_equal(examples_of(3, 10, 4, seed=0), batches[3])  # without steps 0 to 2

# %% [markdown]
# ## A batch does not depend on its workers
#
# Each process draws for the whole batch, and takes its positions. Draws are cheap, and a part is then the
# same for any number of replicas. A draw of the size of the part would give every replica the same
# noise.


# %%
def noise_of(positions, step, batch_size=8):
    whole = st.distributions.gumbel_noise([batch_size, 6, 6], stream(0, "noise", step))
    return tf.gather(whole, positions)


one = noise_of(range(8), step=3)
parts = [noise_of(range(first, first + 2), step=3) for first in (0, 2, 4, 6)]
assert np.array_equal(one, tf.concat(parts, axis=0))
assert not np.array_equal(parts[0], parts[1])

# %% [markdown]
# With a tf.data service, other processes make the batches. The service hands out steps, each to one
# worker, and the training puts what comes back in the order of the steps (`service.py`). As a batch follows
# from its step, the training sees what it would have made itself.
#
# Evaluations use a constant seed and the index of each example in file order. No flag, batch
# size or worker changes them.
#
# ## A checkpoint holds the states
#
# A checkpoint of a training has the weights, their average, the best average and its score, the optimizer,
# the step, the seconds so far, and the state of dropout's generators. Keras does not count
# the last among the weights of a network, so a checkpoint of the network's weights alone would lose
# it (`trainer.py`).
#
# Next, a training of six steps with dropout and Gumbel noise, once in one piece and once resumed after
# step 3 by new objects.

# %%
numbers = tf.constant(np.random.default_rng(0).uniform(size=(10, 6, 1)), tf.float32)


def new_training():
    keras.utils.set_random_seed(0)
    dense = keras.layers.Dense
    layers = [
        keras.Input((6, 1)),
        dense(16, "relu"),
        keras.layers.Dropout(0.3),
        dense(6),
    ]
    network = keras.Sequential(layers)
    optimizer = keras.optimizers.Adam(0.01)
    optimizer.build(network.trainable_variables)
    return network, optimizer


def train(network, optimizer, first, last):
    for step in range(first, last):
        batch = tf.gather(numbers, examples_of(step, 10, 8, seed=0))
        with tf.GradientTape() as tape:
            logits = network(batch, training=True) + noise_of(range(8), step)
            plan = st.sinkhorn(logits, jit_compile=False)
            restored = tf.matmul(plan, batch, transpose_a=True)
            loss = tf.reduce_mean((restored - tf.sort(batch, axis=1)) ** 2)
        gradients = tape.gradient(loss, [v.value for v in network.trainable_variables])
        optimizer.apply(gradients, network.trainable_variables)


def checkpoint(network, optimizer, with_dropout):
    weights = {id(variable) for variable in network.weights}
    states = [v.value for v in network.variables if id(v) not in weights]
    assert len(states) == 1  # that of the one dropout layer
    return tf.train.Checkpoint(
        network=network,
        optimizer=optimizer,
        **({"seeds": states} if with_dropout else {}),
    )


def same(network, other):
    return all(
        np.array_equal(a, b)
        for a, b in zip(network.get_weights(), other.get_weights(), strict=True)
    )


whole = new_training()
train(*whole, 0, 6)
outcomes = {}
for with_dropout in (True, False):
    with tempfile.TemporaryDirectory() as folder:
        interrupted = new_training()
        train(*interrupted, 0, 3)
        path = checkpoint(*interrupted, with_dropout).write(
            os.path.join(folder, "ckpt-3")
        )
        resumed = new_training()
        checkpoint(*resumed, with_dropout).read(path).assert_existing_objects_matched()
    train(*resumed, 3, 6)
    outcomes[with_dropout] = same(whole[0], resumed[0])
print("the same weights, bit for bit:", outcomes[True])
print("without the state of dropout: ", outcomes[False])
assert outcomes == {True: True, False: False}

# %% [markdown]
# The programs resume with `--resume`. Other decisions make the resumption exact, too:
#
# - Temperature, noise scale and learning rate are functions of the step, not of a counter in a
#   callback.
# - The step is saved with the state in one file. Files are found by the step in their name, and a file that
#   was not written whole is passed over for the one before (`checkpoints.py`).
# - A loss of NaN ends the training before it reaches a checkpoint.
#
# ## What is not reproducible
#
# Floating-point addition depends on its order, and the order on whoever adds: another processor with wider
# registers, XLA instead of a plain graph, several devices that sum their gradients, or another batch size.

# %%
terms = np.random.default_rng(0).normal(size=1000).astype(np.float32)
one_by_one = np.cumsum(terms)[-1]
reverse = np.cumsum(terms[::-1])[-1]
by_lanes = terms.reshape(-1, 8).sum(axis=0, dtype=np.float32).sum()
print("sums of the same numbers:", one_by_one, reverse, by_lanes)
assert len({one_by_one, reverse, by_lanes}) > 1
assert np.allclose([one_by_one, reverse], by_lanes, rtol=1e-4)

# %% [markdown]
# A training amplifies such differences, above all Adam where gradients are almost 0. So `metrics.json` of a
# run names its processor, and tests that compare trainings on several devices compare losses, not bits.
