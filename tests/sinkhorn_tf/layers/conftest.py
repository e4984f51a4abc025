"""Logits of the models of one layer."""

import numpy as np
import pytest

from tests.sinkhorn_tf.layers.one_layer import N


@pytest.fixture
def logits(rng):
    return rng.normal(size=(2, N, N)).astype(np.float32)
