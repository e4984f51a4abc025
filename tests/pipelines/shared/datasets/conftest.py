import pytest
from absl import logging

from pipelines.shared.datasets import obtaining


@pytest.fixture
def offline(monkeypatch):
    monkeypatch.setattr(obtaining, "reachable", lambda host: False)


@pytest.fixture
def warnings_logged(monkeypatch):
    lines = []
    monkeypatch.setattr(logging, "warning", lambda text, *a: lines.append(text % a))
    return lines
