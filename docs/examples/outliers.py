# %% [markdown]
# # Matching point sets with outliers (dustbins)
#
# Some points have no partner. {py:func}`sinkhorn_tf.partial_matching` matches a pair
# only where its logit is above the score of staying unmatched; here this means that the
# two points are closer than .15. {py:func}`sinkhorn_tf.partial_sinkhorn` is the soft
# version with dustbins of {cite:t}`sarlin2020`, and
# {py:class}`sinkhorn_tf.PartialSinkhorn` a layer that learns the score.

# %%
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf

import sinkhorn_tf as st

rng = np.random.default_rng(1)
shared = rng.uniform(size=[20, 2]) * [3, 2]
first = np.concatenate([shared, rng.uniform(size=[8, 2]) * [3, 2]])  # 8 alone
moved = shared + [0.04, 0.04] + 0.01 * rng.normal(size=[20, 2])
second = np.concatenate([moved, rng.uniform(size=[6, 2]) * [3, 2]])  # 6 alone

distances = tf.norm(first[:, None] - second[None], axis=-1)  # [28, 26]
perm = st.partial_matching(-distances, unmatched_score=-0.15).numpy()
soft = st.partial_sinkhorn(-distances, unmatched_score=-0.15, temperature=0.01)
matched = perm >= 0

fig, ax = plt.subplots(figsize=[5.5, 4.2])
for i in np.flatnonzero(matched):
    ax.plot(*np.stack([first[i], second[perm[i]]]).T, color="C4", lw=2)
ax.scatter(*first.T, c=soft.unmatched_rows, marker="o", label="first set")
last = ax.scatter(*second.T, c=soft.unmatched_cols, marker="s", label="second set")
fig.colorbar(last, label="share that stays unmatched")
ax.set(xlabel="x", ylabel="y")
ax.legend(loc="upper left", bbox_to_anchor=[0, 1.12], ncols=2)
plt.show()

# %% [markdown]
# *Lines join matched points. The colour is the part of a point that the soft plan
# leaves to the dustbin: bright points have no partner.*

# %%
right = np.mean(perm[:20] == np.arange(20))
print(f"right partners: {right:.2f}, outliers left alone: {np.mean(~matched[20:]):.2f}")
assert right >= 0.9 and np.mean(~matched[20:]) >= 0.7

# %% [markdown]
# Predictions and boxes are matched in this way in {doc}`/guides/detection`;
# {doc}`/which` has the recipes for sets of different sizes.
