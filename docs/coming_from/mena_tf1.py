# %% [markdown]
# # Coming from the TensorFlow 1 code of Mena et al.
#
# Their calls are named and not run, because code of TensorFlow 1 (`tf.contrib`, `tf.py_func`) does
# not run on TensorFlow 2. Ours are executed, and so are their formulas, written in
# NumPy.
#
# {cite:t}`mena2018` published their operator in `google/gumbel_sinkhorn`, in the file
# `sinkhorn_ops.py`. This library began from the same equations, so that most calls have one
# counterpart.
#
# | `sinkhorn_ops` | sinkhorn_tf |
# | --- | --- |
# | `sinkhorn(log_alpha, n_iters=20)` | `st.sinkhorn(log_alpha, n_iters=20)` |
# | `sinkhorn(log_alpha / temp, n_iters)` | `st.sinkhorn(log_alpha, temp, n_iters)` |
# | `gumbel_sinkhorn(log_alpha, temp=1.0, n_samples=1, noise_factor=1.0, n_iters=20, squeeze=True)` | `st.gumbel_sinkhorn(log_alpha, temperature=1.0, n_samples=1, noise_scale=1.0, n_iters=20, seed=...)` |
# | `squeeze=True` | `st.GumbelSinkhorn(n_samples=None)`, the layer without an axis of samples |
# | `matching(matrix_batch)` | `st.matching(logits)` |
# | `sample_gumbel(shape, eps=1e-20)` | {py:func}`sinkhorn_tf.distributions.gumbel_noise` |
# | `sample_permutations(n_permutations, n_objects)` | `st.permutations.sample([n_permutations], n_objects, seed)` |
# | `permute_batch_split(batch_split, permutations)` | `tf.gather(items, perm, axis=1, batch_dims=1)` |
# | `listperm2matperm(listperm)` | {py:func}`sinkhorn_tf.permutations.to_matrix` |
# | `matperm2listperm(matperm)` | {py:func}`sinkhorn_tf.permutations.from_matrix` |
# | `invert_listperm(listperm)` | {py:func}`sinkhorn_tf.permutations.inverse` |
# | `kendall_tau(batch_perm1, batch_perm2)` | {py:func}`sinkhorn_tf.metrics.kendall_tau` |
# | `sample_uniform_and_order(n_lists, n_numbers, prob_inc)` | `tf.random.stateless_uniform` and `tf.sort` |
# | `SortingModel.build_l2s_loss` | {py:func}`sinkhorn_tf.losses.reconstruction` |
# | `_prop_wrong`, `_prop_any_wrong` | {py:func}`sinkhorn_tf.metrics.proportion_wrong`, {py:func}`sinkhorn_tf.metrics.proportion_any_wrong` |
# | `sorting_train.py` | {doc}`/guides/sorting` |

# %%
import numpy as np
import scipy.optimize
import scipy.special
import tensorflow as tf

import sinkhorn_tf as st

BATCH, N = 4, 5
logits = tf.random.stateless_normal([BATCH, N, N], seed=[0, 1])

# %% [markdown]
# ## The operator
#
# ```python
# sinkhorn_ops.sinkhorn(log_alpha / 0.5, n_iters=20)
# ```
#
# An iteration subtracts the logarithm of the row sums, then that of the column sums:

# %%
z = logits.numpy() / 0.5
for _ in range(20):
    z = z - scipy.special.logsumexp(z, axis=2, keepdims=True)
    z = z - scipy.special.logsumexp(z, axis=1, keepdims=True)
theirs = np.exp(z)

# %%
ours = st.sinkhorn(logits, temperature=0.5, n_iters=20)

# %%
np.testing.assert_allclose(theirs, ours, atol=1e-6)

# %% [markdown]
# Ours takes the same steps by matrix-vector products, which are faster than logarithms
# ({doc}`/results/operator`).
#
# ## Gumbel-Sinkhorn
#
# ```python
# soft, noisy = sinkhorn_ops.gumbel_sinkhorn(log_alpha, temp=0.5, n_samples=3)
# # both [batch, n_samples, N, N]; noisy is divided by temp
# ```

# %%
soft, noisy = st.gumbel_sinkhorn(logits, temperature=0.5, n_samples=3, seed=0)
print(soft.shape, noisy.shape)

# %% [markdown]
# The shapes are the same: batch first, then samples. Our noisy logits are not divided by the
# temperature. Divide them where you port code that uses them, or leave the temperature to the next
# call:

# %%
again = st.sinkhorn(noisy, temperature=0.5, n_iters=20)
np.testing.assert_allclose(soft, again, atol=1e-6)

# %% [markdown]
# With one sample, their result loses its axis by default. Our function keeps it,
# and our layer has `n_samples=None`:

# %%
one, _ = st.gumbel_sinkhorn(logits, seed=0)
layer = st.GumbelSinkhorn(temperature=0.5, seed=0)
print(one.shape, layer(logits, training=True).shape)

# %%
assert soft.shape == [BATCH, 3, N, N]
assert one.shape == [BATCH, 1, N, N]
assert layer(logits, training=True).shape == [BATCH, N, N]

# %% [markdown]
# ## Matching
#
# ```python
# sinkhorn_ops.matching(log_alpha)  # tf.py_func around a loop of SciPy, maximising
# ```

# %%
theirs = [scipy.optimize.linear_sum_assignment(-x)[1] for x in logits.numpy()]

# %%
ours = st.matching(logits)
print(ours.numpy())

# %%
np.testing.assert_array_equal(theirs, ours)

# %% [markdown]
# `tf.py_func` runs in the Python process that made the graph, and cannot be exported. Ours
# consists of TensorFlow ops. It also takes the samples as they are, `[batch, n_samples, N, N]`, where
# theirs takes three dimensions.
#
# ## Permutations
#
# The convention is the same: `perm[i]` is the position of item i, and its matrix has a 1 at
# `[i, perm[i]]`.

# %%
perm = st.permutations.sample([BATCH], N, seed=0)
items = tf.random.stateless_uniform([BATCH, N, 2], seed=[0, 2])

# permute_batch_split: result[n, j] = items[n, perm[n, j]]
scrambled = tf.gather(items, perm, axis=1, batch_dims=1)

# %% [markdown]
# `permute_batch_split` gathers. {py:func}`sinkhorn_tf.permutations.apply` does the opposite, it
# moves item i to position `perm[i]`, and so undoes it. A permutation matrix does the same with its
# transpose, as {py:class}`sinkhorn_tf.Restore` does with soft ones.

# %%
restored = st.permutations.apply(perm, scrambled)
matrix = st.permutations.to_matrix(perm)
by_layer = st.Restore()([matrix, scrambled])

# %%
np.testing.assert_array_equal(restored, items)
np.testing.assert_allclose(by_layer, items, atol=1e-6)
np.testing.assert_array_equal(st.permutations.from_matrix(matrix), perm)
np.testing.assert_array_equal(
    tf.gather(scrambled, st.permutations.inverse(perm), axis=1, batch_dims=1), items
)

# %% [markdown]
# ## The loss and the measures
#
# Their loss is the mean squared error of the softly restored list over all samples, and ours is the
# same for each example. Their model tiles the batch by samples; ours broadcasts.

# %%
numbers = tf.random.stateless_uniform([BATCH, N, 1], seed=[0, 3])
ordered = tf.sort(numbers, axis=1)
restored = tf.transpose(soft, [0, 1, 3, 2]) @ numbers[:, None]
theirs = tf.reduce_mean(tf.square(ordered[:, None] - restored))

# %%
ours = st.losses.reconstruction(soft, numbers, ordered)
print(theirs.numpy(), ours.numpy())

# %%
np.testing.assert_allclose(tf.reduce_mean(ours), theirs, rtol=1e-5)

# %% [markdown]
# ## What differs
#
# - **Defaults.** Both: temperature 1, 20 iterations, one sample, noise of scale 1. Their sorting
#   program has others: 10 iterations, 5 samples, temperature 1, lists of 50 numbers, batches
#   of 10, 32 hidden units, a learning rate of 0.1.
# - **Temperature and noise.** Theirs are Python numbers or tensors, and `noise_factor == 0` is
#   decided in Python. Ours are numbers or tensors that broadcast, one for each example, and layers
#   can learn or anneal the temperature.
# - **Seeds.** Theirs draws by `tf.random_uniform`, from the seed of the graph. Ours takes
#   a `seed`: the same seed gives the same noise.
# - **Rank of the arguments.** Theirs turns a matrix into a batch of one. Ours keeps
#   the dimensions it gets, any number of them.
# - **Rectangles, masks, masses, dustbins.** Theirs has squares alone.
# - **Stopping rule.** Theirs takes `n_iters` iterations. Ours does too, or stops at a
#   `tolerance`, or solves for the limit ({py:func}`sinkhorn_tf.sinkhorn_solve`).
# - **Low temperatures.** Their docstring warns that at low temperatures some rows keep
#   several fractions, since the iterations are too few. The limit does not have this fault.
# - **Gradients.** Theirs: unrolled by TensorFlow, which keeps every step in memory. Ours: `"unrolled"`
#   with less memory, or `"implicit"`.
# - **dtype.** Their noise is float32. Ours has the dtype of the logits.
# - **Compilation.** Theirs builds a graph that grows with the number of iterations. Ours is a loop,
#   and XLA compiles it.
# - **What theirs has.** The original sorting model and its training loop, in TensorFlow 1.
#   The pipelines of this project train the experiments of the paper again, with results beside those
#   of the paper ({doc}`/results/sorting`, {doc}`/results/jigsaw`).
