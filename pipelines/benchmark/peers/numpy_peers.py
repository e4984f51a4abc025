"""NumPy: POT and pygmtools without a gradient, SciPy and lapx for matching."""

import numpy as np
import scipy.optimize

from pipelines.benchmark.balance import (
    balance,
    has_dustbins,
    is_square,
    masks,
    sizes,
)
from pipelines.benchmark.peers import Unsupported, pygmtools_problem


class _Arrays:
    def arrays(self, result):
        return {"result": np.asarray(result)}


class Pot(_Arrays):
    """POT's own function, one example at a time, as it takes no batch."""

    def forward(self, inputs):
        from ot.bregman import sinkhorn_knopp

        self._inputs = inputs
        problem = balance(inputs)
        # POT updates the columns first, hence the transpose; masses of 0 give NaN, and
        # so what does not exist is cut off.
        costs = -_padded(inputs.logits, problem)
        self._present = [
            np.ix_(rows > 0, cols > 0)
            for rows, cols in zip(problem.row_masses, problem.col_masses, strict=True)
        ]
        problems = [
            (cols[cols > 0], rows[rows > 0], np.ascontiguousarray(cost[present].T))
            for cols, rows, cost, present in zip(
                problem.col_masses,
                problem.row_masses,
                costs,
                self._present,
                strict=True,
            )
        ]

        def run():
            return [
                sinkhorn_knopp(
                    *masses_and_cost,
                    inputs.temperature,
                    numItermax=inputs.iterations,
                    stopThr=0.0,
                    warn=False,
                )
                for masses_and_cost in problems
            ]

        return run

    def arrays(self, result):
        plans = np.pad(
            np.zeros_like(self._inputs.logits), balance(self._inputs).padding
        )
        for plan, present, part in zip(plans, self._present, result, strict=True):
            plan[present] = part.T
        _, n, m = self._inputs.logits.shape
        return {"result": plans[:, :n, :m]}


class PotBatch(_Arrays):
    """POT's batched projections; rows first, a tolerance that is never met."""

    def __init__(self, log):
        self._log = log

    def forward(self, inputs):
        import ot.batch

        problem = balance(inputs)
        masses = problem.row_masses, problem.col_masses
        _, n, m = inputs.logits.shape
        options = {"max_iter": inputs.iterations, "tol": -1.0}

        def run():
            if is_square(inputs):
                z = inputs.logits / np.float32(inputs.temperature)
            else:
                z = _padded(inputs.logits, problem) / np.float32(inputs.temperature)
            if self._log:
                project = ot.batch.bregman_log_projection_batch
            else:
                project, z = ot.batch.bregman_projection_batch, np.exp(z)
            # The logarithm of the masses of 0.
            with np.errstate(divide="ignore"):
                return project(z, *masses, **options)["T"][:, :n, :m]

        return run


def _padded(logits, problem):
    """The logits with slack or dustbins."""
    return np.pad(logits, problem.padding, constant_values=problem.slack_logit)


class KernelLoop(_Arrays):
    """The loop that one writes first: no logarithms, hence for high temperatures."""

    def forward(self, inputs):
        if not is_square(inputs):
            raise Unsupported("the loop has no sets of different sizes, and no masses")
        z = inputs.logits / np.float32(inputs.temperature)

        def run():
            kernel = np.exp(z - z.max(axis=2, keepdims=True))
            transposed = kernel.transpose(0, 2, 1)
            v = np.ones_like(kernel[:, :, :1])
            for _ in range(inputs.iterations):
                u = 1 / (kernel @ v)
                v = 1 / (transposed @ u)
            return u * kernel * v.transpose(0, 2, 1)

        return run


class Pygmtools(_Arrays):
    """pygmtools with its backend for NumPy."""

    def forward(self, inputs):
        import pygmtools

        settings, self._scale = pygmtools_problem.settings(inputs)
        self._has_dustbins = has_dustbins(inputs)
        # pygmtools counts half steps.
        return lambda: pygmtools.sinkhorn(
            inputs.logits,
            **settings,
            max_iter=2 * inputs.iterations,
            tau=inputs.temperature,
            batched_operation=True,
            backend="numpy",
        )

    def arrays(self, result):
        free = {"free_dustbins": np.array(True)} if self._has_dustbins else {}
        return {"result": self._scale * result, **free}


class _Matching(_Arrays):
    """A matching of float32 logits, the type that a network returns.

    The result is a list of permutations, or, where sets have different sizes, of pairs of
    items and their positions.
    """

    def match(self, inputs):
        logits = inputs.logits
        self._shape = None if is_square(inputs) else logits.shape[:2]
        if is_square(inputs):
            return lambda: self._match(logits)
        return lambda: self._match_pairs(
            [x[:n, :m] for x, n, m in zip(logits, *sizes(inputs), strict=True)]
        )

    serve = match

    def match_sizes(self, inputs):
        run = self.match(inputs)
        run.calls = len(np.unique(inputs.row_mask.sum(axis=1)))
        return run

    def arrays(self, result):
        if self._shape is None:
            return super().arrays(result)
        perms = np.full(self._shape, -1)
        for perm, (items, positions) in zip(perms, result, strict=True):
            perm[items] = positions
        return {"result": perms}


class Scipy(_Matching):
    """SciPy's `linear_sum_assignment`, one example at a time."""

    def _match(self, logits):
        solve = scipy.optimize.linear_sum_assignment
        return [solve(x, maximize=True)[1] for x in logits]

    def _match_pairs(self, logits):
        solve = scipy.optimize.linear_sum_assignment
        return [solve(x, maximize=True) for x in logits]


class Lapx(_Matching):
    """lapx's `lapjv`, one example at a time."""

    def _match(self, logits):
        import lap

        costs = -logits.astype(np.float64)
        return [lap.lapjv(cost, return_cost=False)[0] for cost in costs]

    def _match_pairs(self, logits):
        import lap

        return [
            (
                slice(len(x)),
                lap.lapjv(-x.astype(np.float64), extend_cost=True, return_cost=False)[
                    0
                ],
            )
            for x in logits
        ]


class LapxBatch(_Matching):
    """lapx's batched `lapjvs_batch`."""

    def match(self, inputs):
        if masks(inputs):
            raise Unsupported("lapjvs_batch has no sets of different sizes in a batch")
        return super().match(inputs)

    def _match(self, logits):
        import lap

        costs = -logits.astype(np.float64)
        # 0 stands for a thread on each core.
        return lap.lapjvs_batch(costs, return_cost=False, n_threads=0)[1]

    def _match_pairs(self, logits):
        import lap

        costs = -np.asarray(logits, np.float64)
        rows, cols = lap.lapjvs_batch(
            costs, extend_cost=True, return_cost=False, n_threads=0
        )
        return list(zip(rows, cols, strict=True))


PEERS = {
    "numpy": KernelLoop,
    "pot": Pot,
    "pot_batch": lambda: PotBatch(False),
    "pot_batch_log": lambda: PotBatch(True),
    "pygmtools": Pygmtools,
    "scipy": Scipy,
    "lapx": Lapx,
    "lapx_batch": LapxBatch,
}
