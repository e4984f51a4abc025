"""Scores of runs with 95 % intervals, over the puzzles and over the seeds."""

import math
import statistics

from scipy import stats

from pipelines.report.formats import mean, short


def interval(runs, name):
    """A score with its 95 % interval, such as `.147 (.144 to .150)`.

    Args:
        runs: List of the scores of the runs of a record, or of one of their evaluations.
        name: The score.
    """
    low, high = bounds(runs, name)
    value = mean([run[name] for run in runs])
    return f"{short(value)} ({short(low)} to {short(high)})"


def bounds(runs, name):
    """The 95 % interval of a score, around its mean over the runs.

    It says where the score of a training with another seed is to be expected, over many
    puzzles of the same kind. With m_r the mean of run r over the puzzles, e_r the standard
    error of that mean, and s the standard deviation of the m_r over the k runs,

        variance = s^2 (1 + 1 / k) + mean(e_r^2).

    s^2 is for the other seed, s^2 / k for the seeds that are known, and the last part for
    the puzzles. All runs share these, so that more runs do not make it smaller. The
    quantile is that of Student's t with the degrees of freedom of Welch and Satterthwaite:
    k - 1 for the first part, infinitely many for the other, together

        (k - 1) (variance / (s^2 (1 + 1 / k)))^2.

    Puzzles that one seed solves and another does not count in both parts, which makes the
    interval wider than it need be. Where the seeds make the larger part, Welch and
    Satterthwaite's approximation makes it narrower: it holds in 92 % of cases with three
    runs, and in 87 % with two.

    With one run the variance is that over the puzzles alone, and the quantile 1.96.

    For shares of puzzles, and for scores of exactly 0 or 1, the interval is Wilson's,
    whose width is never 0. Its number of puzzles is the one at which p (1 - p) / n is the
    variance, or the true number if all runs agree.

    Args:
        runs: List of the scores of the runs.
        name: The score.

    Returns:
        The least and the largest value.
    """
    values = [run[name] for run in runs]
    value, k = mean(values), len(values)
    of_seeds = statistics.variance(values) * (1 + 1 / k) if k > 1 else 0.0
    variance = of_seeds + mean([run["standard_error"][name] ** 2 for run in runs])
    freedom = (k - 1) * (variance / of_seeds) ** 2 if of_seeds else math.inf
    quantile = float(stats.t.ppf(0.975, freedom))
    is_extreme = abs(value) == 1 or (value == 0 and name != "kendall_tau")
    if name == "proportion_any_wrong" or (not of_seeds and is_extreme):
        n = value * (1 - value) / variance if of_seeds else runs[0]["n_examples"]
        middle, half = _wilson(value, n, quantile)
    else:
        middle, half = value, quantile * math.sqrt(variance)
    least = -1.0 if name == "kendall_tau" else 0.0
    return max(middle - half, least), min(middle + half, 1.0)


def _wilson(share, n, quantile):
    """The middle and half the width of Wilson's interval.

    `scipy.stats.binomtest` takes whole counts alone, which means of runs need not have.
    """
    square = quantile**2
    middle = (share + square / (2 * n)) / (1 + square / n)
    half = quantile * math.sqrt(share * (1 - share) / n + square / (4 * n * n))
    return middle, half / (1 + square / n)
