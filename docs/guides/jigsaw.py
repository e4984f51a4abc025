# %% [markdown]
# # A jigsaw puzzle from scratch in Keras
#
# You cut scanned digits into pieces, scramble them, and train a network that puts them
# back. The network sees original images while it trains, and is never told which piece
# goes where.
#
# The pieces are cut with NumPy in this guide, so that you can replace them with your
# own data. The images are the 1,797 digits of 8x8 pixels in scikit-learn.

# %%
import keras
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

import sinkhorn_tf as st

keras.utils.set_random_seed(0)
images = (load_digits().images / 16).astype("float32")
images = images[np.random.default_rng(0).permutation(len(images))]
train_images, test_images = images[:1400], images[1400:]
print(len(train_images), "to train on,", len(test_images), "to test")

# %% [markdown]
# ## Cut and scramble
#
# A puzzle of 2x2 pieces has four items and four positions; position 0 is top left, 1
# top right, 2 and 3 are below. `perm[i]` is the true position of the scrambled piece i.

# %%
GRID = 2


def cut(images, grid=GRID):
    """Images [B, S, S] to pieces [B, grid * grid, S / grid, S / grid]."""
    side = images.shape[1] // grid
    pieces = images.reshape(-1, grid, side, grid, side).transpose(0, 1, 3, 2, 4)
    return pieces.reshape(-1, grid * grid, side, side)


def assemble(pieces, grid=GRID):
    """The inverse of `cut`."""
    side = pieces.shape[-1]
    rows = pieces.reshape(-1, grid, grid, side, side).transpose(0, 1, 3, 2, 4)
    return rows.reshape(-1, grid * side, grid * side)


def scramble(pieces, seed):
    """Scrambled pieces, and the true position of each."""
    perm = st.permutations.sample((len(pieces),), pieces.shape[1], seed=seed).numpy()
    return np.take_along_axis(pieces, perm[:, :, None, None], axis=1), perm


train_pieces, test_pieces = cut(train_images), cut(test_images)
train_scrambled, _ = scramble(train_pieces, seed=1)
test_scrambled, test_perm = scramble(test_pieces, seed=2)
assert np.array_equal(assemble(train_pieces), train_images)

# %% [markdown]
# ## The network
#
# The same dense layers look at each piece and turn its 4 x 4 pixels into a vector. The
# mean of the four vectors tells each piece what the others hold. The last layer gives
# four {term}`logits` for each piece, its scores for the four positions: `[B, 4, 4]`.
#
# {py:class}`sinkhorn_tf.GumbelSinkhorn` makes soft permutations of them. It adds noise
# while the network trains, and is the Sinkhorn layer otherwise.
# {py:class}`sinkhorn_tf.Restore` lays the pieces by the soft permutation. The loss
# compares the result with the original, piece by piece.

# %%
N = GRID * GRID
SIDE = images.shape[1] // GRID

scrambled = keras.Input((N, SIDE, SIDE), name="scrambled")
x = keras.layers.Reshape((N, SIDE * SIDE))(scrambled)
x = keras.layers.Dense(128, activation="relu")(x)
x = keras.layers.Dense(128, activation="relu")(x)
mean = keras.layers.RepeatVector(N)(keras.layers.GlobalAveragePooling1D()(x))
x = keras.layers.Concatenate()([x, mean])
x = keras.layers.Dense(128, activation="relu")(x)
x = keras.layers.Dropout(0.2)(x)
logits = keras.layers.Dense(N)(x)
network = keras.Model(scrambled, logits)

layer = st.GumbelSinkhorn(temperature=1.0, noise_scale=0.3, seed=0)
model = keras.Model(scrambled, st.Restore()([layer(logits), scrambled]))
model.compile(keras.optimizers.Adam(0.002), loss="mse")

# %% [markdown]
# The network treats all pieces alike. If you scramble them in another way, the logits
# of each piece stay with it, so one scrambling of each training image is enough:

# %%
other, other_perm = scramble(train_pieces[:8], seed=3)
first, first_perm = scramble(train_pieces[:8], seed=4)
by_position = [
    np.take_along_axis(network(x).numpy(), np.argsort(perm)[:, :, None], axis=1)
    for x, perm in [(other, other_perm), (first, first_perm)]
]
assert np.allclose(*by_position, atol=1e-5)

# %% [markdown]
# ## Train and test
#
# {py:func}`sinkhorn_tf.matching` answers with a hard permutation. The share of right
# pieces before the training is about that of a guess, one in four. The temperature
# falls from 1 to .2 during the training, by {py:class}`sinkhorn_tf.AnnealTemperature`.


# %%
def right_positions():
    perm = st.matching(network.predict(test_scrambled, verbose=0)).numpy()
    return perm, perm == test_perm


_, before = right_positions()
EPOCHS = 40
steps = EPOCHS * len(train_pieces) // 64
schedule = keras.optimizers.schedules.ExponentialDecay(1.0, steps, 0.2)
history = model.fit(
    train_scrambled,
    train_pieces,
    validation_data=(test_scrambled, test_pieces),
    batch_size=64,
    epochs=EPOCHS,
    callbacks=[st.AnnealTemperature(schedule)],
    verbose=0,
).history
perm, after = right_positions()
print(f"pieces in their true position before: {before.mean():.3f}")
print(f"and after the training:               {after.mean():.3f}")
print(f"puzzles without a wrong piece: {after.all(axis=1).mean():.3f}")
wrong = float(st.metrics.ProportionWrong()(test_perm, perm))
print(f"wrong by st.metrics.ProportionWrong: {wrong:.3f}")
assert abs(wrong - (1 - after.mean())) < 1e-5
assert before.mean() < 0.4 and after.mean() > 0.88

# %%
figure, axis = plt.subplots(figsize=(6.4, 3), layout="constrained")
axis.plot(history["loss"], label="training, with noise")
axis.plot(history["val_loss"], label="test, without noise")
axis.set(xlabel="epoch", ylabel="mean squared error", yscale="log")
axis.legend()
plt.show()

# %% [markdown]
# *Error of the softly restored images. Pixels are from 0 to 1. The test images decide
# nothing: the training ends after a number of epochs that was set before.*
#
# ## See the puzzles
#
# The picture shows the first puzzle that is right, and the first five with wrong
# pieces. The soft row is the model's output, a mixture of pieces where the network is
# unsure.

# %%
soft = model.predict(test_scrambled, verbose=0)
hard = np.take_along_axis(test_scrambled, np.argsort(perm)[:, :, None, None], axis=1)
unsolved = ~after.all(axis=1)
shown = np.concatenate([np.flatnonzero(~unsolved)[:1], np.flatnonzero(unsolved)[:5]])
rows = {
    "scrambled": test_scrambled,
    "soft": soft,
    "hard": hard,
    "original": test_pieces,
}
figure, axes = plt.subplots(4, len(shown), figsize=(7.5, 5.2), layout="constrained")
for line, (name, pieces) in zip(axes, rows.items(), strict=True):
    line[0].set_ylabel(name)
    for axis, i in zip(line, shown, strict=True):
        axis.imshow(assemble(pieces[i : i + 1])[0], vmin=0, vmax=1)
        axis.set(xticks=[], yticks=[])
        if name == "hard":
            for position in perm[i][~after[i]]:
                corner = (position % GRID * SIDE - 0.5, position // GRID * SIDE - 0.5)
                axis.add_patch(
                    plt.Rectangle(corner, SIDE, SIDE, fill=False, color="C1", lw=3)
                )
plt.show()

# %% [markdown]
# *Test puzzles: the first is solved, the others are not. Wrong pieces are framed.*
#
# ## Equal pieces
#
# Two pieces that are equal, such as two blank corners, can be swapped and the image is
# still right. Nobody can tell them apart, and a score by positions counts them as
# wrong. Count by content instead: a place is right if it holds the pixels of the
# original.


# %%
def right_content(hard, original):
    return (hard == original).all(axis=(2, 3))


def share_of_images_with_equal_pieces(images, grid):
    pieces = cut(images, grid).reshape(len(images), grid * grid, -1)
    return np.mean([len(np.unique(p, axis=0)) < grid * grid for p in pieces])


by_content = right_content(hard, test_pieces)
print(f"right by position {after.mean():.3f}, by content {by_content.mean():.3f}")
equal = {grid: share_of_images_with_equal_pieces(test_images, grid) for grid in (2, 4)}
for grid, share in equal.items():
    print(f"cut in {grid}x{grid}: {share:.3f} of the digits have equal pieces")
assert by_content.mean() >= after.mean()
assert equal[2] < 0.01 and equal[4] > 0.9

# %% [markdown]
# Quarters of these digits are never equal, so that both counts agree, and the errors
# above are the network's own. In 4x4 pieces nearly every digit has equal pieces, blank
# ones above all. On MNIST, whose margins are blank, they are nearly the whole error
# from 3x3 pieces on: a solver that knows all but which of several equal pieces is which
# has .087 of the pieces wrong, and the network has .088. {doc}`/results/jigsaw` gives
# both for each row; that solver is the "oracle" of its table.
#
# ## Your own images
#
# - **More pieces.** Set `GRID = 3` with images whose side is a multiple of 3. The
#   logits become `[B, 9, 9]`, and a larger network and a longer training are needed.
# - **Photographs.** Pieces have colours (add an axis of channels to `cut` and
#   `assemble`), and convolutions see edges better than dense layers:
#   `keras.layers.TimeDistributed` applies a small network to each piece. Some hundreds
#   of images are the least.
# - **Weights that see pairs.** Which piece fits beside which matters more for
#   photographs. {py:mod}`sinkhorn_tf.models` has `jigsaw_network`, whose pieces see
#   each other.
# - **A finished program.** It augments, validates, resumes and exports:
#
# ```sh
# python -m pipelines.jigsaw --dataset=folder --data_dir=photographs \
#   --grid=3 --image_size=48
# ```
