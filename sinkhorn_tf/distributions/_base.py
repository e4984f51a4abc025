"""What the distributions of permutations share: arguments, shapes, what has no value."""

from __future__ import annotations

import functools
import math
import typing

import numpy as np
import tensorflow as tf

from sinkhorn_tf._core import arguments, batching
from sinkhorn_tf._core.arguments import TensorLike
from sinkhorn_tf._core.conversion import known_array
from sinkhorn_tf._matching.matching import matching
from sinkhorn_tf._permutation_arguments import to_shape
from sinkhorn_tf.distributions._gumbel_kl import allowed_pairs

# Elements of the logits that are matched at a time: 32 MiB in float64.
_MATCHED_AT_A_TIME = 2**22


class PermutationDistribution:
    """A batch of distributions over the matchings of N items with M positions.

    Attributes:
        logits: `[..., N, M]`, with the batch dimensions of the distribution.
        row_mask: bool `[..., N]`, False where an item does not exist; or None.
        col_mask: bool `[..., M]`, the same for positions.
    """

    logits: tf.Tensor
    row_mask: tf.Tensor | None
    col_mask: tf.Tensor | None

    def _set_arguments(self, logits, row_mask, col_mask, **scales):
        """Converts and keeps the arguments of the constructor.

        Args:
            logits: `[..., N, M]`.
            row_mask, col_mask: Booleans, or None.
            scales: Pairs of a number or tensor that broadcasts against the batch
                dimensions, and the function that checks it. Each becomes an attribute.
        """
        given = logits
        logits = arguments.to_logits(logits)
        row_mask, col_mask = arguments.to_masks(row_mask, col_mask, logits)
        others = [(mask, -1) for mask in (row_mask, col_mask) if mask is not None]
        for name, (value, convert) in scales.items():
            value = convert(value, name, arguments.compute_dtype(logits.dtype))
            arguments.check_broadcasts(value.shape, name, logits.shape[:-2])
            if value.shape.rank is None:
                raise ValueError(
                    f"{name} must have a known rank. Received: {name} of unknown rank"
                )
            setattr(self, name, value)
            others += [] if value.shape.rank == 0 else [(value, None)]
        if others:
            batch, known = batching.sizes(logits, 0, -2), logits.shape[:-2]
            for other, stop in others:
                batch = batching.broadcast_shape(batch, batching.sizes(other, 0, stop))
                known = tf.broadcast_static_shape(known, other.shape[:stop])
            shape = tf.concat([batch, batching.sizes(logits, -2)], 0)
            logits = tf.broadcast_to(logits, shape)
            logits = tf.ensure_shape(logits, known.concatenate(logits.shape[-2:]))
        self.logits, self.row_mask, self.col_mask = logits, row_mask, col_mask
        self._check_known(given)

    def _check_known(self, given):
        """Raises for bad logits that are known; those of a graph cannot raise."""
        logits = known_array(given, self.logits)
        if logits is None or isinstance(given, tf.Variable):
            return
        allowed = tf.get_static_value(self._allowed_pairs())
        if allowed is None:
            return
        bad = allowed & ~(logits < math.inf)
        if bad.any():
            raise ValueError(
                "logits must be finite, or -inf where a pair is forbidden. Received: "
                f"logits with {int(bad.sum())} entries of NaN or +inf"
            )
        if (logits == -np.inf).any() and tf.executing_eagerly():
            impossible = ~self._has_matching(self.mode()).numpy()
            if impossible.any():
                raise ValueError(
                    "logits must leave a matching of the smaller side, but their -inf "
                    "forbid every one; allow more pairs. Received: logits with no "
                    f"matching in {int(impossible.sum())} of {impossible.size} examples"
                )

    def _allowed_pairs(self):
        return allowed_pairs(self.logits, self.row_mask, self.col_mask)

    def _matched_count(self):
        """int32, how many items a matching places: `[...]`, or a scalar for all."""
        n, m = batching.sizes(self.logits, -2)
        if self.row_mask is not None:
            n = tf.reduce_sum(tf.cast(self.row_mask, tf.int32), -1)
        if self.col_mask is not None:
            m = tf.reduce_sum(tf.cast(self.col_mask, tf.int32), -1)
        return tf.minimum(n, m)

    def _has_matching(self, perm):
        """Whether lists place as many items as a matching does: bool `[...]`."""
        return tf.equal(
            tf.reduce_sum(tf.cast(perm >= 0, tf.int32), -1), self._matched_count()
        )

    def _to_sample_shape(self, sample_shape):
        """The sample shape as an int32 tensor, and its known part."""
        shape = to_shape(sample_shape, "sample_shape")
        if any(map(tf.is_symbolic_tensor, tf.nest.flatten(sample_shape))):
            return shape, tf.TensorShape([None] * shape.shape[0])
        # XLA takes no size but a constant, and folds no cast.
        known = np.ravel(sample_shape).astype(np.int32)
        return tf.constant(known, tf.int32), tf.TensorShape(known.tolist())

    def _count(self, shape, known):
        """The product of sizes, an int if they are known: XLA takes no other size."""
        if known.is_fully_defined():
            return known.num_elements()
        return tf.reduce_prod(shape)

    def _match(self, logits):
        """The matchings of logits `[..., N, M]` with the masks of the distribution.

        Large batches are matched in parts, since a search keeps several copies of its
        logits: 7.6 GB for 10,000 of N = 100 at once, 2.3 GB in parts.
        """
        whole = functools.partial(
            matching, row_mask=self.row_mask, col_mask=self.col_mask
        )
        extra = logits.shape.rank - self.logits.shape.rank
        if not (extra and logits.shape.is_fully_defined()):
            return whole(logits)
        count = logits.shape[:extra].num_elements()
        size = max(1, _MATCHED_AT_A_TIME // max(self.logits.shape.num_elements(), 1))
        if count <= size:
            return whole(logits)
        parts = -(-count // size)
        flat = tf.reshape(logits, [count, *self.logits.shape])
        missing = [[0, parts * size - count]] + [[0, 0]] * self.logits.shape.rank
        flat = tf.reshape(tf.pad(flat, missing), [parts, size, *self.logits.shape])
        perm = tf.map_fn(whole, flat, fn_output_signature=tf.int32)
        perm = tf.reshape(perm, [parts * size, *self.logits.shape[:-1]])[:count]
        return tf.reshape(perm, logits.shape[:-1])

    def batch_shape(self) -> tf.TensorShape:
        """The known part of the batch dimensions."""
        return self.logits.shape[:-2]

    def event_shape(self) -> tf.TensorShape:
        """The known part of the shape of one sample: `[N]`, a permutation list."""
        return self.logits.shape[-2:-1]

    def mode(self) -> tf.Tensor:
        r"""The matching with the largest sum of logits, :math:`M(X)`.

        Returns:
            int32 `[..., N]`, -1 for an item without a position, and throughout where
            there is no matching.
        """
        return self._match(self.logits)

    def log_prob(self, value: TensorLike) -> tf.Tensor:
        """Log-probability of a value; raises where it has no tractable form."""
        raise NotImplementedError(self._no_value("log_prob"))

    def entropy(self) -> tf.Tensor:
        """Entropy in nats; raises where it has no tractable form."""
        raise NotImplementedError(self._no_value("entropy"))

    def mean(self) -> tf.Tensor:
        """The expected permutation matrix; raises where it has no tractable form."""
        raise NotImplementedError(self._no_value("mean"))

    # What to do instead of each method that has no tractable value.
    _alternatives: typing.ClassVar[dict[str, str]] = {}

    def _no_value(self, method):
        name = type(self).__name__
        return f"{name} has no tractable {method}: {self._alternatives[method]}"
