# %% [markdown]
# # Coming from POT
#
# POT (`import ot`) is a library for optimal transport of many kinds. This library has one
# kind, entropic transport between N items and M positions, as an operator inside networks.
#
# | POT | sinkhorn_tf |
# | --- | --- |
# | `ot.sinkhorn([], [], M, reg)` of a square | `st.sinkhorn_solve(-M, reg).plan / N` |
# | `ot.sinkhorn(a, b, M, reg)` | `st.sinkhorn_solve(-M, reg, row_marginals=a, col_marginals=b).plan` |
# | `ot.sinkhorn([], [], M.T, reg, numItermax=L, stopThr=0).T` | `st.sinkhorn(-M, reg, n_iters=L) / N` |
# | `ot.batch.solve_batch(M, reg, max_iter=L).plan` | `st.sinkhorn(-M, reg, n_iters=L) / N` |
# | `ot.batch.solve_batch(..., tol=...)` | `st.sinkhorn(..., tolerance=...)` |
# | `ot.sinkhorn(..., log=True)[1]["u"]` | `tf.exp(-solution.row_potential / reg)`, up to a factor |
# | `log["err"]`, `log["niter"]` | `solution.residual`, `solution.n_iters`, `solution.converged` |
# | `ot.emd([], [], M).argmax(1)` of a square | `st.matching(-M)` |
# | `ot.emd2([], [], M)` of a square | `-st.certified_matching(-M).value / N` |
# | `ot.partial.partial_wasserstein(a, b, M, m=...)` | `st.partial_matching(-M, score)`: a score, not a mass |
# | `ot.unbalanced`, `ot.gromov`, `ot.da`, barycenters | nothing |

# %%
import os
import warnings

# POT imports a backend for every library that it finds; NumPy's is enough here.
os.environ["POT_BACKEND_DISABLE_JAX"] = "1"
os.environ["POT_BACKEND_DISABLE_TENSORFLOW"] = "1"

import numpy as np
import ot
import ot.batch

import sinkhorn_tf as st

rng = np.random.default_rng(0)
N = 5
logits = rng.normal(size=[N, N])
uniform = np.full(N, 1 / N)

# %% [markdown]
# ## The limit of the iterations
#
# A cost is minus a logit, and `reg` is the {term}`temperature`. POT's masses sum to 1. Ours
# are 1 for each item, so that the {term}`plan` of a square sums to N.

# %%
theirs = ot.sinkhorn(uniform, uniform, -logits, reg=0.1)
print(theirs.sum())

# %%
solution = st.sinkhorn_solve(logits, temperature=0.1, tolerance=1e-9)
print(solution.plan.numpy().sum(), solution.n_iters.numpy(), solution.residual.numpy())

# %%
np.testing.assert_allclose(N * theirs, solution.plan, atol=1e-7)

# %% [markdown]
# POT takes Sinkhorn iterations, ours takes a few Newton steps.
#
# ## A number of iterations
#
# One iteration of POT's `ot.sinkhorn` normalises the columns first and the rows last. Ours
# does the opposite, hence the transposes. With a fixed number of iterations both take exactly
# the same steps.

# %%
theirs = ot.sinkhorn(
    uniform, uniform, -logits.T, reg=0.1, numItermax=20, stopThr=0, warn=False
).T

# %%
ours = st.sinkhorn(logits, temperature=0.1, n_iters=20)

# %%
np.testing.assert_allclose(N * theirs, ours, atol=1e-12)

# %% [markdown]
# ## A batch
#
# `ot.batch` normalises the rows first, as ours does. A negative `tol` is never met, so that
# all iterations are taken.

# %%
batch = rng.normal(size=[3, N, N])
theirs = ot.batch.solve_batch(-batch, reg=0.1, max_iter=20, tol=-1.0).plan

# %%
ours = st.sinkhorn(batch, temperature=0.1, n_iters=20)

# %%
np.testing.assert_allclose(N * theirs, ours, atol=1e-12)

# %% [markdown]
# ## Masses and rectangles
#
# With the masses of both sides given, both libraries solve the same problem.

# %%
a = np.array([0.1, 0.2, 0.3, 0.3, 0.1])
b = np.array([0.5, 0.25, 0.25])
rectangle = rng.normal(size=[5, 3])
theirs = ot.sinkhorn(a, b, -rectangle, reg=0.1)

# %%
ours = st.sinkhorn_solve(
    rectangle, temperature=0.1, row_marginals=a, col_marginals=b, tolerance=1e-9
).plan

# %%
np.testing.assert_allclose(theirs, ours, atol=1e-7)

# %% [markdown]
# Without masses the two differ. POT shares the mass equally on both sides, so that every one
# of five items gives 1/5. Ours places the smaller side whole and each member of the
# larger side at most once, as an assignment does ({term}`slack`).

# %%
plan = st.sinkhorn_solve(rectangle, temperature=0.1).plan.numpy()
print(plan.sum(axis=0).round(3), plan.sum(axis=1).round(3))
np.testing.assert_allclose(plan.sum(axis=0), 1, atol=1e-5)
assert (plan.sum(axis=1) <= 1 + 1e-5).all()

# %% [markdown]
# ## Exact transport
#
# Between sets of equal size and mass, an exact plan is a permutation.

# %%
theirs = ot.emd(uniform, uniform, -logits)
print(theirs.argmax(axis=1), ot.emd2(uniform, uniform, -logits))

# %%
certified = st.certified_matching(logits)
print(certified.perm.numpy(), -certified.value.numpy() / N)

# %%
np.testing.assert_array_equal(theirs.argmax(axis=1), certified.perm)
np.testing.assert_allclose(
    ot.emd2(uniform, uniform, -logits), -certified.value / N, atol=1e-12
)

# %% [markdown]
# ## Low temperatures
#
# `ot.sinkhorn` computes `exp(-M / reg)` by default, which overflows or underflows when `reg`
# is small. `method="sinkhorn_log"` stays finite, but may need very many iterations. Ours
# stays finite always, and the number of Newton steps hardly grows.

# %%
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    kernel = ot.sinkhorn(uniform, uniform, -logits, reg=0.001)
    log = ot.sinkhorn(uniform, uniform, -logits, reg=0.001, method="sinkhorn_log")
print(np.isfinite(kernel).all(), abs(N * log.sum(axis=0) - 1).max())

# %%
cold = st.sinkhorn_solve(logits, temperature=0.001, tolerance=1e-9)
print(cold.residual.numpy(), cold.n_iters.numpy())

# %%
assert not np.isfinite(kernel).all()
assert cold.converged
assert cold.residual.numpy() < abs(N * log.sum(axis=0) - 1).max()

# %% [markdown]
# ## What differs
#
# - **Sign and masses.** POT: costs, masses that sum to 1. Ours: logits, masses of 1 for each
#   item.
# - **Stopping rule.** `ot.sinkhorn` tests the Euclidean norm of the error of the columns at
#   every tenth iteration, stops below `stopThr=1e-9` or after `numItermax=1000`, and warns if
#   it did not converge. `ot.batch.solve_batch` tests the worst example of the batch, and stops
#   all examples together. Ours tests the largest error of a row sum after each iteration,
#   and each example stops on its own.
# - **Rows or columns first.** `ot.sinkhorn` ends with the rows, `ot.batch` and ours with the
#   columns. The side that is normalised last has exact sums.
# - **Padding.** POT has no masks. Cut an example to its size, or give masses of 0 to
#   `method="sinkhorn_log"`: the default method does not know masses of 0. Ours takes `row_mask` and `col_mask`, and the padding may hold anything.
# - **Gradients.** POT follows its backend (PyTorch, JAX, TensorFlow), through the iterations;
#   `solve_batch` has four kinds by `grad=`, and its default, `"envelope"`, gives the
#   gradient of the value and none of the plan. Ours: `gradient="unrolled"` or `"implicit"`,
#   and the implicit gradient in `sinkhorn_solve`.
# - **TensorFlow.** POT has a backend for eager TensorFlow. Its functions test convergence in
#   Python, so that a {py:func}`tf.function` cannot trace them. Ours can be traced, compiled by
#   XLA and exported.
# - **dtype.** Both keep the dtype of the argument. Ours computes float16 and bfloat16 in
#   float32, and `sinkhorn_solve` always computes in float64.
# - **What we do not have.** Unbalanced and partial transport of a given mass,
#   Gromov-Wasserstein, barycenters, domain adaptation, sliced and low-rank solvers, exact
#   transport between different masses, and backends other than TensorFlow.
# - **What POT does not have.** Keras layers, masks, Gumbel noise, soft sorting, an
#   assignment rule for rectangles, the proof of optimality of a matching, and exported models.
