import pytest

from tests.serving.conftest import started


@pytest.fixture(scope="session")
def loopback(tmp_path_factory):
    """A stand-in of the server: its ports `grpc` and `rest`, and its `process`."""
    with started(tmp_path_factory.mktemp("loopback")) as server:
        yield server
