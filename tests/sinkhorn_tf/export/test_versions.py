"""Versions are numbered, written whole or not at all, and never overwritten."""

import os

import pytest

import sinkhorn_tf as st
from sinkhorn_tf.export import _servable, _versions


def test_versions_are_numbered_and_never_overwritten(model, path):
    assert sorted(os.listdir(path)) == ["1", "2"]
    before = (path / "1" / "saved_model.pb").read_bytes()
    with pytest.raises(FileExistsError, match=r"Received: .*solver0/1"):
        st.export_solver(model, path, version=1)
    assert sorted(os.listdir(path)) == ["1", "2"]
    assert (path / "1" / "saved_model.pb").read_bytes() == before


def test_an_interrupted_export_leaves_no_version(model, path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(_servable, "refuse_what_serving_refuses", interrupted)
    with pytest.raises(KeyboardInterrupt):
        st.export_solver(model, path, n_iters=1)
    assert sorted(os.listdir(path)) == ["1", "2"]


def test_a_number_that_another_export_takes_meanwhile_is_left_to_it(
    model, tmp_path, monkeypatch
):
    path = tmp_path / "solver"

    def other(*_, **__):
        (path / "1").mkdir()
        (path / "1" / "saved_model.pb").touch()

    monkeypatch.setattr(_servable, "refuse_what_serving_refuses", other)
    numbers = [1, 2]
    monkeypatch.setattr(_versions, "next_version", lambda _: numbers.pop(0))
    assert st.export_solver(model, path, n_iters=1) == str(path / "2")
    assert os.listdir(path / "1") == ["saved_model.pb"]


@pytest.mark.parametrize("name", ["solver", "solver_xla"])
def test_a_file_is_not_a_directory_of_versions(name, model, tmp_path):
    (tmp_path / name).write_text("")
    with pytest.raises(FileExistsError, match=f"Received: .*{name}$"):
        st.export_solver(model, tmp_path / "solver", jit_variant=True)
    assert os.listdir(tmp_path) == [name]
