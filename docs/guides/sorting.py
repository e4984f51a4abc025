# %% [markdown]
# # Sorting in ten lines
#
# You train a network that sorts five numbers, look at its soft permutations, make them
# hard, measure them, and sort lists of different length. The network sees examples of
# sorted lists only; nobody tells it the permutations.
#
# A seed first, so that each run prints the same.

# %%
import keras

keras.utils.set_random_seed(0)

# %% tags=["ten-lines"]
import keras

import sinkhorn_tf as st

numbers = keras.Input((5, 1), name="numbers")
x = keras.layers.Dense(32, activation="relu")(numbers)
logits = keras.layers.Dense(5)(x)  # [batch, item, position]
permutation = st.SinkhornLayer(temperature=0.1)(logits)
model = keras.Model(numbers, st.Restore()([permutation, numbers]))

examples = keras.random.uniform((4096, 5, 1), seed=0)
model.compile(keras.optimizers.Adam(0.01), loss="mse")
model.fit(
    examples, keras.ops.sort(examples, axis=1), batch_size=128, epochs=20, verbose=0
)
print(model.predict(examples[:1], verbose=0)[0, :, 0])  # ascending

# %% [markdown]
# ## What each line does
#
# - `Input((5, 1))`: each example is a list of five items, and an item is one number.
# - `Dense(32)` and `Dense(5)` act on each number alone, with the same weights. They
#   turn a number into five {term}`logits`, its scores for the five positions. The
#   network never compares two numbers.
# - {py:class}`sinkhorn_tf.SinkhornLayer` compares them. It turns the 5 x 5 logits of a
#   list into a soft permutation, the {term}`plan`: each row says how an item is shared
#   out among positions, and each row and column sums to 1, up to the error that 20
#   iterations leave in the rows.
# - {py:class}`sinkhorn_tf.Restore` multiplies the numbers by the transposed plan, so
#   that each number goes where the plan puts it.
# - `compile` and `fit` are those of Keras. The loss compares the restored list with the
#   sorted one, and its gradient reaches the dense layers through all Sinkhorn
#   iterations.
#
# Now the same on 1,000 lists that the network has not seen. The error is the mean
# distance between a restored and a true number; an untouched list is the baseline.

# %%
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf

test = keras.random.uniform((1000, 5, 1), seed=1)
target = keras.ops.sort(test, axis=1)


def error(restored):
    return float(tf.reduce_mean(tf.abs(restored - target)))


soft_error = error(model.predict(test, verbose=0))
print(f"untouched {error(test):.3f}, softly sorted {soft_error:.3f}")
assert soft_error < 0.1 * error(test)

# %% [markdown]
# ## The soft permutation at several temperatures
#
# The layer divides the logits by the {term}`temperature`. The same logits give a
# blurred plan when it is high, and nearly a permutation when it is low. The function
# {py:func}`sinkhorn_tf.sinkhorn` takes any temperature without a new training.

# %%
scorer = keras.Model(numbers, logits)
scores = scorer(test)
values = test[0, :, 0].numpy()
temperatures = [1.0, 0.3, 0.1, 0.03]

figure, axes = plt.subplots(1, 4, figsize=(9, 2.9), sharey=True, layout="constrained")
largest = []
for axis, temperature in zip(axes, temperatures, strict=True):
    plan = st.sinkhorn(scores[0], temperature, n_iters=200).numpy()
    largest.append(plan.max(axis=1).mean())
    image = axis.imshow(plan, vmin=0, vmax=1)
    axis.set(title=f"temperature {temperature}", xlabel="position", xticks=range(5))
axes[0].set(ylabel="item (its number)", yticks=range(5))
axes[0].set_yticklabels([f"{value:.2f}" for value in values])
figure.colorbar(image, ax=axes, label="share")
plt.show()

print("mean of each row's largest share:", np.round(largest, 2))
assert np.all(np.diff(largest) > 0) and largest[-1] > 0.85

# %% [markdown]
# *One test list in four plans. Each row is a number, each column a position of the
# sorted list. The row of a small number lights up on the left.*
#
# Train at a temperature where plans are soft, because a cold plan has hardly any
# gradient. Here .1 works because the logits grow during training: only the ratio of
# logits to temperature counts. {doc}`/guides/temperature` tells how cold is cold enough
# for an answer.
#
# ## Hard permutations
#
# {py:func}`sinkhorn_tf.matching` finds the best permutation of the logits exactly.
# `perm[i]` is the position of item i. {py:class}`sinkhorn_tf.Matching` is the same as a
# layer, and it replaces the Sinkhorn layer when the training is done. The restored
# numbers are then the given ones, not mixtures.

# %%
perm = st.matching(scores)  # int32 [1000, 5]
print("numbers  ", np.round(values, 2))
print("positions", perm[0].numpy())

hard = st.Matching()(logits)
sorter = keras.Model(numbers, st.Restore()([hard, numbers]))
restored = sorter.predict(test, verbose=0)
sorted_lists = float(
    tf.reduce_mean(tf.cast(tf.reduce_all(restored == target, [1, 2]), "float"))
)
print(f"lists sorted without any error: {sorted_lists:.3f}")
assert sorted_lists > 0.9
assert error(restored) < soft_error

# %% [markdown]
# ## Metrics, noise, and a falling temperature
#
# Metrics of permutations need the permutation as an output. Here a model has two
# outputs: the restored list, which has the loss, and the plan, which has the metrics.
# The true permutation is a list of integers.
# {py:class}`sinkhorn_tf.metrics.ProportionWrong` counts items in a wrong position, and
# {py:class}`sinkhorn_tf.metrics.KendallTau` is the rank correlation; both match a soft
# plan first.
#
# {py:class}`sinkhorn_tf.GumbelSinkhorn` adds {term}`Gumbel noise` to the logits while
# it trains, so that the network tries neighbouring permutations (Mena et al. 2018).
# {py:class}`sinkhorn_tf.AnnealTemperature` lowers the temperature step by step.

# %%
N = 10
EPOCHS = 15


def build(layer):
    keras.utils.set_random_seed(0)
    numbers = keras.Input((N, 1), name="numbers")
    x = keras.layers.Dense(64, activation="relu")(numbers)
    plan = layer(keras.layers.Dense(N)(x))
    outputs = {"sorted": st.Restore()([plan, numbers]), "plan": plan}
    model = keras.Model(numbers, outputs)
    model.compile(
        keras.optimizers.Adam(0.01),
        loss={"sorted": "mse"},
        metrics={"plan": [st.metrics.ProportionWrong(), st.metrics.KendallTau()]},
    )
    return model


def lists(seed, count):
    x = keras.random.uniform((count, N, 1), seed=seed)
    order = tf.argsort(x[..., 0], axis=1)  # the item of each position
    true = st.permutations.inverse(order)  # the position of each item
    return x, {"sorted": keras.ops.sort(x, axis=1), "plan": true}


train, validation = lists(2, 512), lists(3, 1000)
schedule = keras.optimizers.schedules.ExponentialDecay(1.0, EPOCHS * 512 // 64, 0.1)
layers = {
    "soft, temperature 0.1": (st.SinkhornLayer(0.1), []),
    "noise, annealed 1 to 0.1": (
        st.GumbelSinkhorn(1.0, noise_scale=0.1, seed=0),
        [st.AnnealTemperature(schedule)],
    ),
}
scores_of = {}
for name, (layer, callbacks) in layers.items():
    model = build(layer)
    history = model.fit(
        *train,
        batch_size=64,
        epochs=EPOCHS,
        validation_data=validation,
        callbacks=callbacks,
        verbose=0,
    ).history
    scores_of[name] = history
    print(
        f"{name:25} wrong {history['val_plan_proportion_wrong'][-1]:.3f}, "
        f"tau {history['val_plan_kendall_tau'][-1]:.3f}"
    )
    assert history["val_plan_kendall_tau"][-1] > 0.98

# %%
figure, axis = plt.subplots(figsize=(7, 3.2), layout="constrained")
for name, history in scores_of.items():
    axis.plot(range(1, EPOCHS + 1), history["val_loss"], label=name)
    wrong = history["val_plan_proportion_wrong"]
    print(f"{name:25} wrong in epochs 1 to 4: {np.round(wrong[:4], 3)}")
    assert max(wrong[3:]) < 0.02 and history["val_loss"][-1] < history["val_loss"][3]
axis.set(xlabel="epoch", ylabel="mean squared error", yscale="log")
axis.legend()
plt.show()

# %% [markdown]
# *Error of the softly sorted list, for 1,000 validation lists of ten numbers, one
# training each. An epoch is eight steps.*
#
# The metrics are near their best after three epochs, because a matching needs no more
# than scores that rank the numbers well. The error of the soft list goes on falling as
# the plans become sharper. The right order needs neither noise nor a falling
# temperature here; {doc}`/guides/jigsaw` uses both.
#
# With `hard=True` the forward pass gives the {term}`hard permutation`, and the
# gradient is that of the soft one. Use it where the next layer cannot work with
# mixtures of items.

# %%
hard_layer = st.GumbelSinkhorn(temperature=0.3, hard=True, seed=0)
some = tf.constant(scores[:3])
with tf.GradientTape() as tape:
    tape.watch(some)
    sampled = hard_layer(some, training=True)
    loss = tf.reduce_sum((st.Restore()([sampled, test[:3]]) - target[:3]) ** 2)
print(sampled[0].numpy().astype(int))
gradient = tape.gradient(loss, some)
print(f"largest gradient {tf.reduce_max(tf.abs(gradient)):.4f}")
assert set(np.unique(sampled)) == {0, 1}
assert np.all(np.isfinite(gradient)) and np.any(gradient != 0)

# %% [markdown]
# ## Lists of different length
#
# Lists of different length are padded, and a {term}`mask` tells which numbers exist.
# With `mask_positions=True` as many positions exist as items. The padding may hold
# anything; here it is NaN to show it.

# %%
LONGEST = 8


def padded(seed, count):
    x = keras.random.uniform((count, LONGEST), seed=seed)
    length = tf.random.stateless_uniform([count], [seed, 0], 2, LONGEST + 1, tf.int32)
    present = tf.sequence_mask(length, LONGEST)
    # Padding goes last, then becomes 0 in the target, as in the model's answer.
    target = tf.sort(tf.where(present, x, 2.0), axis=1)
    target = tf.where(present, target, 0.0)[..., None]
    return tf.where(present, x, np.nan)[..., None], present, target


keras.utils.set_random_seed(0)
numbers = keras.Input((LONGEST, 1), name="numbers")
present = keras.Input((LONGEST,), dtype="bool", name="present")
x = keras.ops.nan_to_num(numbers)
x = keras.layers.Dense(64, activation="relu")(x)
logits = keras.layers.Dense(LONGEST)(x)
layer = st.SinkhornLayer(temperature=0.1, mask_positions=True)
plan = layer(logits, row_mask=present)
model = keras.Model([numbers, present], st.Restore()([plan, numbers]))
model.compile(keras.optimizers.Adam(0.01), loss="mse")

x, mask, target = padded(4, 4096)
model.fit([x, mask], target, batch_size=128, epochs=8, verbose=0)

# %% [markdown]
# For the exact answer give the mask to {py:class}`sinkhorn_tf.Matching`. Positions
# beyond the end of a list hold 0.

# %%
hard = st.Matching(mask_positions=True)(logits, row_mask=present)
sorter = keras.Model([numbers, present], st.Restore()([hard, numbers]))
x, mask, target = padded(5, 1000)
restored = sorter.predict([x, mask], verbose=0)
print("given ", np.round(x[0, :, 0], 2))
print("sorted", np.round(restored[0, :, 0], 2))

length = tf.reduce_sum(tf.cast(mask, tf.int32), axis=1).numpy()
right = np.all(restored == target.numpy(), axis=(1, 2))
for n in range(2, LONGEST + 1):
    print(f"lists of {n}: {right[length == n].mean():.3f} sorted without any error")
assert np.all(np.isfinite(restored))
assert right.mean() > 0.95

# %% [markdown]
# The results for lists of up to 500 numbers are in {doc}`/results/sorting`.
