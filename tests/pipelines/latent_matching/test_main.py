"""The program `pipelines.latent_matching`, end to end and small."""

import json

import numpy as np
import pytest
import tensorflow as tf

import sinkhorn_tf as st
from pipelines.latent_matching import fitting, problems, study
from pipelines.latent_matching.__main__ import main
from pipelines.latent_matching.config import LatentMatchingConfig
from pipelines.shared.errors import UserError

QUICK = {
    "instances": 8,
    "sigmas": [0.5],
    "draws": 1000,
    "bounds": ["closed_form", "mixture"],
    "steps": 60,
    "mixture_samples": 20,
    "sizes": [3],
    "size_instances": 3,
}


def test_program(tmp_path, capsys):
    workdir = tmp_path / "run"
    main(LatentMatchingConfig(workdir=str(workdir), **QUICK))
    scores = json.loads((workdir / "metrics.json").read_text())
    rows = {name: row["0.5"] for name, row in scores["distances"].items()}
    assert rows["fitted, mixture"]["distance"] < 0.2
    row = rows["fitted, closed_form"]
    assert row["distance"] > 1.5 * rows["fitted, mixture"]["distance"]
    assert row["bound_gap"] > rows["fitted, mixture"]["bound_gap"] > -0.5
    assert rows["exact samples"]["distance"] < 0.1
    assert scores["sizes"]["3"]["same_mode"] > 0.5
    assert (workdir / "latent_matching.png").stat().st_size > 10_000
    assert "published, rounding" in capsys.readouterr().out

    with pytest.raises(UserError, match="--resume"):
        main(LatentMatchingConfig(workdir=str(workdir), **QUICK))
    with pytest.raises(UserError, match="--steps=61"):
        changed = QUICK | {"steps": 61}
        main(LatentMatchingConfig(workdir=str(workdir), resume=True, **changed))
    with pytest.raises(UserError, match="--bounds must be among .*Received: best"):
        main(LatentMatchingConfig(workdir=str(workdir), bounds=["best"]))
    more = QUICK | {"bounds": ["mixture"], "sizes": []}
    main(LatentMatchingConfig(workdir=str(workdir), resume=True, **more))
    assert "fitted, mixture: kept" in capsys.readouterr().out
    again = json.loads((workdir / "metrics.json").read_text())
    assert again["sizes"] == {}
    for name, row in again["distances"].items():
        assert row == scores["distances"][name]


@pytest.mark.parametrize("name", fitting.BOUNDS)
def test_bounds_are_below_the_evidence_and_rise(name):
    config = LatentMatchingConfig(
        instances=4, steps=100, mixture_samples=50, samples_of_step=20
    )
    scores = problems.log_likelihoods(4, 3, 0.5, seed=0)
    seen = []
    bound = fitting.BOUNDS[name]
    begin = bound(scores, tf.zeros(scores.shape), tf.constant([0, 0]), config)
    found = fitting.fit(scores, bound, config, lambda *progress: seen.append(progress))
    assert found.bound.mean() > begin.numpy().mean() + 1
    # The estimates of a few steps scatter.
    assert (found.bound < study.log_evidence(scores) + 0.5).all()
    assert [step for step, _ in seen] == [100]


def test_the_same_seed_gives_the_same_fit():
    config = LatentMatchingConfig(steps=5)
    scores = problems.log_likelihoods(4, 3, 0.5, seed=0)
    fits = [fitting.fit(scores, fitting.closed_form, config).logits for _ in range(2)]
    np.testing.assert_array_equal(*fits)
    other = fitting.fit(scores, fitting.closed_form, config.replace(seed=1)).logits
    assert (other != fits[0]).any()


def test_frequencies_are_those_of_matchings():
    scores = problems.log_likelihoods(3, 3, 1.0, seed=0)
    shares = study.frequencies(scores, 2000, seed=0)
    np.testing.assert_allclose(shares.sum(1), 1)
    lists = st.distributions.GumbelMatching(scores).sample(20_000, seed=1).numpy()
    for k in range(3):
        known = np.bincount(problems.ranks(lists[:, k]), None, 6) / 20_000
        assert abs(shares[k] - known).max() < 0.05
