# %% [markdown]
# # Matching sets of different size
#
# A detector answers with a set: so many boxes, in no order. To train it you must know
# which prediction should learn which true box. {cite:t}`carion2020` match each true box
# with one prediction, at the least total cost, in each training step. The predictions
# that are left over learn to say "no object".
#
# This guide trains such a detector on toy images. The matching is
# {py:func}`sinkhorn_tf.matching`: exact, for whole batches, with {term}`mask`s for
# images with fewer boxes, and made of graph operations, so that the training step is
# one {py:func}`tf.function`.

# %%
import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf

import sinkhorn_tf as st

SIZE, N_BOXES, N_QUERIES = 32, 4, 8

# %% [markdown]
# ## Toy images
#
# An image of 32x32 pixels holds one to four rectangles of different size and brightness
# that do not overlap, and some noise. A box is `(x0, y0, x1, y1)` in shares of the
# side. The boxes of an image are padded to four, and `present` tells which exist.


# %%
def make(count, seed):
    rng = np.random.default_rng(seed)
    images = rng.normal(0, 0.03, [count, SIZE, SIZE, 1]).astype("float32")
    boxes = np.zeros([count, N_BOXES, 4], "float32")
    present = np.zeros([count, N_BOXES], bool)
    for i in range(count):
        taken = np.zeros([SIZE, SIZE], bool)
        wanted = rng.integers(1, N_BOXES + 1)
        while present[i].sum() < wanted:
            width, height = rng.integers(5, 14, 2)
            x, y = rng.integers(0, SIZE - width), rng.integers(0, SIZE - height)
            # One pixel of margin.
            if taken[
                max(y - 1, 0) : y + height + 1, max(x - 1, 0) : x + width + 1
            ].any():
                continue
            taken[y : y + height, x : x + width] = True
            images[i, y : y + height, x : x + width] += rng.uniform(0.4, 1)
            n = present[i].sum()
            boxes[i, n] = np.array([x, y, x + width, y + height]) / SIZE
            present[i, n] = True
    return images, boxes, present


train, test = make(4000, seed=0), make(500, seed=1)
print("images with 1, 2, 3, 4 boxes:", np.bincount(train[2].sum(axis=1))[1:])

# %% [markdown]
# ## Costs and the matching
#
# The cost of a pair says how badly prediction i fits true box j: the distance of the
# corners, minus the overlap (intersection over union, IoU), minus the probability that
# the prediction gives to being an object. A cost is minus a logit, so the least cost is
# `st.matching(-cost)`. There are eight rows and four columns. With `col_mask=present`
# the columns of padding are left out, and `perm` is -1 for a prediction without a box.
# All eight predictions exist, so that no `row_mask` is needed.


# %%
def overlaps(a, b):
    """IoU of each pair of boxes: [..., N, 4] and [..., M, 4] to [..., N, M]."""
    a, b = a[..., :, None, :], b[..., None, :, :]
    low = tf.maximum(a[..., :2], b[..., :2])
    high = tf.minimum(a[..., 2:], b[..., 2:])
    both = tf.reduce_prod(tf.maximum(high - low, 0), axis=-1)
    area = [tf.reduce_prod(x[..., 2:] - x[..., :2], axis=-1) for x in (a, b)]
    return both / (area[0] + area[1] - both + 1e-6)


def pair_costs(boxes, true_boxes):
    """The part of the cost that the loss uses too: [..., 8, 4]."""
    difference = boxes[..., :, None, :] - true_boxes[..., None, :, :]
    distance = tf.reduce_sum(tf.abs(difference), axis=-1)
    return 5 * distance + 2 * (1 - overlaps(boxes, true_boxes))


def match(boxes, scores, true_boxes, present, temperature=0.0):
    """Which prediction learns which box: [..., 8, 4] of 0 and 1, or a soft plan."""
    cost = pair_costs(boxes, true_boxes) - tf.nn.sigmoid(scores)[..., None]
    if temperature > 0:
        return st.sinkhorn(-cost, temperature, col_mask=present)
    perm = st.matching(-cost, col_mask=present)  # int32 [..., 8]
    return st.permutations.to_matrix(perm, n_positions=N_BOXES)


# %% [markdown]
# Here are two images: one has two boxes, the other one has three. Each true box, a
# column, has one prediction, and the padded columns have none.

# %%
random = tf.random.stateless_uniform([2, N_QUERIES, 4], [0, 1])
corners = tf.concat([random[..., :2] * 0.5, random[..., :2] * 0.5 + 0.3], axis=-1)
few = [np.flatnonzero(train[2].sum(axis=1) == n)[0] for n in (2, 3)]
weights = match(corners, tf.zeros([2, N_QUERIES]), train[1][few], train[2][few])
print("predictions of each column:", tf.reduce_sum(weights, axis=1).numpy().tolist())
assert np.array_equal(tf.reduce_sum(weights, axis=1), train[2][few])
assert tf.reduce_max(tf.reduce_sum(weights, axis=2)) <= 1


# %% [markdown]
# ## The detector
#
# Three convolutions see the image, and two dense layers turn what they see into eight
# queries of five numbers: the centre and size of a box, and a score for being an
# object. The subclass has its own `train_step`. The loss is the cost of the matched
# pairs, plus the cross-entropy of each score with whether its query is matched. The
# matching decides and is not learnt, and so its gradient is stopped.


# %%
class Detector(keras.Model):
    def __init__(self, temperature=0.0):
        super().__init__()
        self.temperature = temperature
        conv = keras.layers.Conv2D
        self.body = keras.Sequential(
            [
                conv(16, 3, strides=2, padding="same", activation="relu"),
                conv(32, 3, strides=2, padding="same", activation="relu"),
                conv(32, 3, padding="same", activation="relu"),
                keras.layers.Flatten(),
                keras.layers.Dense(256, activation="relu"),
                keras.layers.Dense(N_QUERIES * 5),
                keras.layers.Reshape((N_QUERIES, 5)),
            ]
        )

    def call(self, images):
        """Boxes [B, 8, 4] and scores [B, 8]."""
        x = self.body(images)
        centre, size = tf.sigmoid(x[..., :2]), tf.sigmoid(x[..., 2:4] - 1)
        return tf.concat([centre - size / 2, centre + size / 2], -1), x[..., 4]

    def train_step(self, data):
        (images, true_boxes, present), *_ = data
        with tf.GradientTape() as tape:
            boxes, scores = self(images)
            weights = tf.stop_gradient(
                match(boxes, scores, true_boxes, present, self.temperature)
            )
            n = tf.reduce_sum(tf.cast(present, tf.float32))
            box_loss = tf.reduce_sum(weights * pair_costs(boxes, true_boxes)) / n
            matched = tf.clip_by_value(tf.reduce_sum(weights, axis=2), 0, 1)
            score_loss = tf.nn.sigmoid_cross_entropy_with_logits(matched, scores)
            loss = box_loss + tf.reduce_sum(score_loss) / n
        gradient = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(
            zip(gradient, self.trainable_variables, strict=True)
        )
        return {"loss": loss}


# %% [markdown]
# ## Train, and measure on new images
#
# The mean IoU is that of each true box with the prediction that is matched with it. The
# count is right if as many queries have a probability above one half as there are
# boxes.


# %%
def measure(model):
    boxes, scores = model.predict(test[0], batch_size=500, verbose=0)
    iou = overlaps(boxes, test[1])
    weights = match(boxes, scores, test[1], test[2])
    mean_iou = float(tf.reduce_sum(weights * iou) / test[2].sum())
    right_count = np.mean((scores > 0).sum(axis=1) == test[2].sum(axis=1))
    return mean_iou, right_count


EPOCHS = 8
batches = tf.data.Dataset.from_tensor_slices((train,)).shuffle(4000, seed=0).batch(50)
results, models = {}, {}
for name, temperature in [("exact", 0.0), ("soft, 1.0", 1.0)]:
    keras.utils.set_random_seed(0)
    model = models[name] = Detector(temperature)
    steps = EPOCHS * len(train[0]) // 50
    rate = keras.optimizers.schedules.CosineDecay(2e-3, steps)
    model.compile(keras.optimizers.Adam(rate))
    if name == "exact":
        results["untrained"] = measure(model)
        print(f"untrained  IoU {results['untrained'][0]:.3f}")
    model.fit(
        batches, epochs=EPOCHS, shuffle=False, verbose=0
    )  # the batches are shuffled
    results[name] = measure(model)
    print(f"{name:10} IoU {results[name][0]:.3f}, count right {results[name][1]:.3f}")
assert results["exact"][0] > results["untrained"][0] + 0.3
assert results["exact"][0] > 0.65 and results["exact"][1] > 0.5

# %% [markdown]
# The second detector had the plan of {py:func}`sinkhorn_tf.sinkhorn` at temperature 1
# as weights in place of the matching, in otherwise the same training. The overlap is
# nearly as good, but a soft plan shares each box out among several queries, none of
# which learns to be certain, and so the number of boxes is right in far fewer images:
# the last two lines above have both numbers.

# %%
assert abs(results["soft, 1.0"][0] - results["exact"][0]) < 0.15
assert results["soft, 1.0"][1] < results["exact"][1] - 0.2

boxes, scores = models["exact"].predict(test[0], batch_size=500, verbose=0)
figure, axes = plt.subplots(2, 4, figsize=(8, 4.2), layout="constrained")
for axis, i in zip(axes.flat, range(8), strict=True):
    axis.imshow(test[0][i, ..., 0], vmin=0, vmax=1)
    true, predicted = test[1][i][test[2][i]], boxes[i][scores[i] > 0]
    for drawn, style in [
        (true, {"color": "C2", "ls": "-"}),
        (predicted, {"color": "C1", "ls": "--"}),
    ]:
        for x0, y0, x1, y1 in drawn * SIZE - 0.5:
            box = plt.Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, lw=2, **style)
            axis.add_patch(box)
    axis.set(xticks=[], yticks=[])
lines = [plt.Line2D([], [], color="C2"), plt.Line2D([], [], color="C1", ls="--")]
figure.legend(lines, ["true", "predicted"], loc="outside lower center", ncols=2)
plt.show()

# %% [markdown]
# *The first eight test images. The boxes are drawn of all queries whose probability of
# being an object is above one half.*
#
# The whole training step is graph operations, the exact matching included. This
# compiles it once more, outside Keras, and checks that the matching in the graph is
# that of SciPy:

# %%
from scipy.optimize import linear_sum_assignment

compiled = tf.function(match)
weights = compiled(boxes, scores, test[1], test[2]).numpy()
for i in range(50):
    cost = pair_costs(boxes[i], test[1][i]) - tf.sigmoid(scores[i])[:, None]
    cost = cost.numpy()[:, test[2][i]]
    best = cost[linear_sum_assignment(cost)].sum()
    assert np.isclose((weights[i][:, test[2][i]] * cost).sum(), best, atol=1e-4)
print("50 matchings are as good as SciPy's")

# %% [markdown]
# ## In your own detector
#
# - Replace the body, and the two terms of `pair_costs`, with yours. With several
#   classes the cost of a pair has minus the probability of the true class.
# - Where both sets are padded, pass `row_mask` as well.
# - Where a prediction may stay unmatched because nothing is near enough, see
#   {py:func}`sinkhorn_tf.partial_matching`.
