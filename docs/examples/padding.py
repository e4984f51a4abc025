# %% [markdown]
# # Sinkhorn with padding: sets of different sizes in a batch
#
# Sets of different sizes become one batch by padding, and masks tell which items and
# positions exist. {py:func}`sinkhorn_tf.sinkhorn` and {py:func}`sinkhorn_tf.matching`
# take them as `row_mask` and `col_mask`. The padding may hold anything, even NaN: its
# part of a plan is 0, its gradient is 0, and its items have the position -1.

# %%
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf

import sinkhorn_tf as st

sizes = [3, 5, 8]
logits = tf.random.stateless_normal([3, 8, 8], seed=[0, 1])
present = tf.sequence_mask(sizes, 8)  # bool [3, 8]
exists = present[:, :, None] & present[:, None, :]
logits = tf.where(exists, logits, np.nan)

plan = st.sinkhorn(logits, temperature=0.5, row_mask=present, col_mask=present)
perm = st.matching(logits, row_mask=present, col_mask=present)
print(perm.numpy())

fig, axes = plt.subplots(1, 3, figsize=[7, 2.6], sharey=True)
for i, ax in enumerate(axes):
    image = ax.imshow(plan[i], vmin=0, vmax=1)
    item = np.flatnonzero(perm[i] >= 0)
    ax.plot(perm[i].numpy()[item], item, "o", mfc="none", color="C1")
    ax.set(title=f"{sizes[i]} items", xlabel="position")
axes[0].set_ylabel("item")
fig.colorbar(image, ax=axes, label="share", shrink=0.85)
plt.show()

# %% [markdown]
# *The plans of one batch, padded to eight items. Circles mark the matching; the padding
# is 0.* The result is that of each set alone:

# %%
for i, n in enumerate(sizes):
    alone = st.sinkhorn(logits[i, :n, :n], temperature=0.5)
    np.testing.assert_allclose(plan[i, :n, :n], alone, atol=1e-6)
assert np.all(plan.numpy()[~exists.numpy()] == 0)
assert np.array_equal(perm == -1, ~present.numpy())

# %% [markdown]
# Keras layers read Keras' own mask; with `mask_positions=True` they use it for the
# positions, too ({py:class}`sinkhorn_tf.SinkhornLayer`). {doc}`/guides/sorting` sorts
# padded lists.
