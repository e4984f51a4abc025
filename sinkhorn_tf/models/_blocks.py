"""Transformer blocks that the networks share."""

import keras

from sinkhorn_tf.layers.pair_attention import PairAttention


def attention_blocks(x, pairs, depth, heads):
    """Blocks of attention among the pieces `[B, N, width]`, and their last norm."""
    width = x.shape[-1]
    if pairs is not None:
        pairs = keras.layers.Dense(32, activation="relu", name="pairs")(pairs)
    norm = lambda name: keras.layers.LayerNormalization(epsilon=1e-5, name=name)
    for block in range(1, depth + 1):
        y = norm(f"attention_norm_{block}")(x)
        name = f"attention_{block}"
        if pairs is not None:
            x = x + PairAttention(heads, name=name)([y, pairs])
        else:
            attention = keras.layers.MultiHeadAttention(
                heads, width // heads, name=name
            )
            x = x + attention(y, y)
        y = norm(f"dense_norm_{block}")(x)
        y = keras.layers.Dense(4 * width, activation="relu", name=f"wide_{block}")(y)
        x = x + keras.layers.Dense(width, name=f"narrow_{block}")(y)
    return norm("norm")(x)
