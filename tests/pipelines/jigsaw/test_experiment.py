"""Experiments on puzzles, without a training."""

import pytest

import sinkhorn_tf as st
from pipelines.jigsaw.config import JigsawConfig
from pipelines.jigsaw.experiment import JigsawExperiment


@pytest.mark.parametrize(
    "name, crop, size",
    [("photos", True, 72), ("photos", False, 64), ("mnist", True, 64)],
)
def test_photographs_have_room_for_crops(name, crop, size):
    config = JigsawConfig().replace(dataset=name, crop=crop, image_size=64)
    assert JigsawExperiment(config, training_images=()).stored_size == size


def test_a_solver_has_the_temperature_that_the_training_ended_with(
    tmp_path, monkeypatch
):
    settings = {}
    monkeypatch.setattr(
        st, "export_solver", lambda *_, **options: settings.update(options)
    )
    (tmp_path / "metrics.json").write_text("{}")
    network = st.models.jigsaw_network(4, (2, 2, 1))
    config = JigsawConfig().replace(temperature=1.0, final_temperature=0.25)
    JigsawExperiment(config, training_images=()).export(network, str(tmp_path))
    assert settings["temperature"] == 0.25
