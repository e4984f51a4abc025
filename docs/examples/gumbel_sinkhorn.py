# %% [markdown]
# # Gumbel-Sinkhorn in TensorFlow 2
#
# Gumbel-Sinkhorn ({cite:t}`mena2018`) draws random soft permutations: it adds Gumbel
# noise to the logits and normalises the result by Sinkhorn iterations. The samples have
# a gradient with respect to the logits, so that a network can be trained through them.
# With a falling temperature they become hard permutations.

# %%
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf

import sinkhorn_tf as st

n = 8
logits = 1.5 * tf.eye(n)  # item i belongs at position i, more or less
temperatures = [1.0, 0.3, 0.05]
plans = [
    st.gumbel_sinkhorn(logits, t, n_samples=4, n_iters=100, seed=0)[0].numpy()
    for t in temperatures
]  # each [4, 8, 8]

fig, axes = plt.subplots(3, 4, figsize=[6.4, 5], sharex=True, sharey=True)
for row, t, samples in zip(axes, temperatures, plans, strict=True):
    for ax, sample in zip(row, samples, strict=True):
        image = ax.imshow(sample, vmin=0, vmax=1)
    row[0].set_ylabel(f"temperature {t}\nitem")
for i, ax in enumerate(axes[-1]):
    ax.set_xlabel(f"position\nsample {i + 1}")
fig.colorbar(image, ax=axes, label="share")
plt.show()

# %% [markdown]
# *Each column is one draw of the noise, each row a temperature. The noise decides which
# items leave the diagonal, the temperature how sharply.*

# %%
coldest = plans[-1]
np.testing.assert_allclose(coldest.sum(axis=-2), 1, atol=1e-3)
soft, noisy_logits = st.gumbel_sinkhorn(logits, 0.05, n_samples=4, seed=0)
hard = st.permutations.to_matrix(st.matching(noisy_logits))
print("largest distance from the hard samples:", np.abs(coldest - hard).max())
assert np.abs(coldest - hard).mean() < 0.05

# %% [markdown]
# {py:func}`sinkhorn_tf.gumbel_sinkhorn` also returns the noisy logits; their
# {py:func}`sinkhorn_tf.matching` is the hard sample.
# {py:class}`sinkhorn_tf.GumbelSinkhorn` is the Keras layer, which adds noise only while
# training. {doc}`/guides/jigsaw` trains with it.
