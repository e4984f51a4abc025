# %% [markdown]
# # A latent permutation in twenty lines
#
# Eight thermometers stand at eight known places, but somebody has mixed up the cables: reading
# number $i$ belongs to an unknown place. The thermometers share an unknown gain and offset.
# A {term}`permutation <hard permutation>` that nobody observes is called *latent*. This guide finds it,
# together with the regression, and says how sure the answer is.
#
# {py:class}`sinkhorn_tf.distributions.GumbelSinkhorn` is the distribution that is fitted, as in
# {cite:t}`mena2018`.

# %%
import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf

import sinkhorn_tf as st

# %% [markdown]
# ## The data
#
# `temperatures[t, j]` is the true temperature of place $j$ at time $t$. `readings[t, i]` is the reading
# at cable $i$, which belongs to place `cables[i]`.

# %%
rng = np.random.default_rng(0)
n, times, noise = 8, 4, 0.4
temperatures = rng.normal(size=[times, n]).astype(np.float32)
cables = rng.permutation(n)
readings = 1.5 * temperatures[:, cables] - 0.5 + noise * rng.normal(size=[times, n])
readings = readings.astype(np.float32)

# %% [markdown]
# ## The model
#
# With a known order this is a regression with two weights. The order makes it a sum over $8! = 40{,}320$
# permutations, so a distribution $q$ over permutations is fitted too, by the *evidence lower bound*
#
# $$\log p(\text{readings}) \ge
#   E_q[\log p(\text{readings} \mid P)] - \mathrm{KL}(q \,\|\, \text{prior}).$$
#
# - The first term is the *fit*. `scores[i, j]` is the log-likelihood of reading $i$ if its place is $j$, so the
#   log-likelihood of a permutation is the sum of the pairs that it contains.
# - The second term is the *price of being sure*. The prior is uniform, and the divergence grows as $q$ leaves
#   it. Without this term $q$ would collapse to the single best permutation, right or wrong.
#
# Gumbel-Sinkhorn makes both differentiable.
# {py:meth}`~sinkhorn_tf.distributions.GumbelSinkhorn.sample_mixture` draws noise, and returns for each noise
# the expected permutation matrix, `plans`, and an estimate of the divergence, which is never too small
# on average. These are the twenty lines:


# %%
def scores(gain, offset):
    """The log-likelihood of each pair of a reading and a place, up to a constant."""
    errors = readings[:, :, None] - (gain * temperatures + offset)[:, None, :]
    return -tf.reduce_sum(errors**2, axis=0) / (2 * noise**2)


logits = tf.Variable(tf.random.stateless_normal([n, n], [0, 0], stddev=0.1))
gain, offset = tf.Variable(1.0), tf.Variable(0.0)
weights = [logits, gain, offset]
optimizer = keras.optimizers.Adam(0.05)


@tf.function
def step(seed):
    """One step uphill on the evidence lower bound."""
    with tf.GradientTape() as tape:
        q = st.distributions.GumbelSinkhorn(logits, temperature=0.5)
        sample = q.sample_mixture(100, seed)
        fit = tf.reduce_sum(sample.plans * scores(gain, offset), axis=[1, 2])
        loss = sample.divergence - tf.reduce_mean(fit)
    gradients = tape.gradient(loss, weights)
    optimizer.apply_gradients(zip(gradients, weights, strict=True))
    return -loss


bounds = [float(step(tf.constant([1, k]))) for k in range(600)]
print(f"gain {gain.numpy():.2f}, offset {offset.numpy():.2f}")

# %% [markdown]
# Beyond 16 items the mixture costs too much. Then take soft samples, `q.sample(20, seed)`, in place of
# the plans, and the closed form `q.kl_to_prior(0.5)` of {cite:t}`mena2018` as the divergence. It is that of the
# noise, which bounds that of the permutations, and it is several times larger:

# %%
q = st.distributions.GumbelSinkhorn(logits, temperature=0.5)
of_mixture = float(q.sample_mixture(1000, seed=0).divergence)
of_noise = float(q.kl_to_prior(0.5, tight=True))
print(f"of the mixture {of_mixture:.1f} nats, of the noise {of_noise:.1f} nats")

# %% [markdown]
# ## The answer, and how sure it is
#
# `mode` is the most likely matching. The share of each pair in hard samples says how sure it is.

# %%
found = q.mode().numpy()
hard = st.permutations.to_matrix(q.sample_matching(2000, seed=0))
fitted = tf.reduce_mean(hard, axis=0).numpy()
print(f"{np.sum(found == cables)} of {n} cables are right")

# %% [markdown]
# With so few items the posterior is known exactly: given the gain and the offset it is the
# Boltzmann distribution of the scores, and {py:class}`sinkhorn_tf.distributions.BoltzmannPermutations`
# sums over all 40,320 permutations by a dynamic program.

# %%
exact = st.distributions.BoltzmannPermutations(scores(gain, offset))
marginals = exact.marginals().numpy()
figure, panels = plt.subplots(1, 2, figsize=(6.4, 3.0))
for axes, plan, title in zip(
    panels, (fitted, marginals), ("fitted", "exact"), strict=True
):
    axes.imshow(plan, vmin=0, vmax=1)
    axes.plot(cables, np.arange(n), "o", fillstyle="none", color="C1")
    axes.set(title=title, xlabel="place", ylabel="cable")
plt.show()

# %% [markdown]
# *The probability of each pair of a cable and a place; circles mark the true places.*
#
# Six cables are certain and right. For cables 0 and 7 the readings cannot tell: the mode has them
# swapped, with a probability of only .6, and the fitted distribution knows that.
#
# How good is the bound? The evidence, given the gain and the offset, is
# `log_partition` less the logarithm of the number of permutations:

# %%
evidence = float(exact.log_partition() - tf.math.lgamma(n + 1.0))
last = np.mean(bounds[-50:])
print(f"evidence {evidence:.1f}, its lower bound {last:.1f}")

# %% [markdown]
# ## The same in Keras
#
# The layer {py:class}`sinkhorn_tf.GumbelSinkhorn` adds the divergence to the losses of a model if it has a
# `kl_prior_temperature`. It draws noise while training. For samples at inference call the layer once more,
# `latent(logits, sample=True)`, and make a second model of the result. The loss of the model must be a sum over
# the example, as below: Keras' `"mse"` is a mean, against which the divergence would weigh too much. Here
# a network sees the readings of one day and has to bring them into the order of the places,
# in the manner of an autoencoder: nobody tells it the permutation.

# %%
keras.utils.set_random_seed(0)
places = np.linspace(-1, 1, 6, dtype=np.float32)
shuffled = rng.permuted(np.tile(places, (4096, 1)), axis=1)
shuffled += 0.02 * rng.normal(size=shuffled.shape)

values = keras.Input([6, 1])
x = keras.layers.Dense(32, activation="relu")(values)
latent = st.GumbelSinkhorn(temperature=1.0, kl_prior_temperature=1.0, seed=0)
plan = latent(keras.layers.Dense(6)(x))
restored = st.Restore()([plan, values])
model = keras.Model(values, restored)


def negative_log_likelihood(expected, restored):
    """That of Gaussian noise of standard deviation .02, up to a constant."""
    return tf.reduce_sum((expected - restored) ** 2, axis=[1, 2]) / (2 * 0.02**2)


model.compile(keras.optimizers.Adam(0.01), loss=negative_log_likelihood)
expected = np.tile(places[:, None], (len(shuffled), 1, 1))
history = model.fit(shuffled[..., None], expected, batch_size=128, epochs=10, verbose=0)
print(f"loss {history.history['loss'][0]:.0f} -> {history.history['loss'][-1]:.0f}")
sorted_values = model.predict(shuffled[:3, :, None], verbose=0)[..., 0]
print(np.round(sorted_values[0], 1))

# %% [markdown]
# ## Your own likelihood
#
# Only `scores` knows about thermometers. Replace it by the log-likelihood of a pair in your problem. If
# your likelihood isn't a sum over pairs, compute it from soft samples, `q.sample(k, seed)`, in place
# of the sum, and take the divergence of the noise, `q.kl_to_prior(0.5)`. If it needs hard permutations, such as a count or a program that isn't
# differentiable, use {py:class}`sinkhorn_tf.distributions.GumbelMatching` and its `expected_loss`.
#
# {doc}`/results/latent_matching` measures how far such fits are from the exact posterior.

# %%
assert np.array_equal(found, exact.mode()) and np.sum(found == cables) == 6
assert np.abs(fitted - marginals).max() < 0.05
assert abs(gain.numpy() - 1.5) < 0.2 and abs(offset.numpy() + 0.5) < 0.2
assert evidence - 1 < last < evidence and of_mixture < of_noise
assert np.abs(fitted.sum(axis=0) - 1).max() < 1e-5
assert np.abs(sorted_values - places).max() < 0.2
