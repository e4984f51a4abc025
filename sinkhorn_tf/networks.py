"""The networks of the experiments: from items to the logits of their places."""

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


def jigsaw_network(
    n_pieces: int,
    piece_shape: tuple[int, int, int],
    kind: str = "paper",
    *,
    filters: int = 64,
    kernel_size: int = 7,
    name: str | None = None,
) -> keras.Model:
    """The network for jigsaw puzzles of SN section 4.2.

    "paper": a convolution with max pooling, then a dense layer to N outputs, the same
    for each piece, so that scrambling the pieces permutes the rows of the logits.

    Args:
        n_pieces: N, the number of pieces of a puzzle.
        piece_shape: `(height, width, channels)` of a piece.
        kind: "paper".
        filters: Filters of the convolution.
        kernel_size: Side of the convolution's kernel, in pixels.
        name: Name of the model.

    Returns:
        A functional `keras.Model` from float pieces `[B, N, height, width, channels]`
        with values in [0, 1] to logits `[B, N, N]`.

    Raises:
        ValueError: If `kind` is unknown.
    """
    if kind != "paper":
        raise ValueError(f"kind must be 'paper'. Received: kind={kind!r}")
    height, width, channels = piece_shape
    pieces = keras.Input((n_pieces, height, width, channels), name="pieces")
    x = keras.ops.reshape(pieces, (-1, height, width, channels))
    x = keras.layers.Conv2D(
        filters, kernel_size, padding="same", activation="relu", name="convolution"
    )(x)
    x = keras.layers.MaxPooling2D(2, padding="same", name="pooling")(x)
    x = keras.layers.Flatten()(x)
    x = keras.layers.Dense(n_pieces, name="logits")(x)
    logits = keras.ops.reshape(x, (-1, n_pieces, n_pieces))
    return keras.Model(pieces, logits, name=name or f"jigsaw_{kind}")
