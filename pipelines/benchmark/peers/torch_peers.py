"""PyTorch: the log loop, and the peers that PyTorch differentiates."""

import numpy as np
import torch

from pipelines.benchmark.balance import balance, has_dustbins, is_square, masks
from pipelines.benchmark.peers import pygmtools_problem


class _Torch:
    """A plan of a float32 tensor; operations on a CPU return when they are done."""

    def forward(self, inputs):
        x = torch.from_numpy(inputs.logits)

        @torch.no_grad()
        def run():
            return self._plan(x, inputs)

        return run

    def backward(self, inputs):
        x = torch.from_numpy(inputs.logits).requires_grad_()
        weights = torch.from_numpy(inputs.weights)

        def run():
            loss = (self._plan(x, inputs) * weights).sum()
            return torch.autograd.grad(loss, x)[0]

        return run

    def arrays(self, result):
        return {"result": result.numpy()}


def _balanced(x, inputs):
    """The logits over the temperature with slack or dustbins, and the masses."""
    problem = balance(inputs)
    x = x / inputs.temperature
    if not is_square(inputs):
        x = torch.nn.functional.pad(
            x,
            (0, problem.slack_cols, 0, problem.slack_rows),
            value=problem.slack_logit / inputs.temperature,
        )
    return x, torch.from_numpy(problem.row_masses), torch.from_numpy(problem.col_masses)


class LogLoop(_Torch):
    """A logsumexp per half step; one iteration compiled, or nothing.

    For masses and dustbins it is the loop of SuperGlue (Sarlin et al. 2020).
    """

    def __init__(self, compiled):
        self._step, self._general_step = self._one_step, self._one_general_step
        if compiled:
            self._step = torch.compile(self._one_step, dynamic=False)
            self._general_step = torch.compile(self._one_general_step, dynamic=False)

    @staticmethod
    def _one_step(x):
        x = x - torch.logsumexp(x, 2, keepdim=True)
        return x - torch.logsumexp(x, 1, keepdim=True)

    @staticmethod
    def _one_general_step(x, b, log_rows, log_cols):
        a = log_rows - torch.logsumexp(x + b, 2, keepdim=True)
        return a, log_cols - torch.logsumexp(x + a, 1, keepdim=True)

    def _plan(self, x, inputs):
        if not is_square(inputs):
            return self._general_plan(x, inputs)
        x = x / inputs.temperature
        for _ in range(inputs.iterations):
            x = self._step(x)
        return torch.exp(x)

    def _general_plan(self, x, inputs):
        _, n, m = x.shape
        x, row_masses, col_masses = _balanced(x, inputs)
        log_rows = torch.log(row_masses)[:, :, None]
        log_cols = torch.log(col_masses)[:, None]
        # Columns that do not exist count nowhere, from the first step on.
        b = torch.where(torch.isfinite(log_cols), 0.0, log_cols)
        for _ in range(inputs.iterations):
            a, b = self._general_step(x, b, log_rows, log_cols)
        return torch.exp(x + a + b)[:, :n, :m]


class Pot(_Torch):
    """POT's batched projections; rows first, a tolerance that is never met."""

    def __init__(self, log):
        self._log = log

    def _plan(self, x, inputs):
        import ot.batch

        project = ot.batch.bregman_projection_batch
        _, n, m = x.shape
        z, *masses = _balanced(x, inputs)
        if self._log:
            project = ot.batch.bregman_log_projection_batch
        else:
            z = torch.exp(z)
        solution = project(
            z, *masses, max_iter=inputs.iterations, tol=-1.0, grad="autodiff"
        )
        return solution["T"][:, :n, :m]


class Pygmtools(_Torch):
    """pygmtools with its backend for PyTorch."""

    def _plan(self, x, inputs):
        import pygmtools

        self._has_dustbins = has_dustbins(inputs)
        settings, scale = pygmtools_problem.settings(inputs)
        settings = {
            name: torch.from_numpy(x) if isinstance(x, np.ndarray) else x
            for name, x in settings.items()
        }
        # pygmtools counts half steps.
        plan = pygmtools.sinkhorn(
            x,
            **settings,
            max_iter=2 * inputs.iterations,
            tau=inputs.temperature,
            # Its batched form has no gradient where sizes differ: NaN.
            batched_operation=not (masks(inputs) and x.requires_grad),
            backend="pytorch",
        )
        return plan if scale == 1 else scale * plan

    def arrays(self, result):
        free = {"free_dustbins": np.array(True)} if self._has_dustbins else {}
        return super().arrays(result) | free


PEERS = {
    "torch": lambda: LogLoop(False),
    "torch_compiled": lambda: LogLoop(True),
    "pot_torch": lambda: Pot(False),
    "pot_torch_log": lambda: Pot(True),
    "pygmtools_torch": Pygmtools,
}
