# %% [markdown]
# # Differentiable top-k in Keras
#
# {py:class}`sinkhorn_tf.SoftTopK` turns scores into shares from 0 to 1 that sum to k,
# with a gradient for every score ({cite:t}`xie2020topk`). Here it selects features: the
# target depends on three of twenty columns, and a gate before a linear model must let
# only three pass. The gate's scores are learnt together with the model.

# %%
import keras
import matplotlib.pyplot as plt
import numpy as np

import sinkhorn_tf as st

keras.utils.set_random_seed(0)
rng = np.random.default_rng(0)
x = rng.normal(size=[1024, 20]).astype("float32")
y = x[:, 3] - 2 * x[:, 8] + 1.5 * x[:, 15] + 0.1 * rng.normal(size=1024)


class Select(keras.layers.Layer):
    """Multiplies each feature by its share in the selection of the k best."""

    def build(self, shape):
        self.scores = self.add_weight(shape=shape[-1:], initializer="zeros")
        self.top_k = st.SoftTopK(3, temperature=0.1)

    def call(self, x):
        return x * self.top_k(self.scores)


select = Select()
model = keras.Sequential([keras.Input([20]), select, keras.layers.Dense(1)])
model.compile(keras.optimizers.Adam(0.02), loss="mse", jit_compile=False)
model.fit(x, y, batch_size=64, epochs=15, verbose=0)
shares = select.top_k(select.scores).numpy()

fig, ax = plt.subplots()
ax.bar(range(20), shares)
ax.set(xlabel="feature", ylabel="share in the selection", xticks=range(20))
plt.show()
assert set(np.argsort(shares)[-3:]) == {3, 8, 15} and shares[[3, 8, 15]].min() > 0.9

# %% [markdown]
# *The gate starts at equal shares of .15 and ends at the three features that matter.*
# The function is {py:func}`sinkhorn_tf.soft_top_k`; it takes another k for each
# example, and a mask. {doc}`/which` tells when a top-k, soft ranks or a matching is the
# right tool.
