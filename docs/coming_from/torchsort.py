# %% [markdown]
# # Coming from torchsort
#
# Their calls are shown as text and are not run, because PyTorch would bring gigabytes to the build of
# this site. Ours are executed, and so is a NumPy version of the formula that torchsort computes.
#
# | torchsort | sinkhorn_tf |
# | --- | --- |
# | `soft_rank(x)`, from 1 | `st.soft_rank(x) + 1`: ours begins at 0 |
# | `soft_rank(-x)`, from 1 for the largest | `st.soft_rank(-x) + 1` |
# | `soft_sort(x)`, ascending | `st.soft_sort(x)` |
# | `soft_sort(x)[:, -k:]` | `st.soft_sort(x, top_k=k)` |
# | `regularization_strength=1.0`, in the units of x | `temperature=0.01`, for values that span [0, 1] |
# | `regularization="l2"` or `"kl"` | nothing: the plan has an entropy term always |
# | `x` of two dimensions | `x` of one or more, along the last axis |
# | a share in the k best | {py:func}`sinkhorn_tf.soft_top_k` |
# | the soft permutation behind the ranks | {py:func}`sinkhorn_tf.sinkhorn_solve` of your own logits |
# | Spearman's coefficient of soft ranks | the same formula with `st.soft_rank`, see below |

# %%
import numpy as np
import scipy.optimize
import tensorflow as tf

import sinkhorn_tf as st

# %% [markdown]
# ## Ranks
#
# ```python
# x = torch.tensor([[8.0, 0.0, 5.0, 3.0, 2.0, 1.0, 6.0, 7.0, 9.0]])
# torchsort.soft_rank(x, regularization_strength=1.0)
# # their README prints: [[8., 1., 5., 4., 3., 2., 6., 7., 9.]]
# ```

# %%
x = np.array([[8.0, 0.0, 5.0, 3.0, 2.0, 1.0, 6.0, 7.0, 9.0]])
ranks = st.soft_rank(x)
print(ranks.numpy().round(3) + 1)

# %%
readme = [[8, 1, 5, 4, 3, 2, 6, 7, 9]]
np.testing.assert_allclose(ranks + 1, readme, atol=1e-3)

# %% [markdown]
# ## Sorted values
#
# ```python
# torchsort.soft_sort(x, regularization_strength=0.1)
# # their README prints: [[-0., 1., 2., 3., 5., 6., 7., 8., 9.]]
# ```

# %%
ordered = st.soft_sort(x)
print(ordered.numpy().round(3))

# %%
np.testing.assert_allclose(ordered, np.sort(x), atol=0.01)

# %% [markdown]
# ## Two operators
#
# The two libraries agree only where both are almost hard, since they compute different things.
#
# - torchsort projects the values, divided by the strength, onto the permutahedron: the convex
#   hull of all orders of 1, ..., N ({cite:t}`blondel2020`). With `"l2"` it is a Euclidean
#   projection, with `"kl"` one in the logarithms. It takes a sort and an isotonic regression.
# - Ours transports the values to N evenly spaced anchors by entropic optimal transport
#   ({cite:t}`cuturi2019`). Ranks are the mean of the positions under the {term}`plan`, and
#   sorted values the mean of the values.
#
# This is the projection in NumPy, for `"l2"`:


# %%
def project(values, strength):
    """Soft ranks from 1, by projection onto the permutahedron."""
    order = np.argsort(-values)
    z = values[order] / strength
    steps = np.arange(len(z), 0, -1)
    dual = scipy.optimize.isotonic_regression(z - steps, increasing=False).x
    ranks = np.empty(len(z))
    ranks[order] = z - dual
    return ranks


np.testing.assert_allclose(project(x[0], 1.0), readme[0])

# %% [markdown]
# Values that lie closer together than the strength get ranks near the mean. Ours scales the
# values to [0, 1] first, so that it does not see the units.

# %%
close = np.array([0.1, 0.3, 0.2])
print(project(close, 1.0), project(close, 0.1))
print(st.soft_rank(close).numpy().round(3) + 1)

# %%
np.testing.assert_allclose(project(close, 1.0), [1.9, 2.1, 2.0])
np.testing.assert_allclose(st.soft_rank(close), st.soft_rank(10 * close), atol=1e-6)
np.testing.assert_allclose(st.soft_rank(close) + 1, project(close, 0.05), atol=1e-3)

# %% [markdown]
# For the same behaviour with torchsort, scale the values yourself before the call. For values
# of a fixed scale with ours, note that one far outlier moves all others together.
#
# ## Where the gradient is
#
# The projection is piecewise linear. Where all gaps are larger than the strength its ranks are exact,
# and their gradient is exactly 0. Ours is smooth: exact nowhere, with a gradient everywhere,
# which becomes very small as the temperature falls.

# %%
values = tf.constant([0.0, 0.9, 2.2, 3.0])
with tf.GradientTape() as tape:
    tape.watch(values)
    rank_of_second = st.soft_rank(values, temperature=0.2)[1]
gradient = tape.gradient(rank_of_second, values).numpy()
print(gradient.round(4))

# %%
shifted = values.numpy() + np.array([0.0, 0.01, 0.0, 0.0])
np.testing.assert_allclose(project(values.numpy(), 0.5), [1, 2, 3, 4], atol=1e-6)
np.testing.assert_allclose(project(shifted, 0.5), [1, 2, 3, 4], atol=1e-6)
assert gradient[1] > 0

# %% [markdown]
# ## Spearman's coefficient as a loss
#
# ```python
# def spearman(pred, target):
#     pred, target = torchsort.soft_rank(pred), torchsort.soft_rank(target)
#     ...  # the correlation of the two
# ```


# %%
def correlate(p, q):
    p, q = p - tf.reduce_mean(p), q - tf.reduce_mean(q)
    return tf.reduce_sum(p * q) / (tf.norm(p) * tf.norm(q))


pred = tf.constant([1.0, 2.0, 3.0, 4.0, 5.0])
target = tf.constant([5.0, 6.0, 7.0, 8.0, 7.0])
spearman = correlate(st.soft_rank(pred), st.soft_rank(target))
print(spearman.numpy())

# %% [markdown]
# Their README prints 0.8321 for these two lists: at strength 1 the ranks of the second list are
# not hard. Ours are, and so the result is that of hard ranks, 0.8208, in which the two equal
# numbers share the rank 3.5.

# %%
np.testing.assert_allclose(spearman, 0.8208, atol=1e-3)
theirs = correlate(project(pred.numpy(), 1.0), project(target.numpy(), 1.0))
np.testing.assert_allclose(theirs, 0.8321, atol=1e-3)

# %% [markdown]
# ## What differs
#
# - **Ranks.** From 1 there, from 0 here. Both ascend.
# - **Strength and temperature.** A strength is in the units of the values; our temperature
#   is not. Both are harder as they fall.
# - **Iterations.** torchsort's answer is exact after a sort and one pass. Ours solves for the limit
#   of the Sinkhorn iterations by Newton steps.
# - **Size.** torchsort takes N log N steps and a memory of N, ours a plan of N x N
#   numbers and a solver on top. For lists of many thousands, torchsort's operator is the right one.
# - **Gradients.** torchsort's are those of the projection, computed in C++. Ours are those of
#   the limit.
# - **Shapes.** torchsort takes `[batch, N]` and raises otherwise. Ours takes `[..., N]`.
# - **Padding.** Neither has masks in its ranks. {py:func}`sinkhorn_tf.soft_top_k` has one.
# - **dtype.** Ours takes all floating point types, and computes float16 and bfloat16 in float32 or
#   above.
# - **Devices.** torchsort is a C++ extension with an optional CUDA kernel. Ours is made of TensorFlow ops, runs wherever they run, and can be exported.
# - **What we do not have.** The projection, its speed, and the two regularisers.
# - **What torchsort does not have.** The plan itself, positions fewer than items (`top_k`), a
#   temperature as a tensor for each example, and learnt permutations of things that are no numbers.
