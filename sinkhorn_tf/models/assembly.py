"""The network that assembles pieces to a wanted target."""

import itertools
import math
from collections.abc import Sequence

import keras

from sinkhorn_tf.layers.dense_by_target import DenseByTarget
from sinkhorn_tf.models._blocks import attention_blocks


def assembly_network(
    n_pieces: int,
    piece_shape: tuple[int, int, int],
    n_targets: int = 10,
    *,
    width: int = 128,
    hidden: int = 2,
    bounds: Sequence[float] = (),
    depth: int = 0,
    heads: int = 8,
    name: str = "assembly",
) -> keras.Model:
    """Builds a network that assembles pieces to any of several targets.

    It is a trunk that all targets share, the same for each piece, and an output layer
    for each target. Scrambling the pieces permutes the rows of the logits.

    The network of the paper is this one but for the following. The trunk begins with `hidden`
    dense layers in place of a convolution, which for pieces of 3 by 3 pixels is nearly
    the same. With `bounds` a target has several output layers: which one is used depends on
    the sum of all pieces. With `depth` the pieces also see each other, through attention
    without positions, so that the whole can depend on which pieces there are.

    Args:
        n_pieces: N, the number of pieces.
        piece_shape: `(height, width, channels)` of a piece.
        n_targets: Number of targets.
        width: Size of a piece's vector.
        hidden: Number of dense layers that see a piece alone, at least 1.
        bounds: Sums of pixels (the mean of their channels), ascending: an example whose
            pieces sum to less than the first uses the first layer of its target, and so on.
        depth: Number of blocks of attention, 0 for none.
        heads: Heads of attention in each block.
        name: Name of the model.

    Returns:
        A functional `keras.Model` from `[pieces, digit]`, float pieces `[B, N, height,
        width, channels]` with values in [0, 1] and the wanted target int32 `[B]`, to
        logits `[B, N, N]`; NaN for a target that does not exist.

    Raises:
        ValueError: If `hidden` is below 1, `bounds` do not ascend, or `width` is not a
            multiple of `heads` where there is attention.

    Example:

    >>> network = st.models.assembly_network(4, (3, 3, 1), n_targets=10, width=16)
    >>> pieces, digit = tf.ones([2, 4, 3, 3, 1]), tf.constant([0, 9])
    >>> network([pieces, digit]).shape
    TensorShape([2, 4, 4])

    Reference:
        Mena et al. (2018), Learning latent permutations with Gumbel-Sinkhorn
        networks, section 4.3.
    """
    if hidden < 1:
        raise ValueError(f"hidden must be at least 1. Received: hidden={hidden}")
    bounds = [float(bound) for bound in bounds]
    if not all(a < b for a, b in itertools.pairwise([-math.inf, *bounds])):
        raise ValueError(f"bounds must be finite and ascend. Received: bounds={bounds}")
    pieces = keras.Input((n_pieces, *piece_shape), name="pieces")
    digit = keras.Input((), name="digit", dtype="int32")
    height, wide, channels = piece_shape
    x = keras.ops.reshape(pieces, (-1, n_pieces, height * wide * channels))
    for layer in range(1, hidden + 1):
        x = keras.layers.Dense(width, activation="relu", name=f"piece_{layer}")(x)
    if depth:
        x = attention_blocks(x, None, depth, heads)
    target = digit
    if bounds:
        total = keras.ops.sum(keras.ops.mean(pieces, axis=-1), axis=(1, 2, 3))
        reached = keras.ops.expand_dims(total, 1) >= keras.ops.array(bounds, "float32")
        level = keras.ops.sum(keras.ops.cast(reached, "int32"), axis=1)
        target = digit * (len(bounds) + 1) + level
    n_layers = n_targets * (len(bounds) + 1)
    logits = DenseByTarget(n_pieces, n_layers, name="logits")([x, target])
    return keras.Model([pieces, digit], logits, name=name)
