"""Conversion of seeds, of functions and of layers."""

import numbers

import numpy as np
import tensorflow as tf

from sinkhorn_tf._core.conversion import known_array, to_numbers
from sinkhorn_tf._core.refusals import WrongKindError, shown


def to_seed(seed):
    """Converts a seed to an int32 `[2]` tensor.

    Args:
        seed: An int of any size, two integers of 32 bits (a list, an array or a
            tensor), or None for a fresh seed.

    Raises:
        ValueError: If `seed` is None inside a trace, which would draw one seed and keep
            it for every call, or if `seed` has another shape or size.
        TypeError: If `seed` is not an integer.
    """
    if seed is None:
        if not tf.executing_eagerly():
            raise ValueError(
                "seed=None inside a traced function would freeze one seed into the "
                "graph; pass an int or a [2] int tensor. Received: seed=None"
            )
        return tf.constant(np.random.SeedSequence().generate_state(2).astype(np.int32))
    if isinstance(seed, numbers.Integral) and not isinstance(seed, bool):
        return tf.constant(_two_words(int(seed)).astype(np.uint32).astype(np.int32))
    tensor = _seed_tensor(seed)
    if not tensor.shape.is_compatible_with([2]):
        raise ValueError(f"seed must have shape [2]. Received: seed={shown(seed)}")
    known = known_array(seed, tensor)
    if known is not None and not all(-(2**31) <= int(x) < 2**32 for x in known):
        raise ValueError(
            "seed must be two integers of 32 bits, or one of any size. "
            f"Received: seed={shown(seed)}"
        )
    return tf.cast(tensor, tf.int32)


def _seed_tensor(seed):
    try:
        tensor = to_numbers(seed, "seed", keeps_integers=True)
    except WrongKindError:
        tensor = None
    if tensor is None or not tensor.dtype.is_integer:
        raise WrongKindError(
            f"seed must be an int or a [2] int tensor. Received: seed={shown(seed)}"
        )
    return tensor


def _two_words(seed):
    """Two integers of 32 bits, which differ for all seeds of up to 64 bits."""
    if -(2**63) <= seed < 2**64:
        return np.array([seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF])
    # The bits beyond the 64th must count too.
    entropy = [int(seed < 0), abs(seed)]
    return np.random.SeedSequence(entropy).generate_state(2)


def to_python_seed(seed):
    """Converts the seed of a layer to None or an int that Keras' generators take.

    Args:
        seed: None, or a Python or NumPy integer. Keras takes 32 bits: a larger or
            negative integer is mixed down to as many.
    """
    if seed is None:
        return None
    if isinstance(seed, bool) or not isinstance(seed, numbers.Integral):
        raise WrongKindError(
            f"seed must be None or an int. Received: seed={shown(seed)}"
        )
    seed = int(seed)
    if 0 <= seed < 2**32:
        return seed
    entropy = [int(seed < 0), abs(seed)]
    return int(np.random.SeedSequence(entropy).generate_state(1)[0])
