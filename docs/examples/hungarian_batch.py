# %% [markdown]
# # Hungarian algorithm on a batch in TensorFlow
#
# {py:func}`sinkhorn_tf.matching` solves the assignment problem for every matrix of a
# batch in one call, in plain TensorFlow ops: inside {py:func}`tf.function`, a
# {py:class}`keras.Model` or a SavedModel, without a Python function. A cost is minus a
# logit. Here it assigns 30 workers to 30 jobs in 100 problems, next to the greedy
# choice and to SciPy.

# %%
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from scipy.optimize import linear_sum_assignment

import sinkhorn_tf as st

cost = tf.random.stateless_uniform([100, 30, 30], seed=[0, 1])
perm = st.matching(-cost)  # int32 [100, 30]: worker i takes job perm[i]
total = tf.reduce_sum(tf.gather(cost, perm, batch_dims=2), axis=1).numpy()


def greedy(cost):
    """Gives each worker in turn the cheapest job that is left."""
    cost, total = np.array(cost), 0.0
    for worker in cost:
        job = np.argmin(worker)
        total += worker[job]
        cost[:, job] = np.inf
    return total


scipy = [c[linear_sum_assignment(c)].sum() for c in cost.numpy()]
np.testing.assert_allclose(total, scipy, rtol=1e-5)

greedy_total = np.array([greedy(c) for c in cost])
fig, ax = plt.subplots(figsize=[4.5, 3.6])
ax.plot(greedy_total, total, "o", alpha=0.6)
ax.axline([0, 0], slope=1, color="C1", label="equal cost")
ax.set(xlabel="cost of the greedy assignment", ylabel="cost of st.matching")
ax.set(xlim=[0, 5], ylim=[0, 5])
ax.legend()
plt.show()
assert np.all(total <= greedy_total + 1e-5)
print("less than half as dear in", np.sum(total < greedy_total / 2), "problems")

# %% [markdown]
# *Each dot is one of the 100 problems. All are below the line: the greedy choice is
# dearer in each of them. SciPy finds the same costs as `st.matching`.*
#
# Rectangles, forbidden pairs (`-inf`) and masks are in {doc}`/coming_from/scipy`; how
# the matching is found is in {doc}`/how/matching`.
