# %% [markdown]
# # Robust regression by differentiable sorting
#
# Least trimmed squares fits a line to the points with the smallest errors and ignores
# the rest. The loss sorts the squared errors, so that it needs a sort with a gradient:
# {py:func}`sinkhorn_tf.soft_sort`. Here 30% of the points are outliers, and the loss is
# the mean of the smallest 60% of the squared errors.

# %%
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf

import sinkhorn_tf as st

rng = np.random.default_rng(0)
x = np.linspace(0, 1, 40).astype("float32")
y = (1 + 2 * x + 0.1 * rng.normal(size=40)).astype("float32")
y[16::2] -= 3  # the outliers
kept = 24


def fit(trimmed, start):
    """Returns intercept and slope after 150 steps of Adam."""
    line = tf.Variable(start)
    optimizer = tf.keras.optimizers.Adam(0.1)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            errors = tf.abs(line[0] + line[1] * x - y)
            if trimmed:
                errors = st.soft_sort(errors, temperature=0.01)[:kept]
            loss = tf.reduce_mean(errors**2)
        optimizer.apply([tape.gradient(loss, line)], [line])

    for _ in range(150):
        step()
    return line.numpy()


squares = fit(trimmed=False, start=[0.0, 0.0])
trimmed = fit(trimmed=True, start=squares)

fig, ax = plt.subplots()
ax.plot(x, y, "o", color="C5", label="data")
ax.plot(x, squares[0] + squares[1] * x, color="C1", label="least squares")
ax.plot(x, trimmed[0] + trimmed[1] * x, color="C0", label="least trimmed squares")
ax.set(xlabel="x", ylabel="y")
ax.legend()
plt.show()
assert np.allclose(trimmed, [1, 2], atol=0.2) and squares[1] < 1

# %% [markdown]
# *The outliers pull the line of least squares down; the trimmed loss starts from that
# line, leaves them out, and finds intercept 1 and slope 2.* The sort alone is in
# {doc}`soft_sort`, its temperature in {doc}`/guides/temperature`.
