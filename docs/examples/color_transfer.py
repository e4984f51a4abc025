# %% [markdown]
# # Colour transfer by optimal transport
#
# A photograph takes over the colours of another one: a sample of its pixels is
# transported to a sample of the other's pixels at the least squared distance of
# colours. The plan of {py:func}`sinkhorn_tf.sinkhorn_solve` gives each sampled pixel a
# new colour, the mean of the colours its mass goes to. Every pixel moves as the ten
# nearest sampled pixels do on average.

# %%
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from scipy.spatial import KDTree
from sklearn.datasets import load_sample_images

import sinkhorn_tf as st

china, flower = [i[::3, ::3] / np.float32(255) for i in load_sample_images().images]
rng = np.random.default_rng(0)
source, target = [rng.choice(i.reshape(-1, 3), 400) for i in (china, flower)]

cost = tf.reduce_sum(tf.square(source[:, None] - target[None]), axis=-1)  # [400, 400]
plan = st.sinkhorn_solve(-cost, temperature=0.005).plan  # rows sum to 1
moved = tf.matmul(plan, target).numpy()

_, nearest = KDTree(source).query(china.reshape(-1, 3), k=10)
shift = (moved - source)[nearest].mean(axis=1).reshape(china.shape)
result = np.clip(china + shift, 0, 1)

fig, axes = plt.subplots(1, 3, figsize=[8, 2.2])
titles = ["photograph", "colours of", "result"]
for ax, image, title in zip(axes, [china, flower, result], titles, strict=True):
    ax.imshow(image)
    ax.set(title=title, xticks=[], yticks=[])
plt.show()

# %% [markdown]
# *Most of the sky takes the orange of the petals, the rest of the picture the dark
# greens behind the flower. The shapes stay.*

# %%
before, after, wanted = [i.mean(axis=(0, 1)) for i in (china, result, flower)]
print("mean colours:", before.round(2), after.round(2), wanted.round(2))
assert np.abs(after - wanted).max() < 0.25 * np.abs(before - wanted).max()

# %% [markdown]
# Another temperature blends more or fewer colours. Two clouds of points are in
# {doc}`optimal_transport`; what a plan costs in time and memory is in {doc}`/cost`.
