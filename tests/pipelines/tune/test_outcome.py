"""The order of the trials of a search."""

from pipelines.tune import outcome


def trial(name, steps, score, status="COMPLETED"):
    return {"trial": name, "steps": steps, "score": score, "status": status}


def test_a_score_after_fewer_steps_is_no_measure():
    trials = [
        trial("0", 10, 0.1),
        trial("1", 30, 0.3),
        trial("2", 30, 0.2),
        trial("3", 30, 0.2),
        trial("4", 90, None, "FAILED"),
    ]
    assert [t["trial"] for t in outcome.ranking(trials)] == ["2", "3", "1", "0"]
