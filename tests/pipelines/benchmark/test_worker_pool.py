"""Processes of peers."""

import pytest

from pipelines.benchmark import worker_pool


def test_a_worker_that_dies_says_so_and_is_started_anew(tmp_path):
    worker = worker_pool.Worker("scipy", str(tmp_path), patience=60)
    try:
        worker.wait()
        assert set(worker.versions) == {"scipy"}
        worker._process.kill()
        with pytest.raises(worker_pool.Ended, match="the process ended with -9"):
            worker.ask(do="finish")
        assert worker.is_usable
        assert worker.ask(do="finish")["held_mib"] >= 0
    finally:
        worker.close()
