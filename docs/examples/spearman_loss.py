# %% [markdown]
# # Soft ranks and Spearman correlation as a loss
#
# Spearman's correlation is the correlation of ranks, and ranks have no gradient.
# {py:func}`sinkhorn_tf.soft_rank` has one, so that the correlation can be trained on
# directly. Here the target is the exponential of a linear function of the inputs, with
# noise: a few huge values rule the squared error, while their ranks are as good as any
# others.

# %%
import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from scipy.stats import spearmanr

import sinkhorn_tf as st

rng = np.random.default_rng(0)
x = rng.normal(size=[1200, 8]).astype("float32")
noise = 0.5 * rng.standard_normal(1200)
y = np.exp(2 * (x @ rng.normal(size=8) + noise)).astype("float32")


def spearman_loss(y, score):
    """Returns 1 minus the correlation of the soft ranks within the batch."""
    true = tf.cast(tf.argsort(tf.argsort(y[:, 0])), tf.float32)
    soft = st.soft_rank(score[:, 0], temperature=0.01)
    true, soft = [tf.math.l2_normalize(r - tf.reduce_mean(r)) for r in (true, soft)]
    return 1 - tf.reduce_sum(true * soft)


def train(loss):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input([8]), keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(0.03), loss, jit_compile=False)
    model.fit(x[:600], y[:600], batch_size=30, epochs=15, verbose=0)
    return model.predict(x[600:], verbose=0)[:, 0]


fig, axes = plt.subplots(1, 2, sharey=True)
correlations = []
names = {"mse": "mse", "Spearman": spearman_loss}
for ax, (name, loss) in zip(axes, names.items(), strict=True):
    score = train(loss)
    correlations.append(spearmanr(score, y[600:]).statistic)
    ax.semilogy(score, y[600:], ".")
    ax.set(xlabel="score", title=f"loss {name}: correlation {correlations[-1]:.2f}")
axes[0].set_ylabel("target (test data)")
plt.show()
assert correlations[1] > 0.95 and correlations[1] > correlations[0] + 0.05

# %% [markdown]
# *The order of the scores follows the order of the targets much more closely after
# training on the ranks.* `soft_rank` is described in {doc}`/coming_from/torchsort`,
# too.
