"""The networks for jigsaw puzzles: each piece alone, or pieces that see each other."""

import keras

from sinkhorn_tf.layers.edge_features import EdgeFeatures
from sinkhorn_tf.models._blocks import attention_blocks

KINDS = ("paper", "context")


def jigsaw_network(
    n_pieces: int,
    piece_shape: tuple[int, int, int],
    kind: str = "paper",
    *,
    filters: int = 64,
    kernel_size: int = 7,
    dropout: float = 0.0,
    width: int = 64,
    depth: int = 4,
    heads: int = 8,
    edge_scales: int = 1,
    name: str | None = None,
) -> keras.Model:
    """Builds a network for jigsaw puzzles: scrambled pieces permute the logits' rows.

    The kind "paper" is that of Mena et al. (2018): a convolution with max pooling, then
    a dense layer to N outputs, the same for each piece.

    In the kind "context" convolutions make a vector of each piece. Then the pieces see
    each other through `depth` blocks of attention without positions, whose scores also
    depend on how well the edges of each two pieces continue one another.

    Args:
        n_pieces: N, the number of pieces of a puzzle.
        piece_shape: `(height, width, channels)` of a piece.
        kind: "paper" or "context".
        filters: Number of filters of the convolution ("paper" alone).
        kernel_size: Size of the filters in pixels ("paper" alone).
        dropout: Share of a piece's features that is dropped at random in training, at
            least 0 and below 1 ("paper" alone).
        width: Size of a piece's vector ("context" alone).
        depth: Number of blocks of attention ("context" alone).
        heads: Heads of attention in each block ("context" alone).
        edge_scales: Number of scales of `EdgeFeatures`; 0 for attention without them
            ("context" alone).
        name: Name of the model.

    Returns:
        A functional `keras.Model` from float pieces `[B, N, height, width, channels]`
        with values in [0, 1] to logits `[B, N, N]`.

    Raises:
        ValueError: If `kind` is unknown, `dropout` is out of range, or `width` is not a
            multiple of `heads`.

    Example:

    >>> network = st.models.jigsaw_network(9, (8, 8, 1), filters=4, kernel_size=3)
    >>> network(tf.ones([2, 9, 8, 8, 1])).shape
    TensorShape([2, 9, 9])

    Reference:
        Mena et al. (2018), Learning latent permutations with Gumbel-Sinkhorn
        networks, section 4.2.
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {KINDS}. Received: kind={kind!r}")
    if not 0 <= dropout < 1:
        raise ValueError(
            f"dropout must be at least 0 and below 1. Received: dropout={dropout}"
        )
    pieces = keras.Input((n_pieces, *piece_shape), name="pieces")
    x = keras.ops.reshape(pieces, (-1, *piece_shape))
    if kind == "paper":
        x = _convolve_and_pool(x, filters, kernel_size)
        if dropout:
            x = keras.layers.Dropout(dropout, name="dropout")(x)
    else:
        x = _encode(x, width)
        x = keras.ops.reshape(x, (-1, n_pieces, width))
        pairs = None
        if edge_scales:
            pairs = EdgeFeatures(edge_scales, name="edges")(pieces)
        x = attention_blocks(x, pairs, depth, heads)
    x = keras.layers.Dense(n_pieces, name="logits")(x)
    logits = keras.ops.reshape(x, (-1, n_pieces, n_pieces))
    return keras.Model(pieces, logits, name=name or f"jigsaw_{kind}")


def _convolve_and_pool(x, filters, kernel_size):
    x = keras.layers.Conv2D(
        filters, kernel_size, padding="same", activation="relu", name="convolution"
    )(x)
    x = keras.layers.MaxPooling2D(2, padding="same", name="pooling")(x)
    return keras.layers.Flatten()(x)


def _encode(x, width):
    """Maps pieces `[M, height, width, channels]` to vectors `[M, width]`.

    The convolutions have a stride of 2, and 32 filters at first, then twice as many
    each time up to `width`, until a piece has at most 4 pixels a side.
    """
    number, filters = 0, 32
    while True:
        number += 1
        last = max(x.shape[1:3]) <= 8
        x = keras.layers.Conv2D(
            min(filters, width),
            3,
            strides=2,
            padding="same",
            activation="relu",
            name=f"convolution_{number}",
        )(x)
        filters *= 2
        if last:
            break
    x = keras.layers.Flatten()(x)
    return keras.layers.Dense(width, name="piece")(x)
