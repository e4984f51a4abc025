"""The cases that are measured, their inputs, and the float64 references."""

import dataclasses
import math
import types

import numpy as np
import scipy.optimize

# A result with a larger error is wrong, however fast it is.
WRONG = 1e-3


@dataclasses.dataclass(frozen=True)
class Case:
    """One thing to compute by every peer that can.

    Attributes:
        section: `operator`, `scaling`, `accuracy`, `solver`, `matching` or `serving`.
        kind: `forward`, `backward`, `solve`, `match`, `serve` or `request`.
        batch: The number of problems.
        n: The number of items of each problem.
        iterations: L, where it is fixed.
        temperature: The temperature of the operator.
        source: The origin of the logits: `normal`, `tight` (Weed 2018, theorem 2) or the
            name of a trained network.
    """

    section: str
    kind: str
    batch: int
    n: int
    iterations: int | None = None
    temperature: float | None = None
    source: str = "normal"

    @property
    def key(self):
        """The name of the case in `benchmark.json`."""
        parts = [self.section, self.kind, f"{self.batch}x{self.n}"]
        if self.iterations is not None:
            parts.append(f"L{self.iterations}")
        if self.temperature is not None:
            parts.append(f"t{self.temperature:g}")
        return "/".join([*parts, self.source])

    @property
    def size(self):
        """The heading of the case's column."""
        if self.section == "operator":
            at = "" if self.temperature == 1 else f" t={self.temperature:g}"
            return f"{self.batch}x{self.n} L{self.iterations}{at}"
        if self.section == "accuracy":
            return f"t = {self.temperature:g}"
        if self.section == "solver":
            factor = 1 / (self.temperature * self.n * math.log(self.n))
            return f"eta = {factor:.3g} n log n"
        if self.section == "matching" and self.source != "normal":
            return self.source
        if self.section == "serving":
            return f"{self.batch}x{self.n}"
        return f"N = {self.n}"


def tight_temperature(n, factor):
    """The temperature of `eta = factor * n log n`."""
    return 1 / (factor * n * math.log(n))


def inputs(case, seed, trained=None):
    """The inputs of a case, a dict of arrays and numbers.

    Args:
        case: A `Case`.
        seed: Seed of the random numbers.
        trained: Dict of a source's name to logits `[B, N, N]`.
    """
    shape = (case.batch, case.n, case.n)
    rng = np.random.default_rng([seed, *shape])
    values = {}
    if case.source == "tight":
        # The cost is 0 on two diagonals and 1 elsewhere.
        free = np.eye(case.n) + np.eye(case.n, k=1)
        values["logits"] = np.broadcast_to(free - 1, shape).copy()
        values |= {"tolerance": 1e-6, "iteration_tolerance": 1e-3}
    elif case.source == "normal":
        values["logits"] = rng.standard_normal(shape, np.float32)
    elif case.kind == "request":
        values["pieces"] = rng.uniform(size=(*shape[:2], 9, 9, 1)).astype(np.float32)
        values["logits"] = rng.standard_normal(shape, np.float32)
    else:
        values["logits"] = np.resize(trained[case.source], shape)
    if case.kind == "backward":
        values["weights"] = rng.standard_normal(shape, np.float32)
    for name in ("iterations", "temperature"):
        if getattr(case, name) is not None:
            values[name] = getattr(case, name)
    return values


class Operator:
    """The judge of plans and of gradients: the log-domain loop in float64."""

    def __init__(self, case, values):
        self._is_gradient = case.kind == "backward"
        z = values["logits"].astype(np.float64) / case.temperature
        # Parts of this size fit the caches.
        size = max(1, 2**16 // case.n**2)
        parts = [slice(k, k + size) for k in range(0, case.batch, size)]
        scalings = [_scalings(z[part], case.iterations) for part in parts]
        plans = [
            np.exp(z[part] + a[-1] + b[-1])
            for part, (a, b) in zip(parts, scalings, strict=True)
        ]
        self.plan = np.concatenate(plans)
        self._expected = self.plan
        if self._is_gradient:
            gradients = [
                _gradient(z[part], a, b, values["weights"][part])
                for part, (a, b) in zip(parts, scalings, strict=True)
            ]
            self._expected = np.concatenate(gradients) / case.temperature
        self.facts = {"reference_residual": residual(self.plan)}

    def judge(self, result):
        """The scores of a result.

        Args:
            result: Dict of arrays, of which `result` is the plan or the gradient.

        Returns:
            Dict. `error` is the largest error of the plan, or of the gradient relative
            to its largest entry, or None where the result is not finite; `residual` is
            the largest marginal error of the plan; `broken_examples` counts the examples
            that are not finite.
        """
        result = result["result"].astype(np.float64)
        if not np.isfinite(result).all():
            is_broken = ~np.isfinite(result).all(axis=(1, 2))
            return {"error": None, "broken_examples": int(is_broken.sum())}
        error = np.abs(result - self._expected).max()
        if self._is_gradient:
            return {"error": float(error / np.abs(self._expected).max())}
        return {"error": float(error), "residual": residual(result)}


class Solver:
    """The judge of plans to a tolerance."""

    facts = types.MappingProxyType({})

    def __init__(self, case, values):
        del case, values

    def judge(self, result):
        """The scores of a plan: `residual`, the marginal error, and `iterations`."""
        plan = result["result"].astype(np.float64)
        scores = {"residual": residual(plan) if np.isfinite(plan).all() else None}
        if "iterations" in result:
            scores["iterations"] = int(result["iterations"].max())
        return scores


class Matching:
    """The judge of permutations: SciPy in float64."""

    facts = types.MappingProxyType({})

    def __init__(self, case, values):
        del case
        self._logits = values["logits"].astype(np.float64)
        best = [
            scipy.optimize.linear_sum_assignment(x, maximize=True)[1]
            for x in self._logits
        ]
        self._best = self._value(np.stack(best))

    def judge(self, result):
        """The scores of permutations.

        Args:
            result: Dict of arrays: `result`, the permutations, and for some peers `gap`.

        Returns:
            Dict. `error` is the largest loss of value, or None where there is no
            permutation; `proven` is the share of gaps of 0.
        """
        perm = result["result"]
        identity = np.arange(perm.shape[-1])
        if not (np.sort(perm, axis=1) == identity).all():
            return {"error": None}
        loss = self._best - self._value(perm)
        # Rounding makes sums in another order differ.
        scores = {"error": float(max(loss.max(), 0.0))}
        if "gap" in result:
            scores["proven"] = float((result["gap"] == 0).mean())
        return scores

    def _value(self, perm):
        return np.take_along_axis(self._logits, perm[:, :, None], 2).sum((1, 2))


class Request:
    """The judge of answers whose logits are unknown."""

    facts = types.MappingProxyType({})

    def __init__(self, case, values):
        self._identity = np.arange(case.n)
        del values

    def judge(self, result):
        """The scores of an answer: `error` is 0 for permutations, else None."""
        is_right = (np.sort(result["result"], axis=1) == self._identity).all()
        return {"error": 0.0 if is_right else None}


JUDGES = {
    "forward": Operator,
    "backward": Operator,
    "solve": Solver,
    "match": Matching,
    "serve": Matching,
    "request": Request,
}


def residual(plan):
    """The largest difference of a row or column sum from 1."""
    return float(max(np.abs(plan.sum(axis) - 1).max() for axis in (1, 2)))


def _scalings(z, iterations):
    """Lists of the log scalings after each iteration: `[B, N, 1]` and `[B, 1, N]`."""
    a, b = [], [np.zeros_like(z[:, :1])]
    for _ in range(iterations):
        a.append(-_logsumexp(z + b[-1], 2))
        b.append(-_logsumexp(z + a[-1], 1))
    return a, b


def _gradient(z, a, b, weights):
    """The gradient of `sum(plan * weights)` with respect to `z`, by each half step."""
    bar = weights * np.exp(z + a[-1] + b[-1])
    for k in reversed(range(len(a))):
        bar = bar - np.exp(z + a[k] + b[k + 1]) * bar.sum(1, keepdims=True)
        bar = bar - np.exp(z + a[k] + b[k]) * bar.sum(2, keepdims=True)
    return bar


def _logsumexp(x, axis):
    highest = x.max(axis, keepdims=True)
    return highest + np.log(np.exp(x - highest).sum(axis, keepdims=True))
