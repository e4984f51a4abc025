"""The matching of what exists, by SciPy, and what every answer has to satisfy."""

import numpy as np
from scipy.optimize import linear_sum_assignment


def best(x, rows, cols):
    """The optimal `(perm, value)`: -1 and NaN without a matching, -1 and 0 of nothing."""
    perm = np.full(len(rows), -1)
    rows, cols = np.flatnonzero(rows), np.flatnonzero(cols)
    part = np.asarray(x, np.float64)[np.ix_(rows, cols)]
    if part.size == 0:
        return perm, 0.0
    if np.isnan(part).any() or (part == np.inf).any():
        return perm, np.nan
    try:
        i, j = linear_sum_assignment(part, maximize=True)
    except ValueError:
        return perm, np.nan
    perm[rows[i]] = cols[j]
    return perm, part[i, j].sum()


def check(x, rows, cols, certified, unique=False):
    """Checks a batch of matchings and their certificates.

    Args:
        x: `[B, N, M]`.
        rows, cols: bool `[B, N]` and `[B, M]`, or True.
        certified: The `CertifiedMatching` of them.
        unique: Whether the matchings are unique and so have to be proven.
    """
    rows = np.broadcast_to(rows, x.shape[:2])
    cols = np.broadcast_to(cols, (len(x), x.shape[2]))
    parts = (part.numpy() for part in certified)
    for each, r, c, perm, value, bound, gap in zip(x, rows, cols, *parts, strict=True):
        expected, optimum = best(each, r, c)
        if np.isnan(optimum):
            assert (perm == -1).all() and np.isnan([value, bound, gap]).all()
            continue
        placed = np.flatnonzero(perm >= 0)
        assert len(placed) == len(set(perm[placed])) == min(r.sum(), c.sum())
        assert r[placed].all() and c[perm[placed]].all()
        exists = each[np.ix_(r, c)]
        size = np.abs(exists[exists > -np.inf]).sum()
        assert abs(each[placed, perm[placed]].sum() - optimum) <= 1e-13 * size
        assert abs(value - optimum) <= 1e-13 * size
        assert bound >= optimum - 1e-15 * size
        assert 0 <= gap <= 1e-11 * size + 1e-300 and gap == bound - value
        if unique:
            np.testing.assert_array_equal(perm, expected)
            assert gap == 0


def spoil(rng, x, rows, cols):
    """`x` with anything in what does not exist, and most of it invalid."""
    missing = ~(rows[..., :, None] & cols[..., None, :])
    anything = rng.choice([np.nan, np.inf, -np.inf, 1e300, 0.0], x.shape)
    return np.where(missing, anything, x)
