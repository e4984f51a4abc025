# %% [markdown]
# # Straight-through permutations
#
# {py:class}`sinkhorn_tf.SinkhornLayer` with `hard=True` gives hard permutation matrices
# in the forward pass and the gradient of the soft permutation in the backward pass.
# Here a model learns a hidden permutation of 12 columns from examples of its input and
# output. A soft permutation leaves an error, since it blurs; the hard one fits exactly.

# %%
import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf

import sinkhorn_tf as st

hidden = st.permutations.sample([], 12, seed=0)
x = tf.random.stateless_normal([512, 12], seed=[0, 1])
y = st.permutations.apply(tf.tile(hidden[None], [512, 1]), x)


def train(hard, steps=60, batch=2):
    """Returns the layer, its logits, and the losses."""
    layer = st.SinkhornLayer(temperature=1.0, hard=hard)
    logits = keras.Variable(tf.zeros([12, 12]))
    optimizer = keras.optimizers.Adam(0.05)

    @tf.function
    def step(i):
        with tf.GradientTape() as tape:
            plan = layer(logits + 0.0)
            errors = tf.square(tf.matmul(x, plan) - y)
            loss = tf.reduce_mean(errors[i : i + batch])
        optimizer.apply(tape.gradient(loss, [logits.value]), [logits])
        return tf.reduce_mean(errors)

    losses = [step(tf.constant(i * batch)).numpy() for i in range(steps)]
    return layer, logits, losses


_, _, soft_losses = train(hard=False)
layer, logits, hard_losses = train(hard=True)

fig, ax = plt.subplots()
ax.plot(soft_losses, label="soft")
ax.plot(hard_losses, label="hard, straight-through gradient")
ax.set(xlabel="step", ylabel="mean squared error of all examples")
ax.legend()
plt.show()
assert hard_losses[-1] == 0 < soft_losses[-1]
assert np.array_equal(st.matching(logits), hidden)

# %% [markdown]
# *Each step sees two examples. The hard permutation is soon the right one, and its
# error is exactly 0; the soft one still blurs.* The matching alone,
# {py:class}`sinkhorn_tf.Matching`, has a zero gradient. {doc}`/guides/sorting` has a
# hard layer in a network.
