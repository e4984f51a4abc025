# %% [markdown]
# # Coming from OTT-JAX
#
# OTT-JAX solves optimal transport between measures, in JAX. This library has the plan between
# N items and M positions as an operator for Keras. The two meet in the Sinkhorn iterations and in soft
# sorting.
#
# | OTT-JAX | sinkhorn_tf |
# | --- | --- |
# | `Geometry(cost_matrix=C, epsilon=t)` | logits `-C`, `temperature=t` |
# | `linear.solve(geom).matrix` of a square | `st.sinkhorn_solve(-C, t).plan / N` |
# | `linear.solve(geom, a=a, b=b).matrix` | `st.sinkhorn_solve(-C, t, row_marginals=a, col_marginals=b).plan` |
# | `Sinkhorn(min_iterations=L, max_iterations=L)` on `C.T` | `st.sinkhorn(-C, t, n_iters=L) / N` |
# | `Sinkhorn(threshold=...)` | `tolerance=...` |
# | `out.converged`, `out.errors`, `out.n_iters` | `solution.converged`, `.residual`, `.n_iters` |
# | `out.f`, `out.g` | `-solution.row_potential`, `-solution.col_potential`, up to constants |
# | `implicit_diff=None` | `gradient="unrolled"` |
# | `implicit_diff=ImplicitDiff()` | `gradient="implicit"`, or `sinkhorn_solve` |
# | `soft_sort.ranks(x, epsilon=e)` | `st.soft_rank(x, temperature=N * e)`, with the squashing below |
# | `soft_sort.sort(x, topk=k)` | `st.soft_sort(x, top_k=k)` |
# | `soft_sort.topk_mask(x, k=k, epsilon=e)` | `st.soft_top_k(x, k, temperature=e / 2)` of squashed values |
# | `tools.unreg.hungarian(geom)` | `st.matching(-C)` |

# %%
import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import jax.numpy as jnp
import numpy as np
import tensorflow as tf
from ott.geometry import geometry
from ott.problems.linear import linear_problem
from ott.solvers import linear
from ott.solvers.linear import sinkhorn
from ott.tools import soft_sort

import sinkhorn_tf as st

rng = np.random.default_rng(0)
N = 5
logits = rng.normal(size=[N, N]).astype("float32")

# %% [markdown]
# ## The limit of the iterations
#
# A cost is minus a logit, and `epsilon` is the {term}`temperature`. Measures sum to 1 in OTT; our plan
# of a square sums to N.

# %%
geom = geometry.Geometry(cost_matrix=-logits, epsilon=0.1)
out = jax.jit(lambda g: linear.solve(g, threshold=1e-6, max_iterations=10000))(geom)
print(out.matrix.sum(), out.converged, out.n_iters)

# %%
solution = st.sinkhorn_solve(logits, temperature=0.1)
print(tf.reduce_sum(solution.plan).numpy(), solution.n_iters.numpy())

# %%
np.testing.assert_allclose(N * out.matrix, solution.plan, atol=1e-5)

# %% [markdown]
# The {term}`potential`s have the opposite sign and another constant. Their differences agree:

# %%
f = np.asarray(out.f - out.f[0])
ours = -(solution.row_potential - solution.row_potential[0])
np.testing.assert_allclose(f, ours, atol=1e-4)

# %% [markdown]
# Set `epsilon` whenever you compare. By default OTT takes 0.05 times the standard deviation of the
# costs, and with `relative_epsilon="mean"` it multiplies `epsilon` by the mean cost. Our temperature
# is never scaled.

# %%
default = geometry.Geometry(cost_matrix=-logits)
print(default.epsilon, 0.05 * logits.std())
np.testing.assert_allclose(default.epsilon, 0.05 * logits.std(), rtol=1e-4)

# %% [markdown]
# ## A number of iterations, and its gradient
#
# One iteration of OTT updates the columns first and the rows last. Ours does the opposite, hence the
# transposes. With equal `min_iterations` and `max_iterations` OTT tests nothing, and with
# `implicit_diff=None` it differentiates the iterations.

# %%
weights = rng.normal(size=[N, N]).astype("float32")
solver = sinkhorn.Sinkhorn(
    threshold=0.0,
    inner_iterations=20,
    min_iterations=20,
    max_iterations=20,
    implicit_diff=None,
)


@jax.jit
@jax.value_and_grad
def weigh(x):
    transposed = geometry.Geometry(cost_matrix=-x.T, epsilon=0.1)
    plan = N * solver(linear_problem.LinearProblem(transposed)).matrix.T
    return jnp.vdot(plan, weights)


value, gradient = weigh(logits)
print(value)

# %%
x = tf.constant(logits)
with tf.GradientTape() as tape:
    tape.watch(x)
    ours = tf.reduce_sum(weights * st.sinkhorn(x, temperature=0.1, n_iters=20))
print(ours.numpy())

# %%
np.testing.assert_allclose(value, ours, atol=1e-4)
np.testing.assert_allclose(gradient, tape.gradient(ours, x), atol=1e-4)

# %% [markdown]
# ## Masses
#
# With the masses of both sides given, both libraries solve the same problem.

# %%
a = np.array([0.1, 0.2, 0.3, 0.3, 0.1], "float32")
b = np.array([0.5, 0.25, 0.25], "float32")
rectangle = rng.normal(size=[5, 3]).astype("float32")
geom = geometry.Geometry(cost_matrix=-rectangle, epsilon=0.1)
theirs = jax.jit(
    lambda g: linear.solve(g, a=a, b=b, threshold=1e-6, max_iterations=10000).matrix
)(geom)

# %%
ours = st.sinkhorn_solve(
    rectangle, temperature=0.1, row_marginals=a, col_marginals=b
).plan

# %%
np.testing.assert_allclose(theirs, ours, atol=1e-5)

# %% [markdown]
# Without masses the two differ: OTT shares the mass equally on both sides, so that every one of
# five items gives 1/5. Ours places the smaller side whole, and each member of the larger side at most
# once ({term}`slack`).
#
# ## Soft ranks
#
# Both transport the values to evenly spaced anchors ({cite:t}`cuturi2019`). OTT squashes the values by
# a sigmoid after whitening, ours scales them to [0, 1]. With our scaling in OTT, `epsilon` is our
# temperature divided by N.

# %%
values = np.array([3.0, 1.0, 2.0, 7.0], "float32")


@jax.jit
def rank(x):
    def scale(z):
        return (z - z.min()) / (z.max() - z.min())

    return soft_sort.ranks(
        x, epsilon=0.01, squashing_fun=scale, threshold=1e-5, max_iterations=10000
    )


theirs = rank(values)
print(theirs)

# %%
ours = st.soft_rank(values, temperature=4 * 0.01)
print(ours.numpy())

# %%
np.testing.assert_allclose(theirs, ours, atol=2e-3)

# %% [markdown]
# ## What differs
#
# - **Sign and masses.** OTT: costs, masses that sum to 1. Ours: logits, masses of 1 for each item.
# - **Stopping rule.** OTT tests the L1 norm of the errors at every tenth iteration, and stops below
#   `threshold=1e-3` or after `max_iterations=2000`. The plan of a default call is therefore coarse at low
#   temperatures: look at `out.converged`. Ours takes exactly `n_iters` iterations, or
#   stops each example by `tolerance`; {py:func}`sinkhorn_tf.sinkhorn_solve` takes Newton steps to 1e-6.
# - **Low temperatures.** `lse_mode=True` stays finite, `lse_mode=False` does not. After 100 iterations at
#   a temperature of 0.001 the largest error of OTT's plan was 2e-3, of ours 8e-6, both in float32
#   ({doc}`/results/operator`). OTT can lower `epsilon` step by step
#   (`epsilon_scheduler.Epsilon`), and `sinkhorn_solve` does so by itself.
# - **Padding.** OTT takes masses of 0, and its documentation says that the gradient of such a row is
#   NaN. Ours takes masks: padding has a gradient of 0, and may hold anything.
# - **Batches.** `jax.vmap` in OTT, leading dimensions in ours. Ours has temperatures, masses
#   and masks for each example.
# - **Gradients.** OTT's default is implicit, by a linear solver that you choose. With the first example
#   of this page and float32, that solver of version 0.6.0 stopped with an error by its default settings;
#   `ImplicitDiff` has ridges against it, of which 1e-5 was not enough here. Ours is `"unrolled"` by default in `sinkhorn`, and implicit in
#   `sinkhorn_solve`.
# - **dtype.** OTT computes in float32 unless `jax_enable_x64` is set. Ours follows the
#   logits, and `sinkhorn_solve` computes in float64 always.
# - **Devices.** Both run on a CPU and a GPU by XLA.
# - **What we do not have.** Geometries without a matrix (point clouds, grids, graphs), low-rank
#   solvers, unbalanced transport (`tau_a`, `tau_b`), Gromov-Wasserstein, barycenters, Sinkhorn divergences,
#   acceleration by momentum or Anderson's method, quantiles, neural and semi-discrete solvers.
# - **What OTT does not have.** Keras layers, masks, the slack of rectangles, dustbins, Gumbel noise,
#   matchings of rectangles or with a proof (its `hungarian` is that of optax, for squares), and
#   exported SavedModels.
