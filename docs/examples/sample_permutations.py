# %% [markdown]
# # Sample permutations near a matrix of logits
#
# Noise on the logits and a matching make random hard permutations: likely ones follow
# the logits, and the scale of the noise sets how far samples stray. One call of
# {py:func}`sinkhorn_tf.gumbel_sinkhorn` gives the noisy logits of all samples, and one
# of {py:func}`sinkhorn_tf.matching` their permutations. Uniform permutations come from
# {py:func}`sinkhorn_tf.permutations.sample`.

# %%
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf

import sinkhorn_tf as st

n = 10
place = tf.range(float(n))
logits = -tf.square(place[:, None] - place[None]) / 2  # item i near position i


def sample(noise_scale, n_samples=1000):
    """Returns hard permutations, int32 [n_samples, n]."""
    _, noisy_logits = st.gumbel_sinkhorn(
        logits, n_samples=n_samples, noise_scale=noise_scale, n_iters=0, seed=0
    )
    return st.matching(noisy_logits)


scales = [0.3, 1.0, 5.0]
samples = [sample(scale) for scale in scales]
fig, axes = plt.subplots(1, 3, figsize=[6.4, 2.6], sharey=True)
for ax, scale, perm in zip(axes, scales, samples, strict=True):
    frequencies = tf.reduce_mean(st.permutations.to_matrix(perm), axis=0)
    image = ax.imshow(frequencies, vmin=0, vmax=1)
    ax.set(title=f"noise scale {scale}", xlabel="position")
axes[0].set(ylabel="item", yticks=[0, 5])
fig.colorbar(image, ax=axes, label="part of the samples", shrink=0.8)
plt.show()

# %% [markdown]
# *How often item i has position j, in 1,000 samples each. Little noise keeps the order,
# much noise blurs it.*

# %%
uniform = st.permutations.sample([1000], n, seed=0)
distances = [np.abs(perm - np.arange(n)).mean() for perm in [*samples, uniform]]
print("mean distance of an item from its place:", np.round(distances, 2))
assert np.all(np.diff(distances) > 0)
assert all(np.all(st.permutations.is_permutation(perm)) for perm in samples)

# %% [markdown]
# Soft samples, which have a gradient, are in {doc}`gumbel_sinkhorn`; how seeds make
# samples repeatable is in {doc}`/how/seeds`.
