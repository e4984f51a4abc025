"""The networks of the judges: five kinds of classifiers of whole digits.

Each is a Keras model from images `[B, 28, 28, C]` in [0, 1] to logits `[B, n_labels]`.
"""

import keras
import numpy as np
import tensorflow as tf

SIDE = 28

# The nearest-neighbour judge keeps at most so many images, of MNIST every third of 55,000:
# with all of them a judgement takes three times as long. It recognizes .959 of the test.
_MAX_NEIGHBOURS = 20_000


def convolutional(channels, n_labels, seed):
    """The two-layer network of TensorFlow's tutorial, the judge of the paper.

    Convolutions of 32 and 64 filters with max pooling, a dense layer of 1,024, dropout.
    """
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((SIDE, SIDE, channels), name="image"),
            layers.Conv2D(32, 5, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 5, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(1024, activation="relu"),
            layers.Dropout(0.5, seed=seed),
            layers.Dense(n_labels),
        ],
        name="judge",
    )


def strided(channels, n_labels, seed):
    """Three convolutions, two of them with a stride, and batch normalization."""
    layers = keras.layers
    parts = [keras.Input((SIDE, SIDE, channels), name="image")]
    for filters, strides in ((16, 1), (24, 2), (32, 2)):
        parts += [
            layers.Conv2D(filters, 3, strides=strides, use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
        ]
    parts += [layers.Flatten(), layers.Dropout(0.2, seed=seed), layers.Dense(n_labels)]
    return keras.Sequential(parts, name="judge")


def dense(channels, n_labels, seed):
    """Two dense layers of 512 with dropout."""
    layers = keras.layers
    parts = [keras.Input((SIDE, SIDE, channels), name="image"), layers.Flatten()]
    for layer in range(2):
        parts += [
            layers.Dense(512, activation="relu"),
            layers.Dropout(0.3, seed=seed + layer),
        ]
    return keras.Sequential([*parts, layers.Dense(n_labels)], name="judge")


def transformer(channels, n_labels, seed):
    """A small vision transformer: 16 patches of 7 by 7 pixels, three blocks of width 64.

    Reference:
        Dosovitskiy et al. (2021), An image is worth 16x16 words.
    """
    layers, width, patch = keras.layers, 64, 7
    image = keras.Input((SIDE, SIDE, channels), name="image")
    x = layers.Conv2D(width, patch, strides=patch)(image)
    x = layers.Reshape((-1, width))(x)
    x = _Positions()(x)
    for block in range(3):
        y = layers.LayerNormalization()(x)
        x = x + layers.MultiHeadAttention(4, width // 4)(y, y)
        y = layers.LayerNormalization()(x)
        y = layers.Dense(2 * width, activation="gelu")(y)
        y = layers.Dropout(0.1, seed=seed + block)(layers.Dense(width)(y))
        x = x + y
    x = layers.Flatten()(layers.LayerNormalization()(x))
    return keras.Model(image, layers.Dense(n_labels)(x), name="judge")


def nearest(images, labels, n_labels):
    """The nearest neighbour among images: it is not trained.

    Args:
        images: uint8 array `[M, 28, 28, C]`; of more than 20,000 every second, third, ...
            is kept.
        labels: int array `[M]`. A label without an image is never the nearest.
        n_labels: The number of labels.
    """
    step = -(-len(images) // _MAX_NEIGHBOURS)
    images, labels = images[::step], labels[::step]
    layer = _NearestImages(np.bincount(labels, minlength=n_labels).tolist())
    network = keras.Sequential(
        [keras.Input(images.shape[1:], name="image"), keras.layers.Flatten(), layer],
        name="judge",
    )
    order = np.argsort(labels, kind="stable")
    known = images[order].reshape(len(images), -1) / np.float32(255)
    layer.set_weights([known])
    return network


@keras.saving.register_keras_serializable("pipelines")
class _Positions(keras.layers.Layer):
    """Adds a vector of its own to each place of a sequence."""

    def build(self, input_shape):
        self.vectors = self.add_weight(
            shape=input_shape[1:], initializer="random_normal", name="vectors"
        )

    def call(self, inputs):
        return inputs + self.vectors


@keras.saving.register_keras_serializable("pipelines")
class _NearestImages(keras.layers.Layer):
    """Logits from the least squared distances of vectors to known ones of each label.

    A logit is minus half of that distance, as if each label were a mixture of Gaussians of
    variance 1 around its images.

    Args:
        counts: The numbers of known vectors of each label, a list.
    """

    def __init__(self, counts, **options):
        super().__init__(**options)
        self.counts = list(counts)

    def build(self, input_shape):
        self.known = self.add_weight(
            shape=(sum(self.counts), input_shape[-1]),
            initializer="zeros",
            trainable=False,
            name="known",
        )

    def call(self, inputs):
        known = tf.convert_to_tensor(self.known)
        likeness = tf.matmul(inputs, known, transpose_b=True)
        likeness -= tf.reduce_sum(known**2, axis=1) / 2
        parts = tf.split(likeness, self.counts, axis=1)
        best = tf.stack([tf.reduce_max(part, axis=1) for part in parts], axis=1)
        return best - tf.reduce_sum(inputs**2, axis=1, keepdims=True) / 2

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], len(self.counts))

    def get_config(self):
        return super().get_config() | {"counts": self.counts}
