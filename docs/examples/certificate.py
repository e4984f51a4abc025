# %% [markdown]
# # Assignment with a certificate of optimality
#
# {py:func}`sinkhorn_tf.certified_matching` returns a matching, its value, and an upper
# bound that no other matching can exceed. The gap between them is exactly 0 where the
# matching is proven to be the best, without a tolerance. A soft permutation comes close
# to the same value as its temperature falls.

# %%
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf

import sinkhorn_tf as st

logits = tf.random.stateless_normal([20, 20], seed=[0, 1])
perm, value, upper_bound, gap = st.certified_matching(logits)
print(f"value {value:.3f}, upper bound {upper_bound:.3f}, gap {gap}")
assert gap == 0


def value_of(plan):
    return tf.reduce_sum(plan * logits, axis=[-2, -1])


temperatures = [1.0, 0.3, 0.1]
soft = [value_of(st.sinkhorn_solve(logits, t).plan) for t in temperatures]
uniform = st.permutations.sample([5000], 20, seed=0)
random = value_of(st.permutations.to_matrix(uniform))

fig, ax = plt.subplots()
ax.hist(random, bins=40, color="C5", label="5,000 random permutations")
for i, (t, v) in enumerate(zip(temperatures, soft, strict=True)):
    ax.axvline(v, color=f"C{i + 1}", ls="--", label=f"soft, temperature {t}")
ax.axvline(upper_bound, color="C0", lw=3, label="matching = upper bound")
ax.set(xlabel="sum of the matched logits", ylabel="permutations")
ax.legend(loc="lower center", bbox_to_anchor=[0.5, 1], ncols=2)
plt.show()

# %% [markdown]
# *The matching is far beyond all random permutations, and soft permutations come close
# to it from below.*

# %%
assert np.all(np.diff(soft) > 0) and soft[-1].numpy() <= value.numpy()
assert tf.reduce_max(random).numpy() < value.numpy()

# %% [markdown]
# Which temperature is cold enough for a wanted accuracy, by proof, is in
# {doc}`/guides/temperature`. The proof of the gap is in {doc}`/how/matching`.
