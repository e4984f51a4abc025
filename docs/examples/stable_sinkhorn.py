# %% [markdown]
# # Sinkhorn without NaN at low temperatures
#
# A Sinkhorn that exponentiates first and normalises afterwards gives NaN where a logit
# divided by the temperature passes 88, since `exp(89)` is no float32 any more; sums
# that round to 0 do the same. {py:func}`sinkhorn_tf.sinkhorn` has finite plans and
# gradients at every temperature. Here is the gradient of both.

# %%
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf

import sinkhorn_tf as st


def naive(logits, temperature, n_iters=20):
    plan = tf.exp(logits / temperature)
    for _ in range(n_iters):
        plan /= tf.reduce_sum(plan, axis=-1, keepdims=True)
        plan /= tf.reduce_sum(plan, axis=-2, keepdims=True)
    return plan


@tf.function
def size_of_gradient(operator, logits, temperature):
    with tf.GradientTape() as tape:
        tape.watch(logits)
        score = tf.linalg.trace(operator(logits, temperature))
    return tf.norm(tape.gradient(score, logits))


logits = 5 * tf.random.stateless_normal([10, 10], seed=[0, 1])
temperatures = np.geomspace(0.01, 10, 40).astype("float32")
sizes = {
    f.__name__: [size_of_gradient(f, logits, tf.constant(t)) for t in temperatures]
    for f in [st.sinkhorn, naive]
}

fig, ax = plt.subplots()
ax.loglog(temperatures, sizes["sinkhorn"], lw=5, color="C5", label="st.sinkhorn")
ax.loglog(temperatures, sizes["naive"], color="C1", label="exp first, then normalise")
ax.set(xlabel="temperature", ylabel="norm of the gradient")
ax.legend()
plt.show()
assert np.isfinite(sizes["sinkhorn"]).all() and np.isnan(sizes["naive"]).any()

# %% [markdown]
# *The thin line ends where the naive gradient becomes NaN.* {doc}`/how/operator` tells
# how the iterations are kept stable, {doc}`sinkhorn_iterations` how many of them a plan
# needs.
