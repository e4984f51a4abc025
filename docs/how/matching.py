# %% [markdown]
# # The matching and its proofs
#
# {py:func}`sinkhorn_tf.matching` finds the permutation with the largest sum of logits, in plain
# TensorFlow operations, for a whole batch at once. {py:func}`sinkhorn_tf.certified_matching` proves the
# answer. This page explains the stages of the search and the proof. The code is in
# `sinkhorn_tf/_matching/`, and starts at `matching.py`.

# %%
import itertools
from fractions import Fraction

import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import linear_sum_assignment, linprog

import sinkhorn_tf as st

logits = np.random.default_rng(7).normal(size=(6, 6)).round(1)

# %% [markdown]
# ## Duals bound every matching
#
# Let $f_i$ and $g_j$ be numbers with $f_i + g_j \ge X_{ij}$ for all pairs. Each permutation $\sigma$ takes
# one entry from each row and column, so
#
# $$\sum_i X_{i\sigma(i)} \le \sum_i f_i + \sum_j g_j.$$
#
# The numbers are the duals of the assignment problem (linear programming duality). The *reduced cost* of a
# pair is $f_i + g_j - X_{ij} \ge 0$. A pair of reduced cost 0 is *tight*. If all pairs of a
# permutation are tight, its sum equals the bound, so the permutation is the best.
#
# The column duals are enough: the smallest $f$ that goes with $g$ is
# $f_i = \max_j (X_{ij} - g_j)$. SciPy's solver of linear programs returns duals:


# %%
def duals_of_program(x):
    """Optimal column duals, at a vertex of the set of all optimal duals."""
    n = len(x)
    sums = np.concatenate(
        [np.kron(np.eye(n), np.ones(n)), np.kron(np.ones(n), np.eye(n))]
    )
    return -linprog(-x.ravel(), A_eq=sums, b_eq=np.ones(2 * n)).eqlin.marginals[n:]


def reduced_costs(x, g):
    return (x - g).max(axis=1)[:, None] + g - x


perm, value, upper_bound, gap = (
    part.numpy() for part in st.certified_matching(logits, jit_compile=False)
)
costs = reduced_costs(logits, duals_of_program(logits))

fig, ax = plt.subplots(figsize=(4.4, 3.6))
image = ax.imshow(costs)
for i, j in np.ndindex(costs.shape):
    bright = costs[i, j] > costs.max() / 2
    ax.text(
        j,
        i,
        f"{costs[i, j]:.1f}",
        ha="center",
        va="center",
        color="black" if bright else "white",
    )
for i, j in enumerate(perm):
    ax.add_patch(
        plt.Rectangle(
            (j - 0.46, i - 0.46), 0.92, 0.92, fill=False, edgecolor="C1", linewidth=2.5
        )
    )
ax.set_xlabel("position j")
ax.set_ylabel("item i")
fig.colorbar(image, label="reduced cost (units of the logits)")
plt.show()

# %% [markdown]
# *Reduced costs of a 6 x 6 matrix of logits. The frames are the matching: all its entries are 0.*

# %%
best = max(itertools.permutations(range(6)), key=lambda p: logits[range(6), p].sum())
assert perm.tolist() == list(best)
assert costs.min() > -1e-12 and np.allclose(costs[range(6), perm], 0)

# %% [markdown]
# ## First a guess of the duals
#
# The potentials of the Sinkhorn operator tend to optimal duals as the temperature falls. So the search
# starts with a few cold Sinkhorn iterations: five at each of three temperatures, 0.2, 0.05 and 0.01 times
# the mean distance of the logits from the best of their column, in float32 (`warm_start.py`). The test
# of convergence is left out, since any duals are a valid start, and close ones save work.
#
# How good is the guess? The next cell counts the rows that get their best column, and so a
# position, before any search.


# %%
def warm_duals(x):
    """The annealed iterations in NumPy."""
    top = x.max(axis=0)
    unit = (top - x).mean()
    scores, b = (x - top) / unit, np.zeros(len(x))
    for temperature in (0.2, 0.05, 0.01):
        for _ in range(5):
            a = -temperature * np.logaddexp.reduce((scores + b) / temperature, axis=1)
            b = -temperature * np.logaddexp.reduce(
                (scores + a[:, None]) / temperature, axis=0
            )
    return top - unit * b


def share_placed(x, g):
    return len(set((x - g).argmax(axis=1))) / len(x)


def bound(x, g):
    return g.sum() + (x - g).max(axis=1).sum()


many = np.random.default_rng(0).normal(size=(64, 36, 36))
optimum = np.array([x[linear_sum_assignment(x, maximize=True)].sum() for x in many])
for name, duals in (
    ("column maxima", lambda x: x.max(axis=0)),
    ("warm start", warm_duals),
):
    share = np.mean([share_placed(x, duals(x)) for x in many])
    excess = np.mean([bound(x, duals(x)) for x in many] - optimum)
    print(
        f"{name}: {share:.0%} of the rows placed, bound {excess:.2f} above the best sum"
    )
assert share > 0.9 and excess < 0.5

# %% [markdown]
# ## Then a search for the rest
#
# A row that is not placed searches for a shortest *augmenting path*: from the row to a column, from this
# column to the row that has it, and so on to a free column, with reduced costs as lengths. Along the path
# each row takes the next column. The duals move by the lengths of the paths, so that they remain valid.
# Each path places one more row, so the search ends. If no path is left, no permutation exists, and
# the answer is -1.
#
# There are three forms of the search, because XLA and plain graphs pay for different things.
#
# | where | form | file |
# | --- | --- | --- |
# | at most 9 columns (6 under XLA) | column maxima if they form a permutation; otherwise dynamic programming over sets of columns ({cite:t}`heldkarp1962`) | `held_karp.py` |
# | plain graphs, N up to 128 | sweeps: shortest paths from all unplaced rows at once, in rounds over all edges | `sweeps.py` |
# | XLA, larger N, rectangles | {cite:t}`jonker1987`: one row scanned in a step, all examples in lock step | `augmenting_paths.py` |
#
# A plain graph pays for each operation, whatever its size. So sweeps take few large operations. XLA
# pays for the arithmetic, and its loop steps cost little. So there an example is a small machine that
# advances by itself until it is done.
#
# All forms return a best matching.

# %%
plain = st.matching(many, jit_compile=False).numpy()
compiled = st.matching(many, jit_compile=True).numpy()
few = np.random.default_rng(1).normal(size=(64, 8, 8))
by_sets = st.matching(few, jit_compile=False).numpy()


def sums(x, perms):
    return np.take_along_axis(x, perms[..., None], axis=2).sum(axis=(1, 2))


assert np.allclose(sums(many, plain), optimum, rtol=0, atol=1e-9)
assert np.allclose(sums(many, compiled), optimum, rtol=0, atol=1e-9)
scipy_sums = [x[linear_sum_assignment(x, maximize=True)].sum() for x in few]
assert np.allclose(sums(few, by_sets), scipy_sums, rtol=0, atol=1e-12)

# %% [markdown]
# ## Rectangles, masks, and pairs that are not worth it
#
# An example with more items than positions is transposed, so that each row is placed
# (`rectangular.py`). Some columns then stay free. The bound holds if $g_j \ge 0$ for all columns, since
# a matching need not take them, and is reached if $g_j = 0$ for the free ones. What a mask leaves out is
# forbidden. {py:func}`sinkhorn_tf.partial_matching` requires the same of the rows: its duals are at least
# 0, and 0 for what stays unmatched.

# %%
tall = np.random.default_rng(2).normal(size=(10, 7))
rectangle = st.certified_matching(tall, jit_compile=False)
assert np.sum(rectangle.perm.numpy() == -1) == 3 and rectangle.gap == 0
assert np.isclose(
    rectangle.value, tall[linear_sum_assignment(tall, maximize=True)].sum()
)
partial = st.partial_matching(
    tall, unmatched_score=0.5, certified=True, jit_compile=False
)
assert partial.gap == 0
assert np.all(tall[partial.perm >= 0, partial.perm.numpy()[partial.perm >= 0]] > 0.5)

# %% [markdown]
# ## The certificate
#
# The sums of the duals and of the matching should be equal. In float arithmetic they seldom are, and the
# computed bound may even be below the computed value:

# %%
differences = np.array([bound(x, duals_of_program(x)) for x in few]) - scipy_sums
print(
    "bound below value:",
    np.mean(differences < 0),
    " largest difference:",
    abs(differences).max(),
)
assert np.any(differences < 0) and abs(differences).max() < 1e-12

# %% [markdown]
# A tolerance would hide this, and prove nothing. The certificate compares within rows instead. Let
# $\mathrm{fl}$ be the rounding to float64, and suppose that in each row $i$ the matched column
# $\sigma(i)$ is the *strict* maximum of the rounded differences:
#
# $$\mathrm{fl}(X_{i\sigma(i)} - g_{\sigma(i)}) > \mathrm{fl}(X_{ij} - g_j) \quad \text{for all } j \ne
# \sigma(i).$$
#
# Rounding is monotone: from $\mathrm{fl}(x) > \mathrm{fl}(y)$ follows $x > y$. So the inequalities
# hold exactly, without rounding. Their sum over the rows says that any other permutation has a smaller sum of
# $X_{ij} - g_j$. Each permutation subtracts the same $\sum_j g_j$, so any other has a smaller sum
# of $X_{ij}$. The proof needs no tolerance, and does not ask where $g$ came from. Where it succeeds,
# `gap` is exactly 0 and `upper_bound` is `value`.
#
# The proof asks for duals that are tight on the matched pairs alone. A search ends with others: duals
# at a vertex of the set of optimal duals, which are tight on more pairs. `interior_duals.py` moves them
# to the interior of the set of optimal duals. It adds distances in the graph of matched pairs, whose
# edges are the reduced costs of putting one pair's row into another's column. If the matching is
# unique, all other pairs then have some slack. This costs up to $N^3$ operations, and is done for those
# examples alone that need it.
#
# The next picture has both. The limit of the Sinkhorn operator at a low temperature supplies duals
# inside: the reduced cost of a pair is $-t \log P_{ij}$.

# %%
potentials = st.sinkhorn_solve(logits, temperature=0.02)
inside = potentials.col_potential.numpy()
fig, axes = plt.subplots(1, 2, figsize=(6.4, 3.4), sharey=True)
panels = (("duals of a vertex", duals_of_program(logits)), ("duals inside", inside))
n_tight = []
for ax, (title, g) in zip(axes, panels, strict=True):
    tight = reduced_costs(logits, g) < 1e-9
    n_tight.append(tight.sum())
    for i, j in np.argwhere(tight):
        matched = perm[i] == j
        ax.plot(
            [0, 1],
            [i, j],
            color="C1" if matched else "C0",
            linewidth=3 if matched else 1.2,
        )
    ax.plot(np.zeros(6), np.arange(6), "o", color="C2")
    ax.plot(np.ones(6), np.arange(6), "s", color="C3")
    ax.set_title(f"{title}: {tight.sum()} tight pairs")
    ax.set_xticks([0, 1], ["item i", "position j"])
    ax.set_xlim(-0.15, 1.15)
axes[0].invert_yaxis()
axes[0].set_ylabel("number of item or position")
plt.show()

# %% [markdown]
# *The tight pairs of the same matrix, thick where matched. Both duals are optimal. On the right
# each item has one tight pair, and the certificate needs no more.*

# %%
differences = logits - inside
rivals = (differences >= differences[range(6), perm][:, None]).sum(axis=1)
assert np.all(rivals == 1)  # the strict maxima of the proof
assert n_tight[0] > n_tight[1] == 6
assert gap == 0 and upper_bound == value

# The same in rational arithmetic, over all 720 permutations.
exact = [[Fraction(float(entry)) for entry in row] for row in logits]
ranking = sorted(
    itertools.permutations(range(6)),
    key=lambda p: -sum(exact[i][j] for i, j in enumerate(p)),
)
first, second = (sum(exact[i][j] for i, j in enumerate(p)) for p in ranking[:2])
assert ranking[0] == tuple(perm) and first > second

# %% [markdown]
# ## Ties, and why equal rows leave a gap
#
# If two rows are equal, their items can be exchanged, and two matchings are equally good. Neither is the
# strict best, so a strict comparison cannot prove one. The same holds for integer logits with ties. Then
# `upper_bound` is the sum of the duals and an allowance for the rounding of the sums, of the order of
# $N 2^{-52}$ times the sum of magnitudes. The bound is still proven; it only does not meet the value.
#
# Which one of the best matchings you get may depend on the form of the search, so XLA and plain graphs may
# differ. Each is deterministic.

# %%
twins = many[:1].copy()
twins[0, 1] = twins[0, 0]
unique, tied = (st.certified_matching(x, jit_compile=False) for x in (many[:1], twins))
print("gap without ties:", unique.gap.numpy(), " with equal rows:", tied.gap.numpy())
assert unique.gap == 0 and 0 < tied.gap < 1e-9

integers = np.random.default_rng(0).integers(0, 3, size=(64, 36, 36))
one, other = (st.matching(integers, jit_compile=jit).numpy() for jit in (False, True))
print(
    "equal sums:", np.array_equal(sums(integers, one), sums(integers, other)), end="; "
)
print("equal permutations:", np.mean(np.all(one == other, axis=1)))
assert np.array_equal(sums(integers, one), sums(integers, other))

# %% [markdown]
# How often is the proof complete? For normal logits almost always, as ties have probability 0.

# %%
certified = st.certified_matching(many, jit_compile=False)
print("proven:", np.mean(certified.gap == 0))
assert np.array_equal(certified.perm, plain)
assert np.mean(certified.gap == 0) > 0.95
assert np.all(certified.upper_bound >= certified.value)

# %% [markdown]
# {doc}`/results/matching` has times, and the share of proven examples on the logits of trained networks.
