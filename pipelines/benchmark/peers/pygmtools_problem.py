"""The problems that pygmtools can solve, and its arguments for them."""

import numpy as np

from pipelines.benchmark.balance import (
    has_dustbins,
    is_square,
    marginals,
    masks,
    sizes,
)
from pipelines.benchmark.peers import Unsupported


def settings(inputs):
    """The arguments of `pygmtools.sinkhorn`, and a factor for its result.

    Its dustbins have no masses: neither is normalised, and the corner does not exist.

    Args:
        inputs: The inputs of a peer, see `peers`.

    Returns:
        A pair of a dict of flags and NumPy arrays, and a number.

    Raises:
        Unsupported: If the problem has masses other than equal ones.
    """
    batch, n, m = inputs.logits.shape
    if has_dustbins(inputs):
        score = np.float32(inputs.unmatched_score)
        unmatched = {"unmatch1": (batch, n), "unmatch2": (batch, m)}
        return {name: np.full(shape, score) for name, shape in unmatched.items()}, 1.0
    if marginals(inputs):
        if not _is_balanced(inputs):
            raise Unsupported("pygmtools has no masses")
        # The sums of its longer side are 1.
        return {}, min(1.0, n / m)
    arguments = {} if is_square(inputs) else {"dummy_row": True}
    if masks(inputs):
        arguments["n1"], arguments["n2"] = sizes(inputs)
    return arguments, 1.0


def _is_balanced(inputs):
    masses = marginals(inputs)
    return "col_marginals" not in masses and (masses["row_marginals"] == 1).all()
