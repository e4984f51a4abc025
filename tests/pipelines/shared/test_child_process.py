import os
import subprocess
import sys

from pipelines.shared import child_process
from pipelines.shared.files import ROOT


def test_a_child_imports_this_project_wherever_it_starts(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    environment = child_process.environment(ANSWER="42")
    assert environment["PYTHONPATH"] == f"{ROOT}{os.pathsep}/elsewhere"
    assert environment["ANSWER"] == "42"
    code = "import pipelines; print(pipelines.__file__)"
    ended = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert ended.stdout.strip() == str(ROOT / "pipelines/__init__.py")


def test_the_last_line_of_a_log(tmp_path):
    log = tmp_path / "log"
    log.write_bytes(b"first\nlast: \xff\n\n")
    assert child_process.last_line(log) == "last: \ufffd"
    log.write_bytes(b"")
    assert child_process.last_line(log) == ""
