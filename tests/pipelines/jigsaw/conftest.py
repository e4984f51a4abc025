"""Trainings on puzzles that end soon."""

import pytest

from pipelines.jigsaw import report


@pytest.fixture(autouse=True, scope="module")
def few_pictures():
    """Pictures of more take longer than the short trainings."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "_DRAWN", 2)
        yield
