"""Transformer blocks that the networks share."""

import typing

import keras

from sinkhorn_tf.layers.pair_attention import PairAttention


def attention_blocks(
    x: typing.Any, pairs: typing.Any, depth: int, heads: int
) -> typing.Any:
    """Adds blocks of attention among the pieces, and a last normalization.

    Args:
        x: KerasTensor `[B, N, width]`.
        pairs: Features of pairs `[B, N, N, features]`, or None.
        depth: Number of blocks.
        heads: Heads of attention in each block.

    Returns:
        `[B, N, width]`.

    Raises:
        ValueError: If there are blocks, and the width is not a multiple of `heads`.
    """
    width = x.shape[-1]
    if depth and width % heads:
        raise ValueError(
            f"The width must be a multiple of heads={heads}. Received: width={width}"
        )
    if pairs is not None:
        pairs = keras.layers.Dense(32, activation="relu", name="pairs")(pairs)
    for block in range(1, depth + 1):
        y = _norm(f"attention_norm_{block}")(x)
        name = f"attention_{block}"
        if pairs is not None:
            x = x + PairAttention(heads, name=name)([y, pairs])
        else:
            attention = keras.layers.MultiHeadAttention(
                heads, width // heads, name=name
            )
            x = x + attention(y, y)
        y = _norm(f"dense_norm_{block}")(x)
        y = keras.layers.Dense(4 * width, activation="relu", name=f"wide_{block}")(y)
        x = x + keras.layers.Dense(width, name=f"narrow_{block}")(y)
    return _norm("norm")(x)


def _norm(name):
    return keras.layers.LayerNormalization(epsilon=1e-5, name=name)
