"""The network for sorting numbers of SN section 4.1."""

import keras


def sorting_network(
    n: int, hidden: int = 32, *, dtype: str | None = None, name: str = "sorting"
) -> keras.Model:
    """The network for sorting numbers of SN section 4.1.

    The same for each number: a dense layer of ReLU units, then a dense layer to N
    outputs. So every row of the logits is a piecewise linear function of its number.

    Args:
        n: N, the length of a list.
        hidden: Units of the first layer.
        dtype: Of the computation, Keras' default if None.
        name: Name of the model.

    Returns:
        A functional `keras.Model` from float32 values `[B, N]` to logits `[B, N, N]`.
    """
    values = keras.Input((n,), name="values", dtype="float32")
    x = keras.ops.expand_dims(values, -1)
    if dtype is not None:
        x = keras.ops.cast(x, dtype)
    x = keras.layers.Dense(hidden, activation="relu", dtype=dtype, name="hidden")(x)
    logits = keras.layers.Dense(n, dtype=dtype, name="logits")(x)
    return keras.Model(values, logits, name=name)
