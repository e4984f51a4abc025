"""PyTorch: the log loop, and the peers that PyTorch differentiates."""

import torch

from pipelines.benchmark.balance import balance, is_square, masks, sizes


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
    """The logits of a problem with its slack, those of the slack 0, and the masses."""
    problem = balance(inputs)
    if not is_square(inputs):
        x = torch.nn.functional.pad(x, (0, problem.slack_cols, 0, problem.slack_rows))
    return x, torch.from_numpy(problem.row_masses), torch.from_numpy(problem.col_masses)


class LogLoop(_Torch):
    """A logsumexp per half step; one iteration compiled, or nothing."""

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
        x = x / inputs.temperature
        if not is_square(inputs):
            return self._general_plan(x, inputs)
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
        z, *masses = _balanced(x / inputs.temperature, inputs)
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

        settings = {} if is_square(inputs) else {"dummy_row": True}
        if masks(inputs):
            items, positions = map(torch.from_numpy, sizes(inputs))
            settings |= {"n1": items, "n2": positions}
        # pygmtools counts half steps.
        return pygmtools.sinkhorn(
            x,
            **settings,
            max_iter=2 * inputs.iterations,
            tau=inputs.temperature,
            # Its batched form has no gradient where sizes differ: NaN.
            batched_operation=not (masks(inputs) and x.requires_grad),
            backend="pytorch",
        )


PEERS = {
    "torch": lambda: LogLoop(False),
    "torch_compiled": lambda: LogLoop(True),
    "pot_torch": lambda: Pot(False),
    "pot_torch_log": lambda: Pot(True),
    "pygmtools_torch": Pygmtools,
}
