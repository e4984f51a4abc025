"""The synthetic matching of Linderman et al. (2018), and exact distributions over it.

N centres are drawn from N(0, 1) in the plane. Each is observed once, with Gaussian noise of
standard deviation sigma, and the order of the observations is lost. The prior over orders
is uniform, so the posterior of a permutation P is in proportion to exp(<P, X>), where X
holds the log-likelihoods of all pairs of a centre and an observation.
"""

import itertools

import numpy as np


def log_likelihoods(count, n, sigma, seed):
    """Draws instances: float32 `[count, n, n]`, X of centre i and observation j."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(count, n, 2))
    orders = rng.permuted(np.tile(np.arange(n), (count, 1)), axis=1)
    observed = np.empty_like(centres)
    np.put_along_axis(observed, orders[..., None], centres, axis=1)
    observed += sigma * rng.normal(size=observed.shape)
    distances = ((centres[:, :, None] - observed[:, None]) ** 2).sum(-1)
    return (-distances / (2 * sigma**2)).astype(np.float32)


def permutations(n):
    """All permutation lists in lexicographic order: int `[n!, n]`."""
    return np.array(list(itertools.permutations(range(n))))


def posterior(logits):
    """The probability of each permutation: `[count, n, n]` -> float64 `[count, n!]`."""
    n = logits.shape[-1]
    lists = permutations(n)
    scores = logits[:, np.arange(n), lists].sum(-1, dtype=np.float64)
    weights = np.exp(scores - scores.max(1, keepdims=True))
    return weights / weights.sum(1, keepdims=True)


def ranks(lists):
    """The numbers of permutation lists in lexicographic order: `[..., n]` -> `[...]`."""
    n = lists.shape[-1]
    numbers = np.zeros(lists.shape[:-1], np.int64)
    for i in range(n):
        smaller_later = (lists[..., i + 1 :] < lists[..., i : i + 1]).sum(-1)
        numbers = numbers * (n - i) + smaller_later
    return numbers


def distance(p, q):
    """The Bhattacharyya distance sqrt(1 - sum sqrt(p q)): `[count, k]` -> `[count]`."""
    return np.sqrt(np.maximum(1 - np.sqrt(p * q).sum(-1), 0))


def mallows(probabilities, theta):
    """Mallows' distribution around the mode: p in proportion to exp(-theta d).

    Args:
        probabilities: `[count, n!]`, whose largest is at the mode.
        theta: Number > 0.

    Returns:
        `[count, n!]`, with the distance d of two lists phi and phi0 the sum of
        |phi(i) - phi0(i)|.
    """
    n = next(
        n for n in itertools.count(1) if len(permutations(n)) == probabilities.shape[1]
    )
    lists = permutations(n)
    modes = lists[probabilities.argmax(1)]
    weights = np.exp(-theta * abs(lists - modes[:, None]).sum(-1))
    return weights / weights.sum(1, keepdims=True)


def independent_rows(plans):
    """The product of the rows of plans: `[count, n, n]` -> `[count, n!]`.

    It isn't renormalised: the mass of what is no permutation is lost.
    """
    n = plans.shape[-1]
    return plans[:, np.arange(n), permutations(n)].prod(-1)
