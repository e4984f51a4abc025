# %% [markdown]
# # Learn the temperature of a Sinkhorn layer
#
# {py:class}`sinkhorn_tf.SinkhornLayer` with `trainable_temperature=True` has the
# temperature as a weight, and a constraint keeps it positive. Here the logits are
# given, true permutations with noise, so that the temperature is all there is to learn:
# the one at which the plan's probabilities are right. The curve of the loss shows where
# it must end.

# %%
import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf

import sinkhorn_tf as st

perm = st.permutations.sample([1000], 6, seed=0)
noise = tf.random.stateless_normal([1000, 6, 6], seed=[0, 1])
logits = st.permutations.to_matrix(perm) + 0.6 * noise


def loss(perm, plan):
    return tf.reduce_mean(st.losses.cross_entropy(plan, perm))


layer = st.SinkhornLayer(temperature=2.0, trainable_temperature=True)
model = keras.Sequential([keras.Input([6, 6]), layer])
model.compile(keras.optimizers.Adam(0.01), loss, jit_compile=False)
visited = []
keep = keras.callbacks.LambdaCallback(
    on_epoch_end=lambda *_: visited.append(float(layer.temperature))
)
model.fit(logits, perm, batch_size=50, epochs=20, verbose=0, callbacks=[keep])
learnt = float(layer.temperature)

temperatures = np.geomspace(0.1, 3, 60).astype("float32")
curve, path = [
    [loss(perm, st.sinkhorn(logits, t)) for t in ts] for ts in (temperatures, visited)
]
best = temperatures[np.argmin(curve)]
print(f"learnt {learnt:.3f}, best {best:.3f}")

fig, ax = plt.subplots()
ax.semilogx(temperatures, curve, label="loss of each temperature")
ax.plot(visited, path, "o", color="C1", label="after each epoch")
ax.set(xlabel="temperature", ylabel="cross-entropy of the true positions")
ax.legend()
plt.show()
assert abs(learnt - best) < 0.1 * best

# %% [markdown]
# *The temperature falls from 2 and settles at the minimum of the curve.* A temperature
# can be annealed by a schedule instead: {py:class}`sinkhorn_tf.AnnealTemperature`.
# {doc}`/guides/temperature` finds one with a proof.
