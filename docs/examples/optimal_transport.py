# %% [markdown]
# # Optimal transport between two point clouds in TensorFlow
#
# Entropic optimal transport ({cite:t}`cuturi2013`) moves one cloud of mass to another
# at the least cost. The logits are minus the costs, the masses are the marginals, and
# the temperature is the weight of the entropy. {py:func}`sinkhorn_tf.sinkhorn_solve`
# gives the limit of the Sinkhorn iterations, with a gradient.

# %%
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf

import sinkhorn_tf as st

rng = np.random.default_rng(0)
angle = np.linspace(0, 2 * np.pi, 60, endpoint=False)
ring = np.stack([np.cos(angle), np.sin(angle)], axis=1)  # 60 points
centres = np.repeat([[2.2, 0.8], [2.2, -0.8]], 20, axis=0)
blobs = centres + 0.2 * rng.normal(size=[40, 2])

cost = tf.constant(np.square(ring[:, None] - blobs[None]).sum(axis=-1))  # [60, 40]
a, b = np.full(60, 1 / 60), np.full(40, 1 / 40)
solution = st.sinkhorn_solve(-cost, temperature=0.05, row_marginals=a, col_marginals=b)
plan = solution.plan.numpy()
transport = np.sum(plan * cost)
print(f"cost of the plan {transport:.3f}, of a random plan {np.mean(cost):.3f}")

fig, ax = plt.subplots(figsize=[6.4, 3.6])
for i, j in np.argwhere(plan > 0.05 * plan.max()):
    strength = plan[i, j] / plan.max()
    ax.plot(*np.stack([ring[i], blobs[j]]).T, color="C4", lw=1, alpha=strength)
ax.plot(*ring.T, "o", color="C0", label="from: mass 1/60 each")
ax.plot(*blobs.T, "s", color="C1", label="to: mass 1/40 each")
ax.set(xlabel="x", ylabel="y", aspect="equal")
ax.legend(loc="upper left", bbox_to_anchor=[1, 1])
plt.show()

# %% [markdown]
# *A line is drawn where mass moves, the stronger the more. The upper half of the ring
# goes to the upper blob, the lower half to the lower one.*

# %%
assert solution.converged
np.testing.assert_allclose(plan.sum(axis=1), a, atol=1e-6)
np.testing.assert_allclose(plan.sum(axis=0), b, atol=1e-6)
assert transport < np.mean(cost) and plan[:30, :20].sum() > 0.45  # of .5

# %% [markdown]
# {doc}`/coming_from/pot` has the same call in POT, {doc}`/coming_from/ott_jax` in
# OTT-JAX.
