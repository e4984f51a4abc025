# %% [markdown]
# # Balanced experts
#
# A mixture of experts sends each example to one of several small networks. A router
# decides which. If the router is a plain softmax, a few experts can get most of the
# examples while others learn nothing. {py:func}`sinkhorn_tf.sinkhorn` as a router gives
# each expert the same load in each batch.
#
# This guide writes such a layer, trains it with both routers on a toy regression of
# several regimes, and compares loads and errors.

# %%
import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf

import sinkhorn_tf as st

N_EXPERTS, BATCH = 6, 120

# %% [markdown]
# ## Balanced shares
#
# The scores of a batch are {term}`logits` `[tokens, experts]`: 120 tokens (examples)
# and six experts. The router must give away each token wholly, so each row has
# {term}`mass` 1. If you give the {term}`marginals` of the rows alone, the columns share
# the total equally: 20 tokens for each expert. The columns' sums are exact after each
# iteration, and those of the rows come closer with more of them.

# %%
scores = tf.random.stateless_normal([BATCH, N_EXPERTS], [0, 1]) + [4.0, 2, 0, 0, 0, 0]
softmax = tf.nn.softmax(scores)
balanced = st.sinkhorn(scores, n_iters=50, row_marginals=tf.ones([BATCH]))
print("loads, softmax ", np.round(tf.reduce_sum(softmax, axis=0), 1))
print("loads, balanced", np.round(tf.reduce_sum(balanced, axis=0), 1))
assert np.allclose(tf.reduce_sum(balanced, axis=0), BATCH / N_EXPERTS, rtol=1e-3)
assert np.allclose(tf.reduce_sum(balanced, axis=1), 1, atol=1e-2)

# %% [markdown]
# ## The layer
#
# Each expert is a linear map of the inputs, and the router a small network. A hard
# router uses one expert for each example, the one with the largest share, which is what
# saves time in large models. The expert's answer is multiplied by its share so that the
# router has a gradient. The two routers differ in one line.


# %%
class Experts(keras.layers.Layer):
    def __init__(self, balanced, temperature=0.5):
        super().__init__()
        self.balanced, self.temperature = balanced, temperature
        self.hidden = keras.layers.Dense(32, activation="relu")
        self.scores = keras.layers.Dense(N_EXPERTS)
        self.experts = keras.layers.Dense(N_EXPERTS)  # one output of each

    def shares(self, x):
        scores = self.scores(self.hidden(x))  # [tokens, experts]
        if self.balanced:
            ones = tf.ones(tf.shape(scores)[:1])
            return st.sinkhorn(scores, self.temperature, 10, row_marginals=ones)
        return tf.nn.softmax(scores / self.temperature)

    def call(self, x):
        shares = self.shares(x)
        chosen = tf.one_hot(tf.argmax(shares, axis=1), N_EXPERTS)
        return tf.reduce_sum(chosen * shares * self.experts(x), axis=1, keepdims=True)


# %% [markdown]
# ## A regression of six regimes
#
# The input has two coordinates. The plane is cut into six sectors, equally likely, and
# the target is another linear function in each of them. One linear expert can therefore
# be right in one sector only.

# %%
rng = np.random.default_rng(0)
slopes = rng.normal(size=[6, 2]) * 2
offsets = rng.normal(size=[6]) * 2


def make(count, seed):
    x = np.random.default_rng(seed).normal(size=[count, 2]).astype("float32")
    sector = ((np.arctan2(x[:, 1], x[:, 0]) / np.pi + 1) * 3).astype(int) % 6
    y = (slopes[sector] * x).sum(axis=1) + offsets[sector]
    return x, y[:, None].astype("float32"), sector


x_train, y_train, _ = make(6000, seed=1)
x_test, y_test, _ = make(2400, seed=2)
variance = float(y_test.var())

# %% [markdown]
# Three trainings of each router, with three seeds. The load of an expert is the number
# of test examples for which it has the largest share, in batches of 120 as in the
# training.

# %%
errors, loads = {}, {}
for name, is_balanced in [("softmax", False), ("balanced", True)]:
    errors[name], loads[name] = [], []
    for seed in range(3):
        keras.utils.set_random_seed(seed)
        layer = Experts(is_balanced)
        model = keras.Sequential([keras.Input((2,)), layer])
        adam = keras.optimizers.Adam(0.02)
        model.compile(adam, loss="mse", steps_per_execution=10)
        model.fit(x_train, y_train, batch_size=BATCH, epochs=12, verbose=0)
        errors[name].append(model.evaluate(x_test, y_test, batch_size=BATCH, verbose=0))
        chosen = [
            tf.argmax(layer.shares(x_test[i : i + BATCH]), axis=1).numpy()
            for i in range(0, len(x_test), BATCH)
        ]
        loads[name].append(np.bincount(np.concatenate(chosen), minlength=N_EXPERTS))
    print(f"{name:9} mean squared error {np.round(errors[name], 3)}")
    for load in loads[name]:
        print(f"{'':9} loads {load}")
print(f"variance of the target {variance:.3f}")
assert 0.1 < np.mean(errors["balanced"]) < 0.8 * np.mean(errors["softmax"])
assert min(load.min() for load in loads["softmax"]) < 0.01 * len(x_test)
assert min(load.min() for load in loads["balanced"]) > 0.08 * len(x_test)

# %%
figure, axes = plt.subplots(1, 2, figsize=(8, 3), sharey=True, layout="constrained")
for axis, (name, load) in zip(axes, loads.items(), strict=True):
    for seed in range(3):
        place = np.arange(N_EXPERTS) + 0.27 * (seed - 1)
        axis.bar(place, load[seed], width=0.25, label=f"seed {seed}")
    axis.axhline(len(x_test) / N_EXPERTS, color="C4", ls="--", lw=1)
    axis.set(title=f"router: {name}", xlabel="expert", xticks=range(N_EXPERTS))
axes[0].set_ylabel("test examples")
axes[0].legend()
plt.show()

# %% [markdown]
# *Load of each expert, for three trainings. The dashed line is the equal load. The
# softmax router leaves some experts without any work, and a linear expert with two
# sectors fits neither.*
#
# The mean error of the balanced router is lower, yet well above 0, which six linear
# experts with the right sectors would reach. Equal loads keep all experts at work; they
# do not tell them which sector is theirs.
#
# The balance is part of what the layer assumes. It helps here because the six regimes
# are equally likely; where they are not, an equal load sends some examples to the wrong
# expert.
#
# ## Other loads
#
# `col_marginals` gives each expert a load of its own. Both totals must agree.

# %%
load = tf.constant([40.0, 40, 20, 10, 5, 5])
plan = st.sinkhorn(
    scores, n_iters=50, row_marginals=tf.ones([BATCH]), col_marginals=load
)
print(np.round(tf.reduce_sum(plan, axis=0), 1))
assert np.allclose(tf.reduce_sum(plan, axis=0), load, rtol=1e-3)

# %% [markdown]
# ## Hard routing with capacities
#
# The largest share of a balanced plan gives nearly, not exactly, equal loads, as the
# bars show. The library has no hard matching with capacities:
# {py:func}`sinkhorn_tf.matching` gives each position to one item, and the layers with
# `hard=True` refuse marginals. If you give each expert as many columns as it has
# capacity, the matching is that of capacities all the same. It is exact, and its matrix
# is tokens by tokens, so keep it for small batches.

# %%
capacity = BATCH // N_EXPERTS
columns = tf.repeat(scores, capacity, axis=1)  # [120, 120]
expert = st.matching(columns) // capacity
print("largest share:", np.bincount(tf.argmax(balanced, axis=1), minlength=N_EXPERTS))
print("matching:     ", np.bincount(expert, minlength=N_EXPERTS))
assert np.all(np.bincount(expert, minlength=N_EXPERTS) == capacity)

# %% [markdown]
# ## Examples that come one at a time
#
# A balanced router looks at the whole batch, so the answer for an example depends on
# those that came with it, and a batch of one example is shared equally by all experts.
# Where examples come alone, take the {term}`potential`s of the experts from a large
# batch with {py:func}`sinkhorn_tf.sinkhorn_solve` and subtract them from the scores. A
# softmax of the difference is the row of the plan.

# %%
solution = st.sinkhorn_solve(scores, row_marginals=tf.ones([BATCH]))
alone = tf.nn.softmax(scores[0] - solution.col_potential)
print("alone   ", np.round(alone, 3))
print("in batch", np.round(solution.plan[0], 3))
assert np.allclose(alone, solution.plan[0], atol=1e-4)
one = st.sinkhorn(scores[:1], row_marginals=tf.ones([1]))
assert np.allclose(one, 1 / N_EXPERTS, atol=1e-3)
