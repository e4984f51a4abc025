# %% [markdown]
# # Clusters of equal size with Sinkhorn (balanced k-means)
#
# k-means gives each point to the nearest centre, and the clusters get any size. If a
# Sinkhorn plan assigns the points instead, every centre gets the same load: with
# `row_marginals` alone {py:func}`sinkhorn_tf.sinkhorn` shares their total equally among
# the columns. The rest of the algorithm stays as it is.

# %%
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf

import sinkhorn_tf as st

rng = np.random.default_rng(0)
blobs = [[0, 0]] * 160 + [[3, 0]] * 50 + [[1.5, 2]] * 30
points = (np.array(blobs) + 0.6 * rng.normal(size=[240, 2])).astype("float32")
one_each = tf.ones(len(points))


def cluster(balanced, steps=30):
    centres = tf.constant([[0.0, 0.5], [3.0, 0.0], [1.5, 2.0]])
    for _ in range(steps):
        logits = -tf.reduce_sum((points[:, None] - centres[None]) ** 2, axis=-1)
        if balanced:
            plan = st.sinkhorn(logits, 0.05, n_iters=200, row_marginals=one_each)
        else:
            plan = tf.one_hot(tf.argmax(logits, axis=1), 3)
        load = tf.reduce_sum(plan, axis=0)
        centres = tf.matmul(plan, points, transpose_a=True) / load[:, None]
    return np.argmax(plan, axis=1), centres


fig, axes = plt.subplots(1, 2, sharey=True)
for ax, balanced in zip(axes, [False, True], strict=True):
    labels, centres = cluster(balanced)
    sizes = np.bincount(labels)
    for k in range(3):
        ax.plot(*points[labels == k].T, ".", color=f"C{k}")
        ax.plot(*centres[k], "P", color="C4", ms=14, mec=f"C{k}", mew=2)
    ax.set(title=f"{'balanced' if balanced else 'k-means'}: {sizes}", xlabel="x")
axes[0].set_ylabel("y")
plt.show()
assert sizes.min() >= 76 and sizes.max() <= 84  # 80 each but for points on the border

# %% [markdown]
# *Crosses are centres, the title has the sizes of the clusters. The balanced clusters
# cut the large blob into parts.* `col_marginals` sets any other loads. The same balance
# between the experts of a network is in {doc}`/guides/experts`.
