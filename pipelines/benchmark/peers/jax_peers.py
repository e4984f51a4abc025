"""JAX: OTT and optax, jitted and vmapped."""

import jax
import jax.numpy as jnp
import numpy as np


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
        return _ready(self._plans(inputs), inputs.logits)

    def backward(self, inputs):
        plans = self._plans(inputs)
        return _ready(
            jax.grad(lambda x, weights: jnp.vdot(plans(x), weights)),
            inputs.logits,
            inputs.weights,
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

        def plan(x):
            # OTT updates the columns first, hence the transpose.
            cost = geometry.Geometry(cost_matrix=-x.T, epsilon=inputs.temperature)
            solution = solver(linear_problem.LinearProblem(cost))
            return solution.matrix.T * x.shape[0]

        return jax.vmap(plan)


class Optax:
    """optax's Hungarian algorithm, vmapped."""

    def match(self, inputs):
        from optax.assignment import hungarian_algorithm

        return _ready(jax.vmap(lambda cost: hungarian_algorithm(cost)), -inputs.logits)

    def arrays(self, result):
        rows, columns = (np.asarray(x) for x in result)
        perm = np.empty_like(columns)
        np.put_along_axis(perm, rows, columns, axis=1)
        return {"result": perm}


PEERS = {
    "ott_log": lambda: Ott(True),
    "ott_kernel": lambda: Ott(False),
    "optax": Optax,
}
