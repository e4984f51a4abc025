"""The ratios that results come down to."""

import numpy as np

from pipelines.benchmark import cases, table


def test_what_is_wrong_or_not_finite_beats_nobody():
    case = cases.Case("operator", "forward", 2, 3, 1, 1.0)
    judge = cases.Operator(case, cases.inputs(case, seed=0))
    broken = judge.plan.copy()
    broken[1, 0, 0] = np.nan
    assert judge.judge({"result": broken}) == {"error": None, "broken_examples": 1}

    def timed(error, seconds):
        return {"error": error, "seconds": {"median": seconds}}

    measured = {
        "ours_xla": timed(1e-7, 2.0),
        "log_xla": timed(None, 1.0),
        "log_graph": timed(0.1, 1.0),
        "torch": timed(1e-7, 3.0),
        "bound": {"seconds": {"median": 0.5}},
        "bound_graph": {"seconds": {"median": 0.8}},
    }
    assert table.ratios(case, measured) == {
        "torch / ours_xla": 1.5,
        "ours_xla / bound": 4.0,
    }


def test_ranks_are_judged_by_their_order_and_their_sum():
    case = cases.Case("eager", "rank_sizes", 4, 3, m=3, smallest=2)
    values = cases.inputs(case, seed=0)
    judge = cases.Ranks(case, values)
    right = np.zeros((4, 3))
    for ranks, x, exists in zip(
        right, values["logits"][:, 0], values["row_mask"], strict=True
    ):
        ranks[exists] = x[exists].argsort().argsort()
    assert judge.judge({"result": right})["error"] == 0
    assert judge.judge({"result": -right})["error"] is None
    assert judge.judge({"result": right + 0.25})["error"] == 0.25
