"""The network that sorts numbers."""

import keras


def sorting_network(
    n: int, hidden: int = 32, *, dtype: str | None = None, name: str = "sorting"
) -> keras.Model:
    """Builds a network that sorts numbers.

    It is the same for each number: a dense layer of ReLU units, then a dense layer to N
    outputs. So every row of the logits is a piecewise linear function of its number.

    Args:
        n: N, the length of a list.
        hidden: Units of the first layer.
        dtype: Dtype of the computation; None for Keras' default.
        name: Name of the model.

    Returns:
        A functional `keras.Model` from float32 values `[B, N]` to logits `[B, N, N]`.

    Example:

    >>> st.models.sorting_network(5)(tf.ones([2, 5])).shape
    TensorShape([2, 5, 5])

    Reference:
        Mena et al. (2018), Learning latent permutations with Gumbel-Sinkhorn
        networks, section 4.1.
    """
    values = keras.Input((n,), name="values", dtype="float32")
    x = keras.ops.expand_dims(values, -1)
    if dtype is not None:
        x = keras.ops.cast(x, dtype)
    x = keras.layers.Dense(hidden, activation="relu", dtype=dtype, name="hidden")(x)
    logits = keras.layers.Dense(n, dtype=dtype, name="logits")(x)
    return keras.Model(values, logits, name=name)
