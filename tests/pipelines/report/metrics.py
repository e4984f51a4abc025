"""Metrics of runs that never were."""

from pipelines.shared import lists


def sorting_metrics(seed, wrong=0.0, **flags):
    """The metrics of a run of sorting.

    Args:
        seed: Its seed.
        wrong: Its share of wrong numbers.
        **flags: Further flags of the run.
    """
    scores = {
        "proportion_wrong": wrong,
        "proportion_any_wrong": 2 * wrong,
        "kendall_tau": 1 - wrong,
    }
    interval = {**scores, "by_content": scores, "n_examples_with_ties": 3}
    return {
        "intervals": {name: interval for name in lists.INTERVALS},
        "slopes": {"inversions": 0},
        "seconds": {"training": 90.0},
        "flags": {"seed": seed, "n": 5, "workdir": f"runs/{seed}", **flags},
    }


def puzzle_metrics(wrong, **flags):
    """The metrics of a run of jigsaw on 800 puzzles.

    Args:
        wrong: Its share of wrong pieces.
        **flags: Further flags of the run.
    """
    settings = {"seed": 0, "loss": "cross_entropy", "crop": True, "averaging": 0.99}
    scores = {
        "proportion_wrong": wrong,
        "proportion_any_wrong": 4 * wrong,
        "kendall_tau": 1 - wrong,
        "pieces_right": 1 - wrong,
        "puzzles_right": 1 - 4 * wrong,
    }
    return {
        **scores,
        "by_content": scores,
        "oracle": scores,
        "standard_error": dict.fromkeys(scores, 0.01),
        "cross_entropy": 0.5,
        "l1": 0.25,
        "l2": 0.5,
        "n_examples": 800,
        "seconds": {"training": 90.0},
        "flags": {**settings, "dataset": "mnist", **flags},
    }


def assembly_metrics(hard):
    """The metrics of a run of assembly, with a share of accepted reconstructions."""

    def scores(accepted):
        return {
            "acceptance": accepted,
            "same_digit": accepted / 2,
            "table": [[accepted, 1.0], [0.5, accepted]],
        }

    def judge(name, accepted, of_ones):
        kinds = {
            kind: {"acceptance": x, "by_target": [1.0, of_ones]}
            for kind, x in (("hard", accepted), ("soft", 1.0))
        }
        return {"name": name, "accuracy": 0.9932, **kinds}

    return {
        "hard": scores(hard),
        "soft": scores(1.0),
        "judges": [
            judge("dense", hard - 0.125, 0.25),
            judge("convolutional", hard + 0.125, 0.75),
        ],
        "seconds": {"training": 90.0},
        "flags": {"seed": 0},
    }
