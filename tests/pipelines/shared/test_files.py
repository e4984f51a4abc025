import concurrent.futures
import json
import os
import threading

import pytest

from pipelines.shared import files


def test_a_finished_write_replaces_and_a_failed_one_keeps(tmp_path):
    path = tmp_path / "file.json"
    files.write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        files.write_json(path, {"a": object()})
    assert json.loads(path.read_text()) == {"a": 1}
    assert os.listdir(tmp_path) == ["file.json"]


def test_of_several_at_once_one_makes_a_file_and_the_others_wait(tmp_path):
    path, inner = (
        str(tmp_path / "new" / "file.txt"),
        str(tmp_path / "new" / "inner.txt"),
    )
    together, made = threading.Barrier(3), []

    def make():
        made.append(1)
        # What makes a file may need another one in the same folder.
        files.make_once(inner, lambda: files.write_text(inner, "b"))
        files.write_text(path, "a")

    def ask():
        together.wait()
        files.make_once(path, make)
        with open(path, encoding="utf-8") as file:
            return file.read()

    with concurrent.futures.ThreadPoolExecutor() as pool:
        asked = [pool.submit(ask) for _ in range(3)]
    assert [x.result() for x in asked] == ["a"] * 3
    assert made == [1]


def test_a_file_that_could_not_be_made_is_made_by_the_next(tmp_path):
    path = str(tmp_path / "file.txt")
    with pytest.raises(ZeroDivisionError):
        files.make_once(path, lambda: 1 / 0)
    files.make_once(path, lambda: files.write_text(path, "a"))
    assert (tmp_path / "file.txt").read_text() == "a"
