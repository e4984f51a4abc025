"""The plan of a benchmark: its cases, and the peers that take part in them."""

import sys

from pipelines.benchmark import cases
from pipelines.benchmark.config import (
    parse_count,
    parse_range,
    parse_shape,
    parse_size,
    parse_sizes,
    parse_temperature,
)
from pipelines.benchmark.peers import PEERS
from pipelines.shared.datasets.sources import source

# The saved model whose requests are measured.
SERVED = "jigsaw_mnist_3x3"
# The network whose logits the section serving matches: the default of `pipelines.jigsaw`.
# The section matching has the logits of the paper's network.
CONTEXT = "context"

_KINDS = ("forward", "backward")


def planned_cases(config):
    """The cases that the settings ask for, a list in their order.

    Args:
        config: `BenchmarkConfig`.

    Raises:
        UserError: If a size, a number or the dataset is not valid.
    """
    sections = {
        "operator": _operator,
        "scaling": _scaling,
        "accuracy": _accuracy,
        "solver": _solver,
        "matching": _matching,
        "serving": _serving,
        "shapes": _shapes,
        "eager": _eager,
        "large": _large,
        "spread": _spread,
    }
    return [
        case
        for name, make in sections.items()
        if name in config.sections
        for case in make(config)
    ]


def installed_peers(config):
    """The names of the peers to measure; prints those that are not installed."""
    chosen = []
    for name in config.peers:
        missing = PEERS[name].missing()
        if missing:
            packages = " ".join(missing)
            print(
                f"peer {name}: not installed (pip install {packages})", file=sys.stderr
            )
        else:
            chosen.append(name)
    return chosen


def participants(case, names):
    """The peers that take part in a case: a dict of a name to what it computes."""
    kinds = {}
    for name in names:
        if case.kind in PEERS[name].kinds:
            kinds[name] = case.kind
        elif "bound" in PEERS[name].kinds and _has_bound(case):
            kinds[name] = "bound"
    return kinds


def _has_bound(case):
    return case.kind in _KINDS and case.section != "accuracy"


def trained_name(dataset, n, network):
    """The source of a case on the logits of a network that is trained for N pieces."""
    suffix = f", {CONTEXT}" if network == CONTEXT else ""
    return f"{source(dataset).name} N = {n}{suffix}"


def _iterations(config):
    return [parse_count("iterations", text) for text in config.iterations]


def _operator(config):
    return [
        cases.Case("operator", kind, *size, length, config.temperature)
        for kind in _KINDS
        for length in _iterations(config)
        for size in parse_sizes("sizes", config.sizes)
    ]


def _scaling(config):
    fewest = min(_iterations(config))
    return [
        cases.Case("scaling", kind, *size, fewest, config.temperature)
        for kind in _KINDS
        for size in parse_sizes("scaling_sizes", config.scaling_sizes)
    ]


def _accuracy(config):
    size = parse_size("accuracy_size", config.accuracy_size)
    most = max(_iterations(config))
    return [
        cases.Case(
            "accuracy", kind, *size, most, parse_temperature("temperatures", text)
        )
        for kind in _KINDS
        for text in config.temperatures
    ]


def _solver(config):
    n = config.solver_n
    return [
        cases.Case(
            "solver",
            "solve",
            1,
            n,
            temperature=cases.tight_temperature(n, factor),
            source="tight",
        )
        for factor in (1, 4)
    ]


def _matching(config):
    """The cases on random logits, and on those of the paper's network."""
    plan = [
        cases.Case("matching", "match", *size)
        for size in parse_sizes("matching_sizes", config.matching_sizes)
    ]
    for text in config.grids:
        n = parse_count("grids", text) ** 2
        name = trained_name(config.dataset, n, "paper")
        plan.append(cases.Case("matching", "match", 64, n, source=name))
    return plan


def _serving(config):
    """The cases on random logits, on those of a trained network, and requests."""
    squares = {parse_count("grids", text) ** 2 for text in config.grids}
    plan = []
    for batch, n in parse_sizes("serving_sizes", config.serving_sizes):
        plan.append(cases.Case("serving", "serve", batch, n))
        if n in squares:
            name = trained_name(config.dataset, n, CONTEXT)
            plan.append(cases.Case("serving", "serve", batch, n, source=name))
        if n == 9:
            plan.append(cases.Case("serving", "request", batch, n, source=SERVED))
    return plan


def _shapes(config):
    """The operator of all shapes, and the matching of those without masses."""
    fewest = min(_iterations(config))
    plan = []
    for kind in (*_KINDS, "match"):
        for text in config.shapes:
            fields = parse_shape("shapes", text)
            if kind != "match":
                fields |= {"iterations": fewest, "temperature": config.temperature}
            elif "problem" in fields:
                continue
            plan.append(cases.Case("shapes", kind, **fields))
    return plan


def _eager(config):
    """Calls of every size in a range, once each, by processes that are new."""
    fewest = min(_iterations(config))
    operator = {"iterations": fewest, "temperature": config.temperature}
    plan = []
    for kind in (
        "forward_sizes",
        "backward_sizes",
        "match_sizes",
        "certify_sizes",
        "rank_sizes",
    ):
        fields = operator if kind in ("forward_sizes", "backward_sizes") else {}
        for text in config.eager_sizes:
            batch, smallest, largest = parse_range("eager_sizes", text)
            count = largest - smallest + 1
            plan.append(
                cases.Case(
                    "eager",
                    kind,
                    batch * count,
                    largest,
                    m=largest,
                    smallest=smallest,
                    **fields,
                )
            )
    return plan


def _large(config):
    """The operator of single matrices of many items."""
    fewest = min(_iterations(config))
    return [
        cases.Case(
            "large", kind, *size, fewest, parse_temperature("large_temperatures", text)
        )
        for kind in _KINDS
        for text in config.large_temperatures
        for size in parse_sizes("large_sizes", config.large_sizes)
    ]


def _spread(config):
    """The operator on logits as far apart as those of trained networks."""
    fewest = min(_iterations(config))
    return [
        cases.Case("spread", kind, *size, fewest, 1.0, source=cases.SPREAD)
        for kind in _KINDS
        for size in parse_sizes("spread_sizes", config.spread_sizes)
    ]
