"""The peers that are measured.

A module holds one family of peers. Its `PEERS` maps a name to a function without
arguments that returns the peer: an object with a method for each of its kinds,

    forward(inputs), backward(inputs), solve(inputs), match(inputs) -> run

where `inputs` has `logits` `[B, N, M]` (and `weights`, `temperature`, `iterations`,
`tolerance`, ...), and some of the following:

- `row_mask` `[B, N]` and `col_mask` `[B, M]`, where the sets of a batch have different
  sizes. They are True first and then False. The answer is 0 (a plan) or -1 (a matching)
  where nothing exists.
- `row_marginals` `[B, N]` and `col_marginals` `[B, M]`, the masses; if one of them is
  absent, the members of its side share the total of the other.
- `unmatched_score`, a number, the score of the dustbins. The answer is the plan without
  them.

`run()` computes once and returns when the result is ready. Work that is needed only once,
such as compiling or copying the inputs to the peer's own arrays, is done before `run`. The
method `arrays(result)` returns the result as a dict of NumPy arrays. If it has an entry
`free_dustbins`, the result is judged as that of dustbins without masses.

This file imports none of the modules.
"""

import importlib.util
import typing


class Peer(typing.NamedTuple):
    """A peer, described without importing it.

    Attributes:
        label: The name in tables and pictures.
        module: The module of this package that has it.
        kinds: The kinds of work that it does: `forward`, `backward` (forward and the
            gradient of the logits), `solve` (to a tolerance), `match`, `serve` (a
            matching by an exported solver), `request` (the same with its network),
            `bound` (matrix-vector products alone, which take part in `forward`). In the
            section eager they have names such as `forward_sizes`: calls of many sizes,
            one after the other.
        needs: Dict of the distributions that it needs to their import names.
    """

    label: str
    module: str
    kinds: tuple
    needs: dict

    def missing(self):
        """The distributions that are not installed."""
        return [
            distribution
            for distribution, module in self.needs.items()
            if importlib.util.find_spec(module) is None
        ]


_TF = {"tensorflow": "tensorflow"}
_OTT = {"ott-jax": "ott", "jax": "jax"}
_TORCH = {"torch": "torch"}
_POT = {"POT": "ot"}
_PYGMTOOLS = {"pygmtools": "pygmtools"}
_SCIPY = {"scipy": "scipy"}
_LAPX = {"lapx": "lap"}
_BOTH = ("forward", "backward")
_SIZES = (
    "forward_sizes",
    "backward_sizes",
    "match_sizes",
    "certify_sizes",
    "rank_sizes",
)

PEERS = {
    "ours_xla": Peer("ours, XLA", "tensorflow_peers", (*_BOTH, "solve", "match"), _TF),
    "ours_graph": Peer(
        "ours, graph", "tensorflow_peers", (*_BOTH, "solve", "match"), _TF
    ),
    "ours_call": Peer("ours, eager call", "tensorflow_peers", _BOTH, _TF),
    "ours_eager": Peer("ours, eager", "eager_peers", _SIZES, _TF),
    "ours_eager_graph": Peer("ours, eager graph", "eager_peers", _SIZES, _TF),
    "log_eager": Peer(
        "log loop, XLA for each size",
        "eager_peers",
        ("forward_sizes", "backward_sizes"),
        _TF,
    ),
    "log_xla": Peer("log loop, XLA", "tensorflow_peers", (*_BOTH, "solve"), _TF),
    "log_graph": Peer("log loop, graph", "tensorflow_peers", _BOTH, _TF),
    "iterations_xla": Peer(
        "S^L to tolerance, XLA", "tensorflow_peers", ("solve",), _TF
    ),
    "certified_xla": Peer("certified, XLA", "tensorflow_peers", ("match",), _TF),
    "certified_graph": Peer("certified, graph", "tensorflow_peers", ("match",), _TF),
    "bound": Peer("2L mat-vecs, XLA", "tensorflow_peers", ("bound",), _TF),
    "bound_graph": Peer("2L mat-vecs, graph", "tensorflow_peers", ("bound",), _TF),
    "numpy": Peer("NumPy, kernel loop", "numpy_peers", ("forward",), _SCIPY),
    "ott_log": Peer("OTT, lse_mode", "jax_peers", _BOTH, _OTT),
    "ott_kernel": Peer("OTT, kernel", "jax_peers", _BOTH, _OTT),
    "pot": Peer("POT, loop", "numpy_peers", ("forward",), _POT),
    "pot_batch": Peer("POT, batch", "numpy_peers", ("forward",), _POT),
    "pot_batch_log": Peer("POT, batch log", "numpy_peers", ("forward",), _POT),
    "pot_torch": Peer("POT, batch, torch", "torch_peers", _BOTH, _POT | _TORCH),
    "pot_torch_log": Peer("POT, batch log, torch", "torch_peers", _BOTH, _POT | _TORCH),
    "pygmtools": Peer("pygmtools", "numpy_peers", ("forward",), _PYGMTOOLS),
    "pygmtools_torch": Peer(
        "pygmtools, torch", "torch_peers", _BOTH, _PYGMTOOLS | _TORCH
    ),
    "torch": Peer("PyTorch log loop", "torch_peers", _BOTH, _TORCH),
    "torch_compiled": Peer("PyTorch, compiled", "torch_peers", _BOTH, _TORCH),
    "served": Peer(
        "SavedModel, whole answer", "serving_peers", ("serve", "request"), _TF
    ),
    "served_proof": Peer("SavedModel, with proof", "serving_peers", ("serve",), _TF),
    "served_perm": Peer(
        "SavedModel, permutation", "serving_peers", ("serve", "request"), _TF
    ),
    "scipy": Peer(
        "SciPy, loop",
        "numpy_peers",
        ("match", "serve", "match_sizes"),
        _SCIPY,
    ),
    "lapx": Peer("lapx, loop", "numpy_peers", ("match",), _LAPX),
    "lapx_batch": Peer("lapx, batch", "numpy_peers", ("match",), _LAPX),
    "optax": Peer(
        "optax, vmap", "jax_peers", ("match",), {"optax": "optax", "jax": "jax"}
    ),
}


class Unsupported(Exception):
    """The installed version of a peer cannot do this; the message says why."""
