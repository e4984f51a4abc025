"""Random streams that do not depend on when or where they are drawn.

Everything random in a training is a function of (seed, purpose, step, position in
the global batch). So a resumed run is the same run, and any number of workers draw
the same numbers as a single one.
"""

import numpy as np
import tensorflow as tf

# The seed of evaluations, which never depend on the flag --seed.
EVALUATION = 20_170_228


def stream(seed, purpose, index):
    """The seed of one draw.

    Args:
        seed: Python int >= 0.
        purpose: Name of the draw, such as "crop".
        index: Python int or integer scalar tensor: the step, or an example's index.

    Returns:
        int32 tensor `[2]` for the stateless ops.
    """
    words = np.frombuffer(purpose.encode().ljust(32, b"\0")[:32], np.uint32)
    key = np.random.SeedSequence([seed, *words.tolist()]).generate_state(1)
    return tf.stack([tf.constant(key.astype(np.int32)[0]), tf.cast(index, tf.int32)])


def epoch_order(seed, epoch, n_examples):
    """The order in which an epoch visits the examples, an int64 array."""
    return np.random.default_rng([seed, epoch]).permutation(n_examples)
