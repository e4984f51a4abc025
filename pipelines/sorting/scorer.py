"""The logits of a network that sorts, as evaluation takes them."""

import keras
import numpy as np

import sinkhorn_tf as st


class SortingScorer:
    """The logits of a network as evaluation takes them: values `[B, N]` to `[B, N, N]`.

    Far from 0 float32 loses the differences between numbers. So the logits are computed
    with the same weights in another precision. To subtract the least number does not
    change the matching where the network is affine: `a_j (x - x_least)` differs from
    `a_j x` by a constant of each column.

    Args:
        network: A `sorting_network` of any precision.
        precision: "float32" or "float64".
        from_least: Whether each list's least number is subtracted first.
    """

    def __init__(self, network, precision, from_least=False):
        n, hidden = network.outputs[0].shape[-1], network.get_layer("hidden").units
        self.n = n
        self._weighted = st.models.sorting_network(n, hidden, dtype=precision)
        self.network = self._weighted
        if from_least:
            values = keras.Input((n,), name="values", dtype="float32")
            least = keras.ops.min(values, axis=1, keepdims=True)
            self.network = keras.Model(values, self._weighted(values - least))
        self.set_weights(network)

    def set_weights(self, network):
        """Takes over the weights of a network, of any precision."""
        self._weighted.set_weights(network.get_weights())

    def __call__(self, values):
        return self.network(values, training=False)


def slopes(network):
    """The slopes `a_j` of the logits beyond the last kink, and that kink.

    Beyond it the rows are `a_j x + c_j`, whose matching sorts exactly if `a_j` increases.
    """
    w, b, v, _ = (x.astype(np.float64) for x in network.get_weights())
    w = w[0]
    kinks = -b[w != 0] / w[w != 0]
    return np.maximum(w, 0) @ v, kinks.max(initial=0.0)


def inversions(a):
    """The places j where `a[j + 1]` is not above `a[j]`."""
    return np.flatnonzero(np.diff(a) <= 0)
