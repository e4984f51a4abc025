"""The log-domain loop in float64, and its derivative: what the plans are judged by."""

import numpy as np

from pipelines.benchmark.balance import balance


class Reference:
    """`S^L` of a problem, computed in parts that fit the caches.

    Args:
        inputs: The inputs of a peer, with `logits`, `temperature` and `iterations`.
        problem: The `Balance` to iterate for, by default that of the inputs.

    Attributes:
        plan: float64 `[B, N, M]`, without the slack.
    """

    def __init__(self, inputs, problem=None):
        self._inputs = inputs
        self._problem = balance(inputs) if problem is None else problem
        z = np.pad(
            inputs.logits.astype(np.float64),
            self._problem.padding,
            constant_values=self._problem.slack_logit,
        )
        z /= inputs.temperature
        size = max(1, 2**16 // (z.shape[1] * z.shape[2]))
        slices = [slice(k, k + size) for k in range(0, len(z), size)]
        self._parts = [(z[part], *self._scalings(z[part], part)) for part in slices]
        self.plan = self._without_slack([_plan(*part) for part in self._parts])

    def gradient(self, weights):
        """The gradient of `sum(plan * weights)` with respect to the logits."""
        weights = np.pad(weights.astype(np.float64), self._problem.padding)
        gradients, start = [], 0
        for part in self._parts:
            stop = start + len(part[0])
            gradients.append(_gradient(*part, weights[start:stop]))
            start = stop
        return self._without_slack(gradients) / self._inputs.temperature

    def _scalings(self, z, part):
        """Lists of the log scalings, and of the negative logarithms of the sums."""
        # What does not exist has the mass 0 and the log scaling -inf.
        with np.errstate(divide="ignore"):
            log_rows = np.log(
                self._problem.row_masses[part, :, None].astype(np.float64)
            )
            log_cols = np.log(self._problem.col_masses[part, None].astype(np.float64))
        a, b, of_rows, of_cols = [], [np.where(log_cols == -np.inf, -np.inf, 0)], [], []
        for _ in range(self._inputs.iterations):
            for masses, own, sums, scaling, axis in (
                (log_rows, a, of_rows, b, 2),
                (log_cols, b, of_cols, a, 1),
            ):
                sums.append(_normalisation(z + scaling[-1], masses, axis))
                # Free members keep the log scaling 0.
                own.append(np.where(np.isnan(masses), 0, masses + sums[-1]))
        return a, b, of_rows, of_cols

    def _without_slack(self, parts):
        _, n, m = self._inputs.logits.shape
        return np.concatenate(parts)[:, :n, :m]


def residual(inputs, plan):
    """The largest error of a row or column sum.

    The sums are the masses, and at most the masses where a slack or a dustbin takes the
    rest; those of what does not exist are 0.

    Args:
        inputs: The inputs of a peer.
        plan: `[B, N, M]`.
    """
    rows, cols = balance(inputs)[:2]
    worst = 0.0
    for axis, own, other in ((2, rows, cols), (1, cols, rows)):
        sums = plan.sum(axis)
        excess = sums - own[:, : sums.shape[1]]
        has_slack = other[:, plan.shape[axis] :].any(axis=1, keepdims=True)
        errors = np.where(has_slack, np.maximum(excess, 0), np.abs(excess))
        worst = max(worst, float(errors.max()))
    return worst


def _plan(z, a, b, *_):
    return np.exp(z + a[-1] + b[-1])


def _gradient(z, a, b, of_rows, of_cols, weights):
    """The derivative with respect to `z`, by each half step."""
    bar = weights * _plan(z, a, b)
    for k in reversed(range(len(a))):
        bar = bar - np.exp(z + a[k] + of_cols[k]) * bar.sum(1, keepdims=True)
        bar = bar - np.exp(z + of_rows[k] + b[k]) * bar.sum(2, keepdims=True)
    return bar


def _normalisation(x, log_masses, axis):
    """The negative logarithms of the sums; -inf for free members, which have no step."""
    return np.where(np.isnan(log_masses), -np.inf, -_logsumexp(x, axis))


def _logsumexp(x, axis):
    highest = x.max(axis, keepdims=True)
    return highest + np.log(np.exp(x - highest).sum(axis, keepdims=True))
