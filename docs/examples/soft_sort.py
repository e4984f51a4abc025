# %% [markdown]
# # Differentiable sorting in TensorFlow
#
# {py:func}`sinkhorn_tf.soft_sort` sorts along the last axis, and each sorted value has
# a gradient with respect to all the values. The temperature sets the softness: a cold
# sort is exact, a hot one mixes neighbours. The values are scaled to [0, 1] first, so
# that a temperature means the same for all units. The method is that of
# {cite:t}`cuturi2019`.

# %%
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf

import sinkhorn_tf as st

values = tf.constant([4.0, 9.0, 1.0, 7.0, 2.0, 6.0])
with tf.GradientTape() as tape:
    tape.watch(values)
    ordered = st.soft_sort(values, temperature=0.2)
    largest = ordered[-1]
print("sorted:  ", ordered.numpy().round(2))
print("gradient:", tape.gradient(largest, values).numpy().round(2))

# %% [markdown]
# The second line tells how the largest sorted value moves with each of the six values:
# as the 9 does, and very little with the others. A batch of temperatures sorts in one
# call:

# %%
temperatures = np.geomspace(1e-3, 30, 40).astype("float32")
curves = st.soft_sort(values[None], temperatures).numpy()  # [40, 6]

fig, ax = plt.subplots()
ax.semilogx(temperatures, curves)
ax.plot([temperatures[0]] * 6, tf.sort(values), ">", color="C1", label="tf.sort")
ax.set(xlabel="temperature", ylabel="sorted values")
ax.legend()
plt.show()

# %% [markdown]
# *Each line is one sorted value. Below a temperature of .01 they are those of
# `tf.sort`; far above 1 all of them are the mean.*

# %%
np.testing.assert_allclose(curves[0], tf.sort(values), atol=1e-3)
np.testing.assert_allclose(curves.mean(axis=1), np.mean(values), rtol=1e-4)

# %% [markdown]
# {py:func}`sinkhorn_tf.soft_rank` gives soft ranks in the same way. A network that
# learns to sort is in {doc}`/guides/sorting`.
