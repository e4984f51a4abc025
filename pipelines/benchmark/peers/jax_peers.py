"""JAX: OTT and optax, jitted and vmapped."""

import jax
import jax.numpy as jnp
import numpy as np

from pipelines.benchmark.balance import balance, masks
from pipelines.benchmark.peers import Unsupported


def _ready(function, *arrays):
    """A function without arguments that calls the compiled function on these arrays."""
    function = jax.jit(function)
    arrays = [jnp.asarray(x) for x in arrays]
    return lambda: jax.block_until_ready(function(*arrays))


class Ott:
    """OTT's Sinkhorn with a fixed number of iterations and no test of convergence."""

    def __init__(self, lse_mode):
        self._lse_mode = lse_mode

    def forward(self, inputs):
        problem = balance(inputs)
        plans = self._plans(inputs)
        return _ready(plans, inputs.logits, problem.row_masses, problem.col_masses)

    def backward(self, inputs):
        problem = balance(inputs)
        plans = self._plans(inputs)
        return _ready(
            jax.grad(lambda x, weights, *masses: jnp.vdot(plans(x, *masses), weights)),
            inputs.logits,
            inputs.weights,
            problem.row_masses,
            problem.col_masses,
        )

    def arrays(self, result):
        return {"result": np.asarray(result)}

    def _plans(self, inputs):
        from ott.geometry import geometry
        from ott.problems.linear import linear_problem
        from ott.solvers.linear import sinkhorn

        solver = sinkhorn.Sinkhorn(
            lse_mode=self._lse_mode,
            threshold=0.0,
            inner_iterations=inputs.iterations,
            min_iterations=inputs.iterations,
            max_iterations=inputs.iterations,
            # OTT then differentiates the iterations, not the limit.
            implicit_diff=None,
        )

        _, n, m = inputs.logits.shape
        problem = balance(inputs)
        padding, slack_logit = problem.padding[1:], problem.slack_logit

        def plan(x, row_masses, col_masses):
            # OTT updates the columns first, hence the transpose.
            x = jnp.pad(x, padding, constant_values=slack_logit)
            cost = geometry.Geometry(cost_matrix=-x.T, epsilon=inputs.temperature)
            total = row_masses.sum()
            problem = linear_problem.LinearProblem(
                cost, col_masses / total, row_masses / total
            )
            return (solver(problem).matrix.T * total)[:n, :m]

        return jax.vmap(plan)


class Optax:
    """optax's Hungarian algorithm, vmapped."""

    def match(self, inputs):
        from optax.assignment import hungarian_algorithm

        if masks(inputs):
            raise Unsupported("optax has no sets of different sizes in a batch")
        self._shape = inputs.logits.shape[:2]
        return _ready(jax.vmap(lambda cost: hungarian_algorithm(cost)), -inputs.logits)

    def arrays(self, result):
        rows, columns = (np.asarray(x) for x in result)
        perm = np.full(self._shape, -1)
        np.put_along_axis(perm, rows, columns, axis=1)
        return {"result": perm}


PEERS = {
    "ott_log": lambda: Ott(True),
    "ott_kernel": lambda: Ott(False),
    "optax": Optax,
}
