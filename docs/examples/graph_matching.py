# %% [markdown]
# # Graph matching by annealed Sinkhorn
#
# Two graphs are the same but for the names of their nodes and some changed edges. The
# best correspondence makes the most edges coincide, a quadratic assignment problem.
# Softassign climbs: the gradient of the number of common edges gives logits, a Sinkhorn
# plan of them the next soft correspondence, and the temperature falls. Sixty-four
# random starts go in one batch.

# %%
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf

import sinkhorn_tf as st

rng = np.random.default_rng(0)
n = 16


def flip(graph, n_edges):
    """Adds or removes edges."""
    graph, (i, j) = graph.copy(), rng.integers(n, size=[2, n_edges])
    graph[i, j] = graph[j, i] = np.where(i == j, 0, 1 - graph[i, j])
    return graph


a = np.triu(rng.uniform(size=[n, n]) < 0.3, 1).astype("float32")
a += a.T
names = rng.permutation(n)
b = flip(a, 3)[names][:, names]  # node i of b is node names[i] of a

plan = tf.nn.softmax(0.1 * tf.random.stateless_normal([64, n, n], seed=[0, 1]))
for temperature in np.geomspace(1, 0.05, 40):
    logits = tf.matmul(tf.matmul(a, plan), b)
    plan = st.sinkhorn(logits, temperature=temperature, n_iters=30)

perms = st.matching(logits).numpy()  # [64, n]: node i of a is node perm[i] of b
common = [np.sum(a * b[p][:, p]) / 2 for p in perms]
perm = perms[np.argmax(common)]
found = b[perm][:, perm]

fig, axes = plt.subplots(1, 3, figsize=[7, 2.6], sharey=True)
titles = ["first graph", "second graph", "second, matched"]
for ax, graph, title in zip(axes, [a, b, found], titles, strict=True):
    ax.imshow(graph)
    ax.set(title=title, xlabel="node")
axes[0].set_ylabel("node")
plt.show()
print(f"common edges: {max(common):.0f} of {a.sum() / 2:.0f}")
assert np.array_equal(names[perm], np.arange(n))

# %% [markdown]
# *Adjacency matrices. Renamed, the second graph is the first one but for the changed
# edges.* The functions are {py:func}`sinkhorn_tf.sinkhorn` and
# {py:func}`sinkhorn_tf.matching`; {doc}`/cost` has the time of a batch.
