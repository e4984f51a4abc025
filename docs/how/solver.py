# %% [markdown]
# # The solver
#
# {py:func}`sinkhorn_tf.sinkhorn_solve` returns the limit of the Sinkhorn iterations, its potentials and
# its residual. It takes Newton steps along falling temperatures, 10 to 30 as a rule. This page explains
# why a dozen of them replace thousands of iterations. The code is in `sinkhorn_tf/_sinkhorn/newton.py`,
# `laplacian.py` and `solve.py`.

# %%
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf

import sinkhorn_tf as st

# %% [markdown]
# ## The problem is to maximise a concave function
#
# Let $f$ be potentials of the rows, here with the sign of the logits. Columns that sum to 1
# give the plan
#
# $$P_{ij} = \frac{\exp((X_{ij} + f_i) / t)}{\sum_k \exp((X_{kj} + f_k) / t)}.$$
#
# The limit is reached where the row sums $s = P 1$ are 1, too. There the concave function
#
# $$F(f) = \sum_i f_i - t \sum_j \log \sum_i \exp((X_{ij} + f_i) / t)$$
#
# is largest. Its gradient is $1 - s$. With respect to $f / t$, minus the second derivative of $F / t$ is
# $\mathrm{diag}(s) - P P^\top$. This matrix is the Laplacian of a graph whose vertices are the rows and
# whose weights are $P P^\top$.

# %%
logits = tf.random.stateless_normal([20, 20], seed=[0, 1], dtype=tf.float64)
x, t = logits.numpy(), 0.3


def conditional_plan(f):
    scores = (x + f[:, None]) / t
    return np.exp(scores - np.logaddexp.reduce(scores, axis=0))


def semi_dual(f):
    return f.sum() - t * np.logaddexp.reduce((x + f[:, None]) / t, axis=0).sum()


f = np.random.default_rng(0).normal(size=20)
step = 1e-5 * np.eye(20)
slopes = [(semi_dual(f + e) - semi_dual(f - e)) / 2e-5 for e in step]
plan = conditional_plan(f)
assert np.allclose(slopes, 1 - plan.sum(axis=1), atol=1e-7)
laplacian = np.diag(plan.sum(axis=1)) - plan @ plan.T
assert np.allclose(laplacian.sum(axis=1), 0)  # a constant changes nothing
assert np.linalg.eigvalsh(laplacian).min() > -1e-12  # F is concave

# %% [markdown]
# ## Why plain iterations are slow
#
# Near the limit a Sinkhorn iteration shrinks the error by a constant factor: the second largest
# eigenvalue $\lambda$ of $P P^\top$ ({cite:t}`knight2008`). At a low temperature the graph of the rows has few
# strong edges, $\lambda$ comes close to 1, and a residual of $\varepsilon$ takes about
# $\log(1 / \varepsilon) / (1 - \lambda)$ iterations.
#
# The next problem is the tight instance of {cite:t}`weed2018`, theorem 2, with n = 20, at
# the temperature $1 / (n \log n)$.

# %%
n = 20
tight = -st.entropic.tight_instance(n)
temperature = 1 / (n * np.log(n))
solution = st.sinkhorn_solve(tight, temperature, tolerance=1e-9)
plan = solution.plan.numpy()
rate = np.linalg.eigvalsh(plan @ plan.T)[-2]
expected = np.log(1e-9) / np.log(rate)
print(f"factor {rate:.5f}: about {expected:.0f} iterations to a residual of 1e-9")
print(f"Newton steps to it: {int(solution.n_iters)}")
assert solution.converged and solution.n_iters <= 30 < expected / 10

# %% [markdown]
# `max_iters` limits the Newton steps. A call that ran out of steps returns what it has, evaluated at the
# temperature you asked for, with `converged` False. So the residual after each step can be seen from
# outside. The curve of plain iterations is made by a loop in float64, which agrees with
# {py:func}`sinkhorn_tf.sinkhorn`.

# %%
kernel, v = np.exp(tight / temperature), np.ones(n)
plain = []
n_plain = int(min(2 * expected, 200_000))
for iteration in range(n_plain):
    u = 1 / (kernel @ v)
    v = 1 / (kernel.T @ u)
    plain.append(np.abs(u * (kernel @ v) - 1).max())
    if iteration == 99:
        same = st.sinkhorn(tight, temperature, n_iters=100, jit_compile=False)
        assert np.allclose(u[:, None] * kernel * v, same, rtol=0, atol=1e-9)
    if plain[-1] < 1e-9:
        break

counts = [1, 2, 4, 6, 8, 10, 12, 14]
newton = [
    float(st.sinkhorn_solve(tight, temperature, max_iters=k, tolerance=1e-12).residual)
    for k in counts
]
plt.loglog(np.arange(1, len(plain) + 1), plain, label="Sinkhorn iterations")
plt.loglog(
    counts, np.maximum(newton, 1e-16), "o-", label="Newton steps of sinkhorn_solve"
)
plt.xlabel("iterations or steps")
plt.ylabel("residual")
plt.legend()
plt.show()

# %% [markdown]
# *The tight instance with n = 20. The first Newton steps are taken at higher temperatures, where they
# gain little at the requested one. The last steps square the error.*

# %%
measured = (plain[-1] / plain[len(plain) // 2]) ** (
    1 / (len(plain) - 1 - len(plain) // 2)
)
assert abs(np.log(measured) / np.log(rate) - 1) < 0.05  # the factor is the eigenvalue
assert newton[-1] < 1e-9

# %% [markdown]
# A Newton step costs a factorisation, of the order of $N^3$ operations, where an iteration
# costs $N^2$. Measured on two cores, for this problem with n = 100, the solver takes 8.8 ms to a residual of
# 5e-9, and plain iterations 374 ms to 1e-3 ({doc}`/results/operator`).
#
# ## The path of falling temperatures
#
# Newton's method is good only close to the solution. From $f = 0$ at a low temperature the plan is near
# 0 and 1 everywhere, and second derivatives say nothing about what lies far away. So an example starts
# at a temperature of the order of its logits, half their spread, where a step or two suffice.
#
# One factorisation then gives two directions: the Newton step, and the tangent $df / dt$ of the path of
# solutions. An example that is close to its path, with row sums within 0.4 of 1, follows both to a lower
# temperature. It keeps the fall if the row sums there are within 0.5 of 1, and tries half of it
# otherwise. An example that is not close takes a Newton step at its temperature, halved until the
# function's slope along the step says that the maximum was not passed by far. The factor of the fall
# doubles with each success.
#
# The number of steps so grows about as the logarithm of the temperature, where that of plain
# iterations grows much faster.

# %%
falling = np.geomspace(1, 0.001, 7)
cold = st.sinkhorn_solve(logits, tf.constant(falling))
for temperature, steps in zip(falling, cold.n_iters.numpy(), strict=True):
    print(f"t = {temperature:.4f}: {steps} steps")
assert np.all(cold.converged) and np.max(cold.n_iters) <= 30

# %% [markdown]
# Each temperature is an example of a batch here. The batch runs until its slowest example is done; an
# example that is done does not change any more.
#
# ## Laplacian systems, close to a permutation
#
# The diagonal of $\mathrm{diag}(s) - P P^\top$ is a sum of off-diagonal weights. Close to a
# permutation these weights are tiny, while $s_i$ and $(P P^\top)_{ii}$ are both near 1: their difference
# keeps no digit. So `laplacian.py` reads the off-diagonal weights alone, and sums them for the
# diagonal. It scales the system to a unit diagonal, and gives the direction of constants, along which
# the function is flat, a weight of its own. Then Cholesky's factorisation applies.

# %%
frozen = st.sinkhorn_solve(4 * np.eye(4), temperature=0.1).plan.numpy()
products = frozen @ frozen.T
by_difference = frozen.sum(axis=1) - np.diag(products)
by_sum = products.sum(axis=1) - np.diag(products)
off_diagonal = (products * (1 - np.eye(4))).sum(axis=1)
print("difference:", by_difference[0], " sum of weights:", off_diagonal[0])
assert np.all(off_diagonal > 0) and np.all(off_diagonal < 1e-15)
assert np.abs(by_difference / off_diagonal - 1).max() > 0.1

# %% [markdown]
# Under XLA on a CPU a Cholesky factorisation becomes many small loops. So eager calls run as a plain
# graph by default, and up to N = 25 a compiled call eliminates by dense steps instead.
#
# ## First duals for sorting
#
# {py:func}`sinkhorn_tf.soft_sort` and {py:func}`sinkhorn_tf.soft_rank` solve the limit for the logits
# $X_{ij} = x_i a_j$, with values $x$ and ascending anchors $a$. Their best matching is the order of the
# values, and optimal potentials at temperature 0 are known in closed form. With the values in order,
#
# $$f_{i+1} - f_i = -(x_{i+1} - x_i) \frac{a_{i+1} + a_i}{2},$$
#
# where any factor from $a_i$ to $a_{i+1}$ would be optimal. The middle is the limit of the
# potentials as $t \to 0$. So the solver starts at the lowest temperature at once, if these potentials
# bring the row sums near, and the path is not needed.

# %%
anchors = np.linspace(0, 1, 12)
values = anchors**1.3
scores = 24 * values[:, None] * anchors
middles = (anchors[1:] + anchors[:-1]) / 2
duals = np.concatenate([[0], -np.cumsum(24 * np.diff(values) * middles)])
# The columns choose the rows in the order of their values.
assert np.array_equal((scores + duals[:, None]).argmax(axis=0), np.arange(12))

low = st.sinkhorn_solve(scores, temperature=0.02, tolerance=1e-10)
potentials = -low.row_potential.numpy()
error = np.abs(potentials - potentials[0] - duals).max()
print(
    f"largest difference of potentials at t = 0.02: {error:.4f} of {np.ptp(duals):.1f}"
)
assert low.converged and error < 0.01

# %% [markdown]
# ## Derivatives
#
# The derivative of the solution is that of the limit. It comes from the equations of the marginals, not from
# the steps, by the same kind of system (`implicit_gradient.py`). The potentials and the temperature
# have theirs as well. A derivative can be differentiated again.


# %%
def spread_of_potential(temperature):
    return tf.reduce_sum(
        st.sinkhorn_solve(logits, temperature, tolerance=1e-11).row_potential ** 2
    )


warm = tf.constant(0.3, tf.float64)
with tf.GradientTape() as tape:
    tape.watch(warm)
    value = spread_of_potential(warm)
slope = tape.gradient(value, warm)
difference = (
    spread_of_potential(warm + 1e-4) - spread_of_potential(warm - 1e-4)
) / 2e-4
print(f"derivative {slope:.6f}, finite difference {difference:.6f}")
assert abs(slope - difference) < 1e-4 * abs(difference)

# %% [markdown]
# ## Where there is no limit
#
# If the forbidden pairs leave no permutation, there is no limit, and the ascent of $F$ proves it: the
# potentials of too many rows rise above those of the columns that these rows can reach (Hall's theorem). Such
# an example stops, its numbers stay finite, and `converged` is False. An example with NaN is
# NaN throughout.

# %%
inf = np.inf
crowded = [
    [0.0, -inf, -inf],
    [1.0, -inf, -inf],
    [0.0, 0.0, 0.0],
]  # two items for one position
three = st.sinkhorn_solve(
    tf.constant([crowded, np.eye(3), np.full((3, 3), np.nan)], tf.float64)
)
print("converged:", three.converged.numpy())
assert three.converged.numpy().tolist() == [False, True, False]
assert np.all(np.isfinite(three.plan[0])) and np.all(np.isnan(three.plan[2]))
