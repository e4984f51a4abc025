# %% [markdown]
# # Which function do I need?
#
# Find your problem in the table. Each recipe below is a complete program of at most fifteen lines:
# copy one cell, and it runs. Logits are scores: `logits[..., i, j]` says how well item i fits at
# position j, and larger is better. If you have costs, pass `-cost`. All layers take the arguments of their
# functions.
#
# Plans are those after 20 iterations by default: columns are exact, and rows have their sums in the limit
# alone. Raise `n_iters`, or give a `tolerance`. The default temperature is 1, in the units of your logits or
# values. For ranks, sorted values and quantiles it is .01, in units of the range of the values.
#
# | problem | function | Keras layer |
# | --- | --- | --- |
# | [a soft permutation, to train through](#a-soft-permutation) | {py:func}`~sinkhorn_tf.sinkhorn` | {py:class}`~sinkhorn_tf.SinkhornLayer` |
# | [the best hard permutation](#a-hard-permutation) | {py:func}`~sinkhorn_tf.matching` | {py:class}`~sinkhorn_tf.Matching` |
# | [a random soft permutation (latent, Gumbel-Sinkhorn)](#a-random-soft-permutation) | {py:func}`~sinkhorn_tf.gumbel_sinkhorn` | {py:class}`~sinkhorn_tf.GumbelSinkhorn` |
# | [a latent permutation: probabilities, entropy, the KL term](#a-distribution-over-permutations) | {py:class}`~sinkhorn_tf.distributions.GumbelSinkhorn`, {py:class}`~sinkhorn_tf.distributions.BoltzmannPermutations` | `kl_prior_temperature` of {py:class}`~sinkhorn_tf.GumbelSinkhorn` |
# | [more items than positions, or fewer](#a-rectangle) | {py:func}`~sinkhorn_tf.sinkhorn`, {py:func}`~sinkhorn_tf.matching` | the same layers |
# | [sets of different sizes in a batch](#padding) | `row_mask` and `col_mask` of each function | `row_mask`, `col_mask`; Keras' own mask with `mask_positions=True` |
# | [items that fit nowhere](#dustbins) | {py:func}`~sinkhorn_tf.partial_sinkhorn`, {py:func}`~sinkhorn_tf.partial_matching` | {py:class}`~sinkhorn_tf.PartialSinkhorn` |
# | [capacities, balanced experts](#capacities) | `row_marginals` and `col_marginals` of {py:func}`~sinkhorn_tf.sinkhorn` | the same arguments of {py:class}`~sinkhorn_tf.SinkhornLayer` |
# | [the k largest values](#top-k) | {py:func}`~sinkhorn_tf.soft_top_k` | {py:class}`~sinkhorn_tf.SoftTopK` |
# | [ranks and sorted values](#ranks-and-sorted-values) | {py:func}`~sinkhorn_tf.soft_rank`, {py:func}`~sinkhorn_tf.soft_sort` |  |
# | a plan whose rows and columns sum to exactly 1 | {py:func}`~sinkhorn_tf.distributions.round_to_doubly_stochastic` |  |
# | [a proof that no matching is better](#a-proof-of-optimality) | {py:func}`~sinkhorn_tf.certified_matching` |  |
# | [the limit of infinitely many iterations](#the-limit-of-infinitely-many-iterations) | {py:func}`~sinkhorn_tf.sinkhorn_solve` |  |
# | [a temperature that is learnt](#a-temperature-that-is-learnt) |  | `trainable_temperature=True` of each layer with a temperature |
# | [a temperature with a proof](#a-temperature-with-a-proof) | {py:func}`~sinkhorn_tf.entropic.temperature_for_accuracy` |  |
# | [hard permutations in the forward pass, a soft gradient](#a-hard-permutation-with-a-soft-gradient) |  | `hard=True` of {py:class}`~sinkhorn_tf.SinkhornLayer` and {py:class}`~sinkhorn_tf.GumbelSinkhorn` |
# | [a model that a server runs](#a-served-model) | {py:func}`~sinkhorn_tf.export_solver` |  |
# | [how good a permutation is](#measuring-permutations) | {py:mod}`~sinkhorn_tf.metrics` | {py:class}`~sinkhorn_tf.metrics.ProportionWrong`, {py:class}`~sinkhorn_tf.metrics.KendallTau` |
#
# ## A soft permutation
#
# The plan is a matrix of shares. Its columns sum to 1, and its rows come closer to 1 with each
# iteration. A lower `temperature` makes the plan sharper.

# %%
import tensorflow as tf

import sinkhorn_tf as st

logits = tf.random.stateless_normal([9, 9], seed=[0, 1])
plan = st.sinkhorn(logits, temperature=0.1, n_iters=100)
softmax = tf.nn.softmax(logits / 0.1)
rows, columns = tf.reduce_sum(plan, axis=1), tf.reduce_sum(plan, axis=0)
wanted = tf.reduce_sum(softmax, axis=0)
print("plan, rows      ", rows.numpy().round(2))
print("plan, columns   ", columns.numpy().round(2))
print("softmax, columns", wanted.numpy().round(2))
assert tf.reduce_max(abs(rows - 1)) < 0.01
assert tf.reduce_max(wanted) > 3 and tf.reduce_min(wanted) < 0.1

# %% [markdown]
# **Without it.** A softmax over each row lets every item choose for itself. In the last line
# three items want the first position, and hardly any item wants the sixth.
#
# ## A hard permutation
#
# `perm[i]` is the position of item i. No other permutation has a larger sum of logits.

# %%
import tensorflow as tf

import sinkhorn_tf as st

logits = tf.random.stateless_normal([9, 9], seed=[0, 1])
perm = st.matching(logits)
argmax = tf.argmax(logits, axis=1, output_type=tf.int32)
print("matching", perm.numpy())
print("argmax  ", argmax.numpy())
print("permutations?", st.permutations.is_permutation([perm, argmax]).numpy())
assert st.permutations.is_permutation(perm)
assert not st.permutations.is_permutation(argmax)

# %% [markdown]
# **Without it.** The argmax of each row gives the same position to several items: here four
# positions have no item, and positions 0 and 2 have three each. The argmax of the rows of a soft
# plan can do the same.
#
# ## A random soft permutation
#
# Gumbel noise on the logits makes a distribution over permutations, as in {cite:t}`mena2018`. The
# soft samples carry gradients, and the matching of the noisy logits is the hard sample.

# %%
import numpy as np
import tensorflow as tf

import sinkhorn_tf as st

logits = tf.zeros([4, 4])
soft, noisy = st.gumbel_sinkhorn(logits, temperature=0.1, n_samples=1000, seed=0)
perms, counts = np.unique(st.matching(noisy), axis=0, return_counts=True)
print("a soft sample:", soft[0].numpy().round(2), sep="\n")
print(len(perms), "permutations,", counts.min(), "to", counts.max(), "times each")
plan = st.sinkhorn(logits, temperature=0.1)
print("without noise:", np.unique(plan))
assert len(perms) == 24 and counts.min() > 20
assert np.allclose(plan, 0.25)

# %% [markdown]
# **Without it.** Equal logits give a plan of 0.25 throughout at every temperature. This plan is the
# mean of all 24 permutations and close to none of them.
#
# ## A distribution over permutations
#
# Weights of pairs make a distribution over permutations: the probability of one is in proportion
# to the exponential of its sum of logits. For up to 16 items everything about it is exact.

# %%
import numpy as np

import sinkhorn_tf as st

logits = np.log([[8.0, 1.0, 1.0], [1.0, 2.0, 2.0], [1.0, 2.0, 2.0]])
posterior = st.distributions.BoltzmannPermutations(logits)
fitted = st.distributions.GumbelSinkhorn(logits, temperature=0.5)
print("mode", posterior.mode().numpy(), "entropy", posterior.entropy().numpy().round(2))
print("probability", np.exp(posterior.log_prob([0, 1, 2])).round(3))
print("of each pair:", posterior.marginals().numpy().round(2), sep="\n")
print("KL terms", fitted.kl_to_prior(0.5).numpy().round(2), end=" and ")
print(fitted.sample_mixture(100, seed=0).divergence.numpy().round(2))
assert np.isclose(np.exp(posterior.log_prob([0, 1, 2])), 32 / 72)

# %% [markdown]
# **Without it.** A plan of the same logits looks like probabilities of pairs, and is not: the rows of a
# plan are not the marginals of this distribution, and there is no entropy to fit. {doc}`guides/latent` fits
# a permutation that nobody observes.
#
# ## A rectangle
#
# The smaller set is placed whole, and each member of the larger set at most once. A slack takes
# the difference.

# %%
import tensorflow as tf

import sinkhorn_tf as st

logits = tf.random.stateless_normal([10, 5], seed=[0, 2])  # ten items, five positions
plan = st.sinkhorn(logits, temperature=0.1, tolerance=1e-3, n_iters=1000)
x = logits / 0.1
for _ in range(20):
    x -= tf.reduce_logsumexp(x, axis=1, keepdims=True)
    x -= tf.reduce_logsumexp(x, axis=0, keepdims=True)
rows, square = tf.reduce_sum(plan, axis=1), tf.reduce_sum(tf.exp(x), axis=1)
print("matching   ", st.matching(logits).numpy())
print("plan, rows ", rows.numpy().round(2))
print("square only", square.numpy().round(2))
assert tf.reduce_max(rows) < 1.01 and tf.reduce_min(rows) < 0.01
assert tf.reduce_max(abs(square - 0.5)) < 0.01

# %% [markdown]
# **Without it.** Iterations that are meant for squares cannot leave an item out: rows and columns
# of 1 contradict each other. They end with half a position for each of the ten items, whatever the
# logits say. {doc}`guides/detection` matches predictions with boxes at the least cost.
#
# ## Padding
#
# Sets of different sizes share a batch when they are padded. The masks say what exists, and the
# padding may hold anything, even NaN.

# %%
import tensorflow as tf

import sinkhorn_tf as st

items = tf.constant([[0.3, 0.1, 0.2, 0.0, 0.0], [0.5, 0.9, 0.8, 0.7, 0.6]])
exists = tf.sequence_mask([3, 5], 5)
logits = tf.linspace(0.0, 1.0, 5) * items[:, :, None]  # [2, 5, 5]
masks = {"row_mask": exists, "col_mask": exists}
plan, unmasked = st.sinkhorn(logits, 0.01, **masks), st.sinkhorn(logits, 0.01)
taken = tf.reduce_sum(unmasked[0, 3:, :3])
print("masked  ", st.matching(logits, **masks).numpy().tolist())
print("unmasked", st.matching(logits).numpy().tolist())
print("mass of the padding at three positions:", taken.numpy().round(2))
assert tf.reduce_all(plan[0, 3:] == 0) and tf.reduce_all(plan[0, :, 3:] == 0)
assert taken > 2

# %% [markdown]
# In Keras the layers take `row_mask` and `col_mask` when they are called. Keras' own mask counts for the items
# alone; with `mask_positions=True` it counts for the positions, too. {doc}`examples/padding` has more.
#
# **Without it.** Padding is five items for five positions. The two padded zeros of the first set
# are the smallest numbers there, so they take two of the three positions that exist, and real
# numbers move to positions that do not.
#
# ## Dustbins
#
# A pair is matched only where it is worth more than `unmatched_score`. The layer
# `st.PartialSinkhorn(temperature=0.1)` learns that score, and returns the same three tensors.

# %%
import tensorflow as tf

import sinkhorn_tf as st

logits = tf.constant([[3.0, 0.9], [0.9, -5.0]])
plan, left_items, left_positions = st.partial_sinkhorn(
    logits, unmatched_score=1.0, temperature=0.1
)
perm = st.partial_matching(logits, unmatched_score=1.0)
print("unmatched items    ", left_items.numpy().round(2))
print("unmatched positions", left_positions.numpy().round(2))
print("with dustbins", perm.numpy(), " without", st.matching(logits).numpy())
assert perm.numpy().tolist() == [0, -1] and left_items[1] > 0.9
assert st.matching(logits).numpy().tolist() == [1, 0]

# %% [markdown]
# **Without it.** A matching places every item of the smaller set. Here it avoids the score of -5
# and takes the two pairs of score 0.9. A threshold of 1 afterwards comes too late: it removes both
# pairs and leaves none, although there is a pair of score 3.
#
# ## Capacities
#
# `row_marginals` and `col_marginals` are the masses of items and positions. If you give those of the
# items alone, as here, the positions share the total equally. The plan is soft: {doc}`guides/experts` sends
# each token to a single expert.

# %%
import tensorflow as tf

import sinkhorn_tf as st

scores = tf.random.stateless_normal([1024, 8], seed=[0, 1])  # of tokens, for 8 experts
scores += tf.linspace(0.0, 1.0, 8)  # later experts look better
plan = st.sinkhorn(scores, temperature=0.5, row_marginals=tf.ones([1024]))
softmax = tf.nn.softmax(scores / 0.5, axis=1)
by_expert = 128 * tf.nn.softmax(scores / 0.5, axis=0)
load, tokens = tf.reduce_sum(softmax, axis=0), tf.reduce_sum(by_expert, axis=1)
print("plan, load   ", tf.reduce_sum(plan, axis=0).numpy().round())
print("softmax, load", load.numpy().round())
print("a token's share at most", tokens.numpy().max(), "at least", tokens.numpy().min())
assert tf.reduce_max(abs(tf.reduce_sum(plan, axis=0) - 128)) < 0.1
assert tf.reduce_max(load) > 200 and tf.reduce_max(tokens) > 10

# %% [markdown]
# **Without it.** A softmax over the experts balances nothing: the last expert gets more than three
# times the load of the first. A softmax over the tokens gives each expert the same load, but then
# one token is computed fourteen times and another hardly at all, as the last line shows.
#
# ## Top-k
#
# The shares lie between 0 and 1 and sum to k. They are exact, not the result of a number of
# iterations. The temperature is in the units of the values. {doc}`examples/top_k` learns a selection.

# %%
import tensorflow as tf

import sinkhorn_tf as st

values = tf.constant([3.0, 1.0, 2.0, 0.0])
shares = st.soft_top_k(values, k=2, temperature=0.2)
softmax = 2 * tf.nn.softmax(values / 0.2)
print("soft_top_k ", shares.numpy().round(2))
print("2 * softmax", softmax.numpy().round(2))
assert abs(tf.reduce_sum(shares) - 2) < 1e-5 and tf.reduce_max(shares) <= 1
assert tf.reduce_max(softmax) > 1.9

# %% [markdown]
# **Without it.** A softmax times k selects the largest value almost twice and leaves the second
# one out. A hard top-k has no gradient for the selection.
#
# ## Ranks and sorted values
#
# Ranks ascend from 0. The temperature is for values that are scaled to [0, 1], so units do not
# matter.

# %%
import tensorflow as tf

import sinkhorn_tf as st

values = tf.constant([3.0, 1.0, 2.0])
with tf.GradientTape(persistent=True) as tape:
    tape.watch(values)
    soft = st.soft_rank(values, temperature=0.1)
    last = soft[2]
    hard = tf.cast(tf.argsort(tf.argsort(values)), tf.float32)
print("soft ranks", soft.numpy().round(2), "gradient", tape.gradient(last, values))
print("hard ranks", hard.numpy(), "gradient", tape.gradient(hard, values))
print("sorted    ", st.soft_sort(values, temperature=0.1).numpy().round(2))
assert tf.reduce_max(abs(soft - hard)) < 0.01
assert tape.gradient(last, values)[2] > 0 and tape.gradient(hard, values) is None

# %% [markdown]
# **Without it.** `tf.argsort` gives integers without a gradient (`None`), so that a loss on ranks
# trains nothing.
#
# ## A proof of optimality
#
# `gap` bounds how far the matching can be from the best one. A gap of exactly 0 proves that no
# permutation is better.

# %%
import numpy as np
import tensorflow as tf

import sinkhorn_tf as st

logits = tf.random.stateless_normal([25, 25], seed=[0, 1])
perm, value, upper_bound, gap = st.certified_matching(logits)
greedy, left = 0.0, logits.numpy().copy()
for _ in range(25):
    i, j = np.unravel_index(left.argmax(), left.shape)
    greedy += left[i, j]
    left[i], left[:, j] = -np.inf, -np.inf
print(f"value {value:.3f}, bound {upper_bound:.3f}, gap {gap}, greedy {greedy:.3f}")
assert gap == 0 and greedy < value

# %% [markdown]
# **Without it.** Nothing in a list of positions tells how good it is. The greedy list, which takes
# the best free pair again and again, is a permutation too, and its value is lower.
#
# ## The limit of infinitely many iterations
#
# {py:func}`sinkhorn_tf.sinkhorn_solve` takes Newton steps instead of iterations. It says how large
# the error is, and its derivative is that of the limit.

# %%
import tensorflow as tf

import sinkhorn_tf as st

logits = tf.random.stateless_normal([9, 9], seed=[0, 1])
errors = []
for n_iters in (20, 1000):
    plan = st.sinkhorn(logits, temperature=0.01, n_iters=n_iters)
    errors.append(tf.reduce_max(abs(tf.reduce_sum(plan, axis=1) - 1)).numpy())
    print(n_iters, "iterations, largest error of a row sum", errors[-1])
limit = st.sinkhorn_solve(logits, temperature=0.01)
print(limit.n_iters.numpy(), "Newton steps, residual", limit.residual.numpy())
assert limit.converged and limit.residual < 1e-6
assert errors[0] > 1 and errors[1] > 1000 * limit.residual

# %% [markdown]
# **Without it.** At a low temperature few iterations are far from the limit: after 20 of them one
# item still has twice its mass. After 1,000 iterations the error is more than a thousand times that
# of the solver.
#
# ## A temperature that is learnt
#
# `fit` learns the temperature with the weights, and a constraint keeps it positive.

# %%
import keras

import sinkhorn_tf as st

x, losses = keras.random.uniform((1024, 5, 1), seed=0), {}
for learns in (True, False):
    keras.utils.set_random_seed(0)
    layer = st.SinkhornLayer(temperature=1.0, trainable_temperature=learns)
    numbers = keras.Input((5, 1))
    hidden = keras.layers.Dense(32, activation="relu")(numbers)
    restored = st.Restore()([layer(keras.layers.Dense(5)(hidden)), numbers])
    model = keras.Model(numbers, restored)
    model.compile(keras.optimizers.Adam(0.01), loss="mse")
    history = model.fit(x, keras.ops.sort(x, axis=1), 128, epochs=5, verbose=0)
    losses[learns] = history.history["loss"][-1]
    print(f"temperature {float(layer.temperature):.2f}, loss {losses[learns]:.4f}")
assert losses[True] < losses[False]

# %% [markdown]
# **Without it.** With a fixed temperature the weights alone have to make the logits large enough.
# After the same five epochs the loss is higher.
#
# ## A temperature with a proof
#
# {cite:t}`weed2018` proves how cold is cold enough for a plan that is as good as the best
# permutation, within epsilon. A cost is minus a logit. {doc}`guides/temperature` has more.

# %%
import numpy as np

import sinkhorn_tf as st

logits = np.random.default_rng(0).integers(0, 10, [20, 20]).astype(float)
proven, bound = st.entropic.temperature_for_accuracy(-logits, epsilon=0.1)
losses = st.entropic.assignment_suboptimality(logits, [1.0, 0.1, proven])
print(f"temperature {proven:.4f} by the {bound}")
print(f"loss at 1: {losses[0]:.3g}, at 0.1: {losses[1]:.3g}, proven: {losses[2]:.3g}")
assert losses[2] <= 0.1 < losses[0]

# %% [markdown]
# **Without it.** At a temperature by habit, such as 1, the plan is worth 12.1 less than the best
# permutation. The proof is for the worst case: on these logits 0.1 would do as well, but nothing says
# so before you measure it.
#
# ## A hard permutation with a soft gradient
#
# The forward pass gives zeros and ones, and the gradient is that of the soft plan
# (straight-through).

# %%
import numpy as np
import tensorflow as tf

import sinkhorn_tf as st

logits = tf.Variable(tf.random.stateless_normal([9, 9], seed=[0, 1]))
target = st.permutations.to_matrix(tf.range(9))
for layer in (st.SinkhornLayer(hard=True), st.Matching()):
    with tf.GradientTape() as tape:
        plan = layer(logits)
        loss = tf.reduce_sum((plan - target) ** 2)
    gradient = tape.gradient(loss, logits)
    norm = None if gradient is None else tf.norm(gradient).numpy()
    print(f"{layer.name}: entries {np.unique(plan)}, gradient {norm}")
    assert (norm is None) == isinstance(layer, st.Matching)

# %% [markdown]
# **Without it.** The matching alone is constant between jumps, and TensorFlow has no gradient for
# it (`None`). A loss on hard permutations then trains nothing.
#
# ## A served model
#
# The model ends at its logits; `keras.Model(inputs, logits)` cuts one that was trained further. The
# SavedModel contains the matching and its proof, and needs neither this package nor Keras.
# {doc}`guides/serving` has more.

# %%
import tempfile

import keras
import tensorflow as tf

import sinkhorn_tf as st

numbers = keras.Input((5, 1), name="numbers")
slopes = keras.initializers.Constant([[0.0, 1.0, 2.0, 3.0, 4.0]])
model = keras.Model(numbers, keras.layers.Dense(5, kernel_initializer=slopes)(numbers))
path = st.export_solver(model, tempfile.mkdtemp(), temperature=0.1)
solver = tf.saved_model.load(path).signatures["serving_default"]
answer = solver(numbers=tf.constant([[[3.0], [1.0], [2.0], [5.0], [4.0]]]))
print("restored", answer["restored"].numpy().ravel(), "gap", answer["gap"].numpy())
print("outputs of the model alone:", model.output_shape)
assert answer["permutation"].numpy().tolist() == [[2, 0, 1, 4, 3]]

# %% [markdown]
# **Without it.** {py:meth}`keras.Model.export` saves what the model computes, here logits of shape
# `[B, 5, 5]`, and every client needs a matching of its own. SciPy inside a `tf.py_function` is no
# way out: a server has no Python, and `export_solver` refuses such a model.
#
# ## Measuring permutations
#
# The metrics take lists or plans, and match soft plans first. Items whose true position is -1 do
# not count.

# %%
import numpy as np
import tensorflow as tf

import sinkhorn_tf as st

true = [[0, 1, 2, 3, 4], [0, 1, 2, 3, 4]]
pred = [[1, 2, 3, 4, 0], [0, 1, 2, 4, 3]]  # moved by one, and two neighbours exchanged
print("wrong items", st.metrics.proportion_wrong(true, pred).numpy())
print("Kendall tau", st.metrics.kendall_tau(true, pred).numpy())
plan = tf.constant([[0.60, 0.40], [0.55, 0.45]])
argmax_wrong = np.mean(np.argmax(plan, axis=1) != [0, 1])
print("a soft plan:", st.metrics.proportion_wrong([0, 1], plan).numpy(), argmax_wrong)
assert st.metrics.proportion_wrong([0, 1], plan) == 0 and argmax_wrong == 0.5

# %% [markdown]
# **Without it.** The argmax of each row puts both items of the soft plan at position 0 and calls
# half of them wrong, although the best permutation of this plan is right. The share of wrong items
# alone tells nothing about order: a list that is moved by one has every item wrong and still a
# positive rank correlation.
