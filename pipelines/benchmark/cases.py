"""The cases that are measured, their inputs, and the float64 references."""

import dataclasses
import math
import types

import numpy as np
import scipy.optimize

from pipelines.benchmark.balance import free_dustbins, sizes
from pipelines.benchmark.reference import Reference, residual

# A result with a larger error is wrong, however fast it is.
WRONG = 1e-3
# Normal logits whose standard deviation is 3, about that of trained networks, where few
# examples settle.
SPREAD = "3 normal"


@dataclasses.dataclass(frozen=True)
class Case:
    """One thing to compute by every peer that can.

    Attributes:
        section: `operator`, `scaling`, `accuracy`, `solver`, `matching`, `serving`,
            `shapes`, `eager`, `large` or `spread`.
        kind: `forward`, `backward`, `solve`, `match`, `serve` or `request`; in the section
            eager `forward_sizes`, `backward_sizes`, `match_sizes`, `certify_sizes` or
            `rank_sizes`, whose batch has as many examples of each size.
        batch: The number of problems.
        n: The number of items of each problem.
        iterations: L, where it is fixed.
        temperature: The temperature of the operator.
        source: The origin of the logits: `normal`, `3 normal`, `tight` (Weed 2018,
            theorem 2) or the name of a trained network.
        m: The number of positions, where it is not the number of items or is told beside
            it.
        smallest: The size of the smallest sets. The sizes of an example's two sets are
            then drawn between it and `n` and `m`, and masks tell them.
        problem: What the sets have beside their sizes: `masses`, random ones of both
            sides; `balanced`, items of mass 1 and positions that share their total;
            `dustbins`, a score for those without a partner.
    """

    section: str
    kind: str
    batch: int
    n: int
    iterations: int | None = None
    temperature: float | None = None
    source: str = "normal"
    m: int | None = None
    smallest: int | None = None
    problem: str | None = None

    @property
    def shape(self):
        """The shape of the logits."""
        return (self.batch, self.n, self.n if self.m is None else self.m)

    @property
    def key(self):
        """The name of the case in `benchmark.json`."""
        parts = [self.section, self.kind, self._sets]
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
        if self.section == "large":
            return f"N = {self.n} t = {self.temperature:g}"
        if self.section == "accuracy":
            return f"t = {self.temperature:g}"
        if self.section == "solver":
            factor = 1 / (self.temperature * self.n * math.log(self.n))
            return f"eta = {factor:.3g} n log n"
        if self.section == "matching" and self.source != "normal":
            return self.source
        if self.section in ("serving", "shapes", "eager", "spread"):
            return self._sets
        return f"N = {self.n}"

    @property
    def _sets(self):
        """The size as its flag takes it."""
        shape = self.shape if self.m is not None else self.shape[:2]
        after = [x for x in (self.smallest, self.problem) if x is not None]
        return ":".join(["x".join(map(str, shape)), *map(str, after)])


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
    shape = case.shape
    rng = np.random.default_rng([seed, *shape])
    values = {}
    if case.source == "tight":
        # The cost is 0 on two diagonals and 1 elsewhere.
        free = np.eye(case.n) + np.eye(case.n, k=1)
        values["logits"] = np.broadcast_to(free - 1, shape).copy()
        values |= {"tolerance": 1e-6, "iteration_tolerance": 1e-3}
    elif case.source in ("normal", SPREAD):
        values["logits"] = rng.standard_normal(shape, np.float32)
        if case.source == SPREAD:
            values["logits"] *= 3
    elif case.kind == "request":
        values["pieces"] = rng.uniform(size=(*shape[:2], 9, 9, 1)).astype(np.float32)
        values["logits"] = rng.standard_normal(shape, np.float32)
    else:
        values["logits"] = np.resize(trained[case.source], shape)
    if case.kind in ("backward", "backward_sizes"):
        values["weights"] = rng.standard_normal(shape, np.float32)
    if case.smallest is not None:
        for name, length in zip(("row_mask", "col_mask"), shape[1:], strict=True):
            if case.section == "eager":
                each = np.arange(case.smallest, length + 1)
                sizes = np.repeat(each, case.batch // len(each))
            else:
                sizes = rng.integers(case.smallest, length, case.batch, endpoint=True)
            values[name] = np.arange(length) < sizes[:, None]
    if case.problem is not None:
        values |= _PROBLEMS[case.problem](rng, *shape)
    for name in ("iterations", "temperature"):
        if getattr(case, name) is not None:
            values[name] = getattr(case, name)
    return values


def _masses(rng, batch, n, m):
    rows, cols = (rng.uniform(0.5, 1.5, (batch, size)) for size in (n, m))
    cols *= rows.sum(1, keepdims=True) / cols.sum(1, keepdims=True)
    return {
        "row_marginals": rows.astype(np.float32),
        "col_marginals": cols.astype(np.float32),
    }


def _balanced(rng, batch, n, m):
    del rng, m
    return {"row_marginals": np.ones((batch, n), np.float32)}


def _dustbins(rng, batch, n, m):
    del rng, batch, n, m
    # The first value of the parameter of SuperGlue.
    return {"unmatched_score": 1.0}


_PROBLEMS = {"masses": _masses, "balanced": _balanced, "dustbins": _dustbins}


class Operator:
    """The judge of plans and of gradients: the log-domain loop in float64."""

    def __init__(self, case, values):
        self._inputs = types.SimpleNamespace(**values)
        self._is_gradient = case.kind in ("backward", "backward_sizes")
        reference = Reference(self._inputs)
        self.plan = reference.plan
        self._expected = self._result(reference)
        self.facts = {"reference_residual": residual(self._inputs, self.plan)}

    def judge(self, result):
        """The scores of a result.

        Args:
            result: Dict of arrays, of which `result` is the plan or the gradient. With
                `free_dustbins` it is compared with the iterations for such dustbins.

        Returns:
            Dict. `error` is the largest error of the plan, or of the gradient relative
            to its largest entry, or None where the result is not finite; `residual` is
            the largest marginal error of the plan; `broken_examples` counts the examples
            that are not finite.
        """
        expected = self._expected
        if "free_dustbins" in result:
            problem = free_dustbins(self._inputs)
            expected = self._result(Reference(self._inputs, problem))
        result = result["result"].astype(np.float64)
        if not np.isfinite(result).all():
            is_broken = ~np.isfinite(result).all(axis=(1, 2))
            return {"error": None, "broken_examples": int(is_broken.sum())}
        error = np.abs(result - expected).max()
        if self._is_gradient:
            return {"error": float(error / np.abs(expected).max())}
        return {"error": float(error), "residual": residual(self._inputs, result)}

    def _result(self, reference):
        """The right result of a peer, which a `Reference` computes."""
        if self._is_gradient:
            return reference.gradient(self._inputs.weights)
        return reference.plan


class Solver:
    """The judge of plans to a tolerance."""

    facts = types.MappingProxyType({})

    def __init__(self, case, values):
        del case
        self._inputs = types.SimpleNamespace(**values)

    def judge(self, result):
        """The scores of a plan: `residual`, the marginal error, and `iterations`."""
        plan = result["result"].astype(np.float64)
        is_finite = np.isfinite(plan).all()
        scores = {"residual": residual(self._inputs, plan) if is_finite else None}
        if "iterations" in result:
            scores["iterations"] = int(result["iterations"].max())
        return scores


class Matching:
    """The judge of permutations: SciPy in float64."""

    facts = types.MappingProxyType({})

    def __init__(self, case, values):
        del case
        inputs = types.SimpleNamespace(**values)
        # The members that exist are the first of each example; this drops the others.
        self._problems = [
            x[:n, :m].astype(np.float64)
            for x, n, m in zip(inputs.logits, *sizes(inputs), strict=True)
        ]
        self._best = np.array(
            [
                x[scipy.optimize.linear_sum_assignment(x, maximize=True)].sum()
                for x in self._problems
            ]
        )

    def judge(self, result):
        """The scores of permutations.

        Args:
            result: Dict of arrays: `result`, the permutations, and for some peers `gap`.

        Returns:
            Dict. `error` is the largest loss of value, or None where there is no
            permutation; `proven` is the share of gaps of 0.
        """
        pairs = list(zip(self._problems, result["result"], strict=True))
        if not all(_is_matching(x, perm) for x, perm in pairs):
            return {"error": None}
        loss = self._best - [_value(x, perm) for x, perm in pairs]
        # Rounding makes sums in another order differ.
        scores = {"error": float(max(loss.max(), 0.0))}
        if "gap" in result:
            scores["proven"] = float((result["gap"] == 0).mean())
        return scores


def _is_matching(x, perm):
    """Whether the smaller set is placed whole, and nothing that does not exist."""
    positions = perm[perm != -1]
    return (
        np.isin(positions, np.arange(x.shape[1])).all()
        and len(set(positions)) == len(positions) == min(x.shape)
        and (perm[len(x) :] == -1).all()
    )


def _value(x, perm):
    items = np.flatnonzero(perm != -1)
    return x[items, perm[items]].sum()


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


class Ranks:
    """The judge of soft ranks of the first rows."""

    facts = types.MappingProxyType({})

    def __init__(self, case, values):
        del case
        inputs = types.SimpleNamespace(**values)
        self._values = [
            x[0, :n] for x, n in zip(inputs.logits, sizes(inputs)[0], strict=True)
        ]

    def judge(self, result):
        """The scores of ranks: `error` is that of their sums, None for a wrong order."""
        error = 0.0
        for values, ranks in zip(self._values, result["result"], strict=True):
            n = len(values)
            in_order = ranks[:n][np.argsort(values)]
            if not (np.diff(in_order) >= -WRONG).all():
                return {"error": None}
            error = max(error, abs(float(in_order.sum()) - n * (n - 1) / 2) / n)
        return {"error": error}


JUDGES = {
    "forward": Operator,
    "backward": Operator,
    "solve": Solver,
    "match": Matching,
    "serve": Matching,
    "request": Request,
    "forward_sizes": Operator,
    "backward_sizes": Operator,
    "match_sizes": Matching,
    "certify_sizes": Matching,
    "rank_sizes": Ranks,
}
