# %% [markdown]
# # Sinkhorn iterations in TensorFlow
#
# A Sinkhorn iteration divides the rows of a positive matrix by their sums, then the
# columns. Repeated, it leads to a doubly stochastic matrix, a soft permutation. Here
# are the iterations in five lines, and the same by {py:func}`sinkhorn_tf.sinkhorn`,
# which also takes batches, masks, rectangles and masses, and is compiled by XLA.

# %%
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf

import sinkhorn_tf as st


def by_hand(logits, temperature, n_iters):
    x = logits / temperature
    for _ in range(n_iters):
        x -= tf.reduce_logsumexp(x, axis=-1, keepdims=True)  # rows
        x -= tf.reduce_logsumexp(x, axis=-2, keepdims=True)  # columns
    return tf.exp(x)


logits = tf.random.stateless_normal([8, 8], seed=[0, 1])
plan = st.sinkhorn(logits, temperature=0.2, n_iters=20)
np.testing.assert_allclose(plan, by_hand(logits, 0.2, 20), atol=1e-5)

# %% [markdown]
# The columns have their sums after every iteration, the rows only in the limit. How
# many iterations are enough depends on the temperature:

# %%
fig, ax = plt.subplots()
n_iters = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]
for t in [1.0, 0.3, 0.1, 0.03]:
    plans = [st.sinkhorn(logits, t, n, jit_compile=False) for n in n_iters]
    errors = [tf.reduce_max(abs(tf.reduce_sum(p, axis=1) - 1)) for p in plans]
    ax.loglog(n_iters, errors, "o-", label=f"temperature {t}")
ax.set(xlabel="iterations", ylabel="largest error of a row sum")
ax.legend(loc="upper left", bbox_to_anchor=[1, 1])
plt.show()

limit = st.sinkhorn_solve(logits, temperature=0.03)
print(int(limit.n_iters), "steps of sinkhorn_solve, residual", float(limit.residual))
assert limit.converged

# %% [markdown]
# *Hot plans converge in ten iterations; the coldest one has not after 1,000.* For the
# limit itself {py:func}`sinkhorn_tf.sinkhorn_solve` takes Newton steps, whose number
# hardly depends on the temperature. {doc}`/how/operator` and {doc}`/how/solver` explain
# both.
