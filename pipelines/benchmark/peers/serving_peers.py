"""Exported solvers as a server runs them: the C API, XLA disabled."""

import importlib.util
import os

from pipelines.benchmark.peers import c_api
from pipelines.shared.plain_paths import plain_path


class Served:
    """An exported solver.

    Args:
        outputs: Names of the outputs that a request asks for; None asks for all.
    """

    def __init__(self, outputs):
        self._outputs = outputs
        package = os.path.dirname(importlib.util.find_spec("tensorflow").origin)
        self._runtime = c_api.Runtime(package, threads=1)

    def serve(self, inputs):
        return self._run(inputs.model, "match", {"logits": inputs.logits})

    def request(self, inputs):
        return self._run(inputs.model, "serving_default", {"pieces": inputs.pieces})

    def arrays(self, result):
        names = {"permutation": "result", "gap": "gap"}
        return {names[name]: x for name, x in result.items() if name in names}

    def _run(self, path, signature, arrays):
        with plain_path(path) as plain:
            model = c_api.Model(self._runtime, plain)
        return lambda: model.run(signature, arrays, self._outputs)


class MatchingOfRequest(Served):
    """The matching alone, as a part of a request."""

    def request(self, inputs):
        return self.serve(inputs)


PEERS = {
    "served": lambda: Served(None),
    "served_proof": lambda: Served(["permutation", "value", "gap"]),
    "served_perm": lambda: MatchingOfRequest(["permutation"]),
}
