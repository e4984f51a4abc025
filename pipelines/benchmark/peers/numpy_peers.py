"""NumPy: POT and pygmtools without a gradient, SciPy and lapx for matching."""

import numpy as np
import scipy.optimize


class _Arrays:
    def arrays(self, result):
        return {"result": np.asarray(result)}


class Pot(_Arrays):
    """POT's own function, one example at a time, as it takes no batch."""

    def forward(self, inputs):
        from ot.bregman import sinkhorn_knopp

        # POT updates the columns first, hence the transpose.
        costs = np.ascontiguousarray(-inputs.logits.transpose(0, 2, 1))
        ones = np.ones(costs.shape[1], np.float32)

        def run():
            return [
                sinkhorn_knopp(
                    ones,
                    ones,
                    cost,
                    inputs.temperature,
                    numItermax=inputs.iterations,
                    stopThr=0.0,
                    warn=False,
                )
                for cost in costs
            ]

        return run

    def arrays(self, result):
        return {"result": np.stack(result).transpose(0, 2, 1)}


class PotBatch(_Arrays):
    """POT's batched projections; rows first, a tolerance that is never met."""

    def __init__(self, log):
        self._log = log

    def forward(self, inputs):
        import ot.batch

        ones = np.ones(inputs.logits.shape[:2], np.float32)
        options = {"max_iter": inputs.iterations, "tol": -1.0}

        def run():
            z = inputs.logits / np.float32(inputs.temperature)
            if self._log:
                project = ot.batch.bregman_log_projection_batch
            else:
                project, z = ot.batch.bregman_projection_batch, np.exp(z)
            return project(z, ones, ones, **options)["T"]

        return run


class Pygmtools(_Arrays):
    """pygmtools with its backend for NumPy."""

    def forward(self, inputs):
        import pygmtools

        # pygmtools counts half steps.
        return lambda: pygmtools.sinkhorn(
            inputs.logits,
            max_iter=2 * inputs.iterations,
            tau=inputs.temperature,
            batched_operation=True,
            backend="numpy",
        )


class _Matching(_Arrays):
    """A matching of float32 logits, the type that a network returns."""

    def match(self, inputs):
        return lambda: self._match(inputs.logits)

    serve = match


class Scipy(_Matching):
    """SciPy's `linear_sum_assignment`, one example at a time."""

    def _match(self, logits):
        solve = scipy.optimize.linear_sum_assignment
        return [solve(x, maximize=True)[1] for x in logits]


class Lapx(_Matching):
    """lapx's `lapjv`, one example at a time."""

    def _match(self, logits):
        import lap

        costs = -logits.astype(np.float64)
        return [lap.lapjv(cost, return_cost=False)[0] for cost in costs]


class LapxBatch(_Matching):
    """lapx's batched `lapjvs_batch`."""

    def _match(self, logits):
        import lap

        costs = -logits.astype(np.float64)
        # 0 stands for a thread on each core.
        return lap.lapjvs_batch(costs, return_cost=False, n_threads=0)[1]


PEERS = {
    "pot": Pot,
    "pot_batch": lambda: PotBatch(False),
    "pot_batch_log": lambda: PotBatch(True),
    "pygmtools": Pygmtools,
    "scipy": Scipy,
    "lapx": Lapx,
    "lapx_batch": LapxBatch,
}
