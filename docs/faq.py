# %% [markdown]
# # Questions and answers
#
# The code on this page runs from top to bottom. All cells share these imports and logits:

# %%
import tempfile

import keras
import numpy as np
import tensorflow as tf

import sinkhorn_tf as st

logits = tf.random.stateless_normal([9, 9], seed=[0, 1])

# %% [markdown]
# ## Numbers
#
# ### Why do I get NaN at a low temperature?
#
# The usual loop takes `exp(logits / temperature)`, which overflows when the temperature is low.
# {py:func}`sinkhorn_tf.sinkhorn` gives finite plans and gradients at every temperature. If you still
# see NaN, look at the logits first: an example with NaN or +inf gets a plan of NaN, a gradient of
# 0 and the position -1 throughout. The other examples of the batch are not affected. Then look at
# your loss: `log(plan)` is -inf where an entry is 0, so use
# {py:func}`sinkhorn_tf.losses.cross_entropy`. Last, `n_iters=0` is a plain `exp`, which may
# overflow.

# %%
kernel, v = tf.exp(logits / 0.01).numpy(), np.ones(9, np.float32)
with np.errstate(all="ignore"):
    for _ in range(20):
        u = 1 / (kernel @ v)
        v = 1 / (kernel.T @ u)
    usual = u[:, None] * kernel * v
plan = st.sinkhorn(logits, temperature=0.01)
print("NaN among 81 entries:", np.isnan(usual).sum(), "and", np.isnan(plan).sum())
perms = st.matching([logits, tf.fill([9, 9], np.nan)])
print(perms.numpy())
assert np.isnan(usual).any() and np.isfinite(plan).all()
assert st.permutations.is_permutation(perms[0]) and tf.reduce_all(perms[1] == -1)

# %% [markdown]
# ### Why do the rows of my plan not sum to 1?
#
# Each iteration scales the rows first and the columns last. So the columns are exact, and the rows have
# their sums only in the limit. The lower the temperature, the more iterations the limit takes.
# Raise `n_iters`, give a `tolerance`, or call {py:func}`sinkhorn_tf.sinkhorn_solve`, which takes Newton
# steps. {py:func}`sinkhorn_tf.distributions.round_to_doubly_stochastic` makes both exact after any number of
# iterations. Rows of a rectangle with more items than positions have sums below 1 in the limit, and
# dustbins take their share too.

# %%
for n_iters in (20, 1000):
    plan = st.sinkhorn(logits, temperature=0.1, n_iters=n_iters)
    print(n_iters, "iterations, error", np.abs(plan.numpy().sum(axis=1) - 1).max())
limit = st.sinkhorn_solve(logits, temperature=0.1)
print(limit.n_iters.numpy(), "Newton steps, error", limit.residual.numpy())
assert np.abs(plan.numpy().sum(axis=0) - 1).max() < 1e-5 and limit.residual < 1e-6

# %% [markdown]
# ### Why is the plan blurred? Which temperature should I take?
#
# What counts is the differences of the logits, divided by the temperature. Where they are small,
# every plan is close to `1 / N` throughout. Begin with the temperature at which a logit that matters
# exceeds its rivals by a few units after the division, and lower it while you train with
# {py:class}`sinkhorn_tf.AnnealTemperature`, or let `fit` learn it with `trainable_temperature=True`.
# {py:func}`sinkhorn_tf.entropic.temperature_for_accuracy` computes a temperature with a proof, as
# {doc}`guides/temperature` explains. Equal rows of logits stay blurred at every temperature, because the
# items cannot be told apart. For hard answers you need no low temperature:
# {py:func}`sinkhorn_tf.matching` takes the logits themselves.


# %%
def plan_and_gradient(temperature):
    with tf.GradientTape() as tape:
        tape.watch(logits)
        plan = st.sinkhorn_solve(logits, temperature).plan
        loss = tf.reduce_sum((plan - tf.eye(9)) ** 2)
    largest = tf.reduce_mean(tf.reduce_max(plan, axis=1))
    return float(largest), float(tf.norm(tape.gradient(loss, logits)))


found = {t: plan_and_gradient(t) for t in (10.0, 1.0, 0.1, 1e-4)}
for t, (largest, gradient) in found.items():
    print(
        f"temperature {t}: largest entry of a row {largest:.2f}, gradient {gradient:.1e}"
    )
assert found[10.0][0] < 0.15 and found[1e-4][0] > 0.95
assert found[0.1][1] > 10 * found[10.0][1] and found[0.1][1] > 1000 * found[1e-4][1]

# %% [markdown]
# ### My gradients vanish
#
# The last column above shows both ends. At a high temperature the plan hardly depends on the
# logits. At a very low one it is almost a permutation, and small steps do not change that. Choose the
# temperature in between, anneal it slowly, and use a loss with a logarithm
# ({py:func}`sinkhorn_tf.losses.cross_entropy`) where you know the true positions: it is steep where
# the plan is confidently wrong. A loss on the row or column sums of the plan has no gradient at all,
# since these sums are constant in the limit. A loss on the result of {py:func}`sinkhorn_tf.matching` has
# none either: see [the Hungarian step](#how-do-i-backpropagate-through-the-hungarian-step).

# %% [markdown]
# ### Does it work in float16 or bfloat16?
#
# Yes. Operators compute in float32 and round the result once, and layers keep the temperature in
# float32 under a mixed policy. The plan has the precision of its dtype, so that its columns sum to
# 1 only up to this rounding. The matching takes the logits as they come: logits that a
# network has rounded to float16 may have ties. Make the last `Dense` before a matching float32
# (`dtype="float32"`).

# %%
plan = st.sinkhorn(logits, temperature=0.1)
for policy in ("mixed_float16", "mixed_bfloat16"):
    layer = st.SinkhornLayer(temperature=0.1, dtype=policy)
    result = layer(logits)
    error = tf.reduce_max(abs(tf.cast(result, tf.float32) - plan)).numpy()
    print(result.dtype.name, "temperature", layer.temperature.dtype, "error", error)
    assert layer.temperature.dtype == "float32" and error < 0.01

# %% [markdown]
# ### Do I pass costs or scores?
#
# Scores: all functions maximise, and a larger logit makes a pair more likely. Pass `-cost`. The
# exception is {py:mod}`sinkhorn_tf.entropic`, where arguments that are named `cost` are costs.
# A temperature is what other libraries call the regularisation, epsilon or tau, in the units of the
# cost. A plan here has the total mass of the items, where other libraries may scale it to 1.

# %%
points = tf.random.stateless_uniform([6, 2], seed=[0, 1])
true = tf.constant([3, 1, 0, 5, 2, 4])
moved = st.permutations.apply(true, points)
cost = tf.reduce_sum((points[:, None] - moved[None]) ** 2, axis=-1)
print("-cost:", st.matching(-cost).numpy(), " cost:", st.matching(cost).numpy())
assert tf.reduce_all(st.matching(-cost) == true)

# %% [markdown]
# ## Permutations and gradients
#
# ### Why does argmax of the plan not give a permutation?
#
# Each row has its own largest entry, and two rows may have it in the same column. Take
# {py:func}`sinkhorn_tf.matching` of the logits, which finds the best permutation as a whole. Here is
# the share of 1,000 random plans whose argmax is a permutation:

# %%
many = tf.random.stateless_normal([1000, 9, 9], seed=[0, 1])
argmax = tf.argmax(st.sinkhorn(many, temperature=0.1), axis=2, output_type=tf.int32)
share = tf.reduce_mean(tf.cast(st.permutations.is_permutation(argmax), tf.float32))
print(f"{share.numpy():.3f}")
assert share < 0.9 and tf.reduce_all(st.permutations.is_permutation(st.matching(many)))

# %% [markdown]
# ### How do I backpropagate through the Hungarian step?
#
# There are four ways. If the matching only decides who learns from whom, as in
# {cite:t}`carion2020`, treat it as a constant: the loss of the matched pairs has the gradient you
# want, as the lines below show and {doc}`guides/detection` explains. If the result of the matching
# goes on into the network, train with the soft plan of {py:class}`sinkhorn_tf.SinkhornLayer` and match
# only when you predict. If the forward pass must be hard in training too, set `hard=True`, which has
# the gradient of the soft plan, or take the unbiased gradient of a mean over noise:
# {py:class}`sinkhorn_tf.distributions.GumbelMatching` has `expected_matching` and `expected_loss`.

# %%
with tf.GradientTape() as tape:
    tape.watch(cost)
    matrix = st.permutations.to_matrix(st.matching(-cost))
    loss = tf.reduce_sum(matrix * tf.sqrt(cost + 1.0))
gradient = tape.gradient(loss, cost)
print("pairs with a gradient:", int(tf.reduce_sum(tf.cast(gradient != 0, tf.int32))))
assert tf.reduce_all((gradient != 0) == (matrix == 1))

# %% [markdown]
# ## Shapes
#
# ### My sets have different sizes. How do I batch them?
#
# Pad the items to the largest set and pass `row_mask`, `col_mask` or both, as the
# recipe in {doc}`which` does. The padding may hold anything. Its part of the plan is 0, its
# positions are -1, and no gradient flows into it. As many items as positions are not required: each
# example is a rectangle of what exists in it. Keras' own masks (`Embedding(mask_zero=True)`,
# {py:class}`keras.layers.Masking`) count as `row_mask`.
#
# ### I passed a mask, and items still go to padded positions
#
# A `row_mask` is about items alone. Three items of a padded set of five may then go to any of five
# positions. Where items and positions are the same, as in sorting, pass the mask twice, or make the
# layer with `mask_positions=True`.

# %%
exists = tf.sequence_mask(3, 5)
scores = tf.linspace(0.0, 1.0, 5) * tf.constant([0.3, 0.1, 0.2, 0.0, 0.0])[:, None]
for masks in ({"row_mask": exists}, {"row_mask": exists, "col_mask": exists}):
    perm = st.matching(scores, **masks)
    print(", ".join(masks), perm.numpy())
assert perm.numpy().tolist() == [2, 0, 1, -1, -1]

# %% [markdown]
# ### Does every new shape compile again? TensorFlow warns of retracing
#
# Eager calls of matrices of up to 25 items, and of whole squares of up to 256, are padded to sizes
# that many calls share, so that sizes 5 to 24 take three compilations, and TensorFlow prints no warning.
# A different `n_iters` or dtype compiles anew, another temperature does not. Inside your own
# {py:func}`tf.function` the operators are part of your graph: a warning there is about your function.
# Give it an `input_signature` with open sizes, or pad to one size and pass masks.

# %%
traces = []


@tf.function(input_signature=[tf.TensorSpec([None, None, None])])
def plans(x):
    traces.append(1)
    return st.sinkhorn(x)


for n in range(5, 10):
    plans(tf.zeros([2, n, n]))
print("traces for five sizes:", len(traces))
assert len(traces) == 1

# %% [markdown]
# ## Running
#
# ### Does it run under jit_compile=True?
#
# Yes, in a {py:func}`tf.function` and in {py:meth}`keras.Model.compile`. Eager calls are compiled without it.
# Two things to know: {py:func}`sinkhorn_tf.sinkhorn_solve` is faster as a plain graph beyond N = 25
# (8.8 ms against 80 to 104 ms in {doc}`results/operator`), and where several matchings are equally
# good, XLA may return another one. An export refuses functions of `jit_compile=True`, since stock
# TensorFlow Serving does not run them on a CPU.


# %%
def cold_plan(x):
    return st.sinkhorn(x, temperature=0.1)


compiled = tf.function(cold_plan, jit_compile=True)(logits)
plain = tf.function(cold_plan)(logits)
print("largest difference", np.abs(compiled - plain).max())
assert np.abs(compiled - plain).max() < 1e-5

# %% [markdown]
# ### Does it run on a GPU?
#
# Yes: all operators are made of TensorFlow's own operations and have no kernels to install. A
# jigsaw training took 40 steps a second on an NVIDIA H200, where two cores of a CPU take one or two
# ({doc}`results/jigsaw`). The times of single operators on this site are of a CPU. For a server with a
# GPU export with `jit_variant=True`.
#
# ### How do I get the same result twice?
#
# Give a `seed` to {py:func}`sinkhorn_tf.gumbel_sinkhorn` or {py:class}`sinkhorn_tf.GumbelSinkhorn`, and
# call {py:func}`keras.utils.set_random_seed` before you build the model. The same seed gives the same noise
# in eager calls, graphs and under XLA, while the plans may differ in the last digit, since XLA rounds
# differently. The other examples of a batch do not change a result if the shape is the same.
# Another kind of processor rounds differently, and a training makes the difference larger: the jigsaw
# puzzles of digits had .028 of their pieces wrong on one machine and .036 on another ({doc}`how/seeds`).


# %%
def sample(x):
    return st.gumbel_sinkhorn(x, seed=0)


(soft, noisy), (graph_soft, graph_noisy) = sample(logits), tf.function(sample)(logits)
print("noise equal:", np.array_equal(noisy, graph_noisy))
print("plans differ by", np.abs(soft - graph_soft).max())
assert np.array_equal(noisy, graph_noisy) and np.abs(soft - graph_soft).max() < 1e-5

# %% [markdown]
# ### How fast is it, and how much memory does it take?
#
# {doc}`cost` answers with tables. In short, on two cores: 64 plans of 9x9 after 20 iterations take
# 0.25 ms, with the gradient 0.44 ms. One plan of 2048x2048 takes 48 ms in an eager call. The gradient
# does not keep the matrices of the iterations: 64 plans of 100x100 after 100 iterations take 33 MiB
# in a graph, a loop of `logsumexp` 443 MiB. The first eager call is slow, since XLA compiles it: one to
# five seconds for each size.
#
# ### How do I save and load a model?
#
# As any Keras model, in a `.keras` file. Import `sinkhorn_tf` before you load it, which registers the
# layers; `custom_objects` is not needed. A temperature that was assigned, annealed or learnt is
# saved with the weights. Where neither this package nor Keras is installed, use
# {py:func}`sinkhorn_tf.export_solver` ({doc}`guides/serving`).

# %%
items = keras.Input((9, 4))
layer = st.SinkhornLayer(temperature=1.0)
model = keras.Model(items, layer(keras.layers.Dense(9)(items)))
layer.temperature = 0.05
path = tempfile.mkdtemp() + "/model.keras"
model.save(path)
loaded = keras.models.load_model(path)
x = tf.random.stateless_normal([2, 9, 4], seed=[0, 2])
print("temperature", float(loaded.layers[-1].temperature))
assert np.array_equal(model(x), loaded(x)) and loaded.layers[-1].temperature == 0.05
