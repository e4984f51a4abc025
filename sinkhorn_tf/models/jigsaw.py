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
    width: int = 64,
    depth: int = 4,
    heads: int = 8,
    edge_scales: int = 1,
    name: str | None = None,
) -> keras.Model:
    """A network for jigsaw puzzles, for which scrambling permutes the logits' rows.

    "paper" (SN section 4.2): a convolution with max pooling, then a dense layer to N
    outputs, the same for each piece.

    "context": convolutions make a vector of each piece, then the pieces see each other
    through `depth` blocks of attention without positions, whose scores also depend on
    how well the edges of each two pieces continue one another.

    Args:
        n_pieces: N, the number of pieces of a puzzle.
        piece_shape: `(height, width, channels)` of a piece.
        kind: "paper" or "context".
        filters, kernel_size: Of the convolution of "paper", in pixels.
        width, depth, heads: Of "context": the size of a piece's vector, blocks, and
            heads of attention in each.
        edge_scales: Of "context": see `EdgeFeatures`; 0 for attention without them.
        name: Name of the model.

    Returns:
        A functional `keras.Model` from float pieces `[B, N, height, width, channels]`
        with values in [0, 1] to logits `[B, N, N]`.

    Raises:
        ValueError: If `kind` is unknown, or `width` no multiple of `heads`.
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {KINDS}. Received: kind={kind!r}")
    pieces = keras.Input((n_pieces, *piece_shape), name="pieces")
    x = keras.ops.reshape(pieces, (-1, *piece_shape))
    if kind == "paper":
        x = _convolution_and_pooling(x, filters, kernel_size)
    else:
        x = _encoded(x, width)
        x = keras.ops.reshape(x, (-1, n_pieces, width))
        pairs = None
        if edge_scales:
            pairs = EdgeFeatures(edge_scales, name="edges")(pieces)
        x = attention_blocks(x, pairs, depth, heads)
    x = keras.layers.Dense(n_pieces, name="logits")(x)
    logits = keras.ops.reshape(x, (-1, n_pieces, n_pieces))
    return keras.Model(pieces, logits, name=name or f"jigsaw_{kind}")


def _convolution_and_pooling(x, filters, kernel_size):
    x = keras.layers.Conv2D(
        filters, kernel_size, padding="same", activation="relu", name="convolution"
    )(x)
    x = keras.layers.MaxPooling2D(2, padding="same", name="pooling")(x)
    return keras.layers.Flatten()(x)


def _encoded(x, width):
    """Pieces `[M, height, width, channels]` to vectors `[M, width]`.

    Convolutions of stride 2, of 32 filters and twice as many each time up to `width`,
    down to at most 4 pixels a side.
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
