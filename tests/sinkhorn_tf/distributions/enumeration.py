"""Matchings one by one: the reference of the distributions, for few items."""

import itertools

import numpy as np


def matchings(n, m):
    """All lists that place the smaller of n items and m positions whole: `[k, n]`."""
    if n <= m:
        return np.array(list(itertools.permutations(range(m), n)))
    inverses = itertools.permutations(range(n), m)
    lists = np.full((len(list(itertools.permutations(range(n), m))), n), -1)
    for row, items in zip(lists, inverses, strict=True):
        row[list(items)] = range(m)
    return lists


def submatrix_matchings(row_mask, col_mask):
    """`matchings` of the items and positions that exist, in their own numbers."""
    rows, cols = np.flatnonzero(row_mask), np.flatnonzero(col_mask)
    lists = matchings(len(rows), len(cols))
    result = np.full((len(lists), len(row_mask)), -1)
    result[:, rows] = np.where(lists < 0, -1, cols[np.maximum(lists, 0)])
    return result


def scores(logits, lists):
    """The sum of the chosen logits of each list: `[k]`."""
    n = logits.shape[0]
    chosen = np.where(lists < 0, 0, logits[np.arange(n), np.maximum(lists, 0)])
    return chosen.sum(-1)


def matrices(lists, m):
    """`[k, n, m]`."""
    return (lists[..., None] == np.arange(m)).astype(float)


def log_sum(scores):
    """The logarithm of the sum of exponentials, `-inf` for that of `-inf` alone."""
    top = scores.max()
    if top == -np.inf:
        return -np.inf
    return top + np.log(np.exp(scores - top).sum())


def reference(x, lists):
    """Log-partition function, log-probabilities, marginals, entropy."""
    values = scores(x, lists)
    log_z = log_sum(values)
    p = np.exp(values - log_z)
    marginals = np.einsum("k,knm->nm", p, matrices(lists, x.shape[1]))
    terms = p[p > 0] * (values - log_z)[p > 0]
    return log_z, values - log_z, marginals, -terms.sum()
