"""PyTorch: the log loop, and the peers that PyTorch differentiates."""

import torch


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


class LogLoop(_Torch):
    """A logsumexp per half step; one iteration compiled, or nothing."""

    def __init__(self, compiled):
        self._step = self._one_step
        if compiled:
            self._step = torch.compile(self._one_step, dynamic=False)

    @staticmethod
    def _one_step(x):
        x = x - torch.logsumexp(x, 2, keepdim=True)
        return x - torch.logsumexp(x, 1, keepdim=True)

    def _plan(self, x, inputs):
        x = x / inputs.temperature
        for _ in range(inputs.iterations):
            x = self._step(x)
        return torch.exp(x)


class Pot(_Torch):
    """POT's batched projections; rows first, a tolerance that is never met."""

    def __init__(self, log):
        self._log = log

    def _plan(self, x, inputs):
        import ot.batch

        project = ot.batch.bregman_projection_batch
        z = x / inputs.temperature
        if self._log:
            project = ot.batch.bregman_log_projection_batch
        else:
            z = torch.exp(z)
        ones = torch.ones(x.shape[:2])
        solution = project(
            z, ones, ones, max_iter=inputs.iterations, tol=-1.0, grad="autodiff"
        )
        return solution["T"]


class Pygmtools(_Torch):
    """pygmtools with its backend for PyTorch."""

    def _plan(self, x, inputs):
        import pygmtools

        # pygmtools counts half steps.
        return pygmtools.sinkhorn(
            x,
            max_iter=2 * inputs.iterations,
            tau=inputs.temperature,
            batched_operation=True,
            backend="pytorch",
        )


PEERS = {
    "torch": lambda: LogLoop(False),
    "torch_compiled": lambda: LogLoop(True),
    "pot_torch": lambda: Pot(False),
    "pot_torch_log": lambda: Pot(True),
    "pygmtools_torch": Pygmtools,
}
