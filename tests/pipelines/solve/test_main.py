"""The program in this process, offline and against the stand-in for the server."""

import functools
import os
import shutil
import socket
import time

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from pipelines.shared import datasets, image_files
from pipelines.shared.errors import UserError
from pipelines.solve import offline
from pipelines.solve.__main__ import main
from pipelines.solve.config import SolveConfig
from pipelines.solve.grpc import Grpc
from pipelines.solve.rest import Rest
from tests.serving.runner import SAVED

MODEL = str(SAVED / "jigsaw_digits")
CLIENTS = {"rest": Rest, "grpc": Grpc}


@pytest.fixture(autouse=True, scope="module")
def loaded_once():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(offline, "Offline", functools.cache(offline.Offline))
        yield


def run(**settings):
    # However busy the machine is.
    patient = {"model": MODEL, "timeout": 300.0}
    main(SolveConfig(**(patient | settings)))


def test_flags_are_answered_without_tensorflow(run_python):
    done = run_python(
        f"""
        import sys
        sys.path.insert(0, {os.getcwd()!r})
        import pipelines.solve.__main__
        heavy = {{"tensorflow", "keras", "matplotlib", "requests", "grpc"}}
        print(heavy & set(sys.modules))
        """
    )
    assert done.stdout == "set()\n", done.stderr


@pytest.fixture
def folder(tmp_path):
    """Three test digits in order, four times as large as the model takes them."""
    images = datasets.load("digits", "test", size=8).images[:3]
    for name, image in zip(("a.png", "b.png", "sub/c.png"), images, strict=True):
        path = tmp_path / "digits" / name
        path.parent.mkdir(exist_ok=True, parents=True)
        image = np.repeat(np.repeat(image, 4, 0), 4, 1)
        path.write_bytes(tf.io.encode_png(image).numpy())
    return tmp_path / "digits"


def pixels(path):
    return tf.io.decode_image(path.read_bytes()).numpy()


def test_scrambled_and_put_back_in_full_size(folder, tmp_path, capsys):
    out = tmp_path / "new" / "solved.png"
    run(image=str(folder / "a.png"), out=str(out), scramble=True)
    assert capsys.readouterr().out == (
        f"wrote {out} and, scrambled, {out.with_name('solved_scrambled.png')}: the "
        "matching is optimal for the network's scores (which does not say that the "
        "picture is right), 4 of 4 pieces right\n"
    )
    np.testing.assert_array_equal(pixels(out), pixels(folder / "a.png"))
    scrambled = tmp_path / "new" / "solved_scrambled.png"
    assert (pixels(scrambled) != pixels(out)).any()
    again = tmp_path / "again.png"
    run(image=str(scrambled), out=str(again))
    np.testing.assert_array_equal(pixels(again), pixels(out))
    assert sorted(os.listdir(tmp_path / "new")) == [
        "solved.png",
        "solved_scrambled.png",
    ]


@pytest.mark.parametrize("protocol", ["rest", "grpc"])
def test_a_server_gives_what_the_model_gives_here(
    folder, tmp_path, protocol, loopback, capsys
):
    server = f"localhost:{loopback[protocol]}"
    settings = {"image": str(folder), "scramble": True, "batch_size": 2}
    run(**settings, out=str(tmp_path / "here"))
    run(**settings, out=str(tmp_path / "there"), server=server, protocol=protocol)
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.png"))
    for name in names:
        here, there = ((tmp_path / x / name).read_bytes() for x in ("here", "there"))
        assert here == there
    assert capsys.readouterr().out.splitlines() == [
        "solved 3 of 3 images; 12 of 12 pieces right; for 3 of 3 the matching is optimal "
        "for the network's scores (which does not say that the picture is right); "
        f"wrote 3 images, each with its _scrambled one, to {tmp_path / out}"
        for out in ("here", "there")
    ]
    images = np.random.default_rng(0).uniform(size=[5, 8, 8, 1]).astype(np.float32)
    here = offline.Offline(MODEL)
    online = CLIENTS[protocol](server, "jigsaw_digits", 10, 0)
    assert (online.shape, online.n) == (here.shape, here.n)
    expected = here.solve(images)
    for name, value in online.solve(images).items():
        assert value.dtype == expected[name].dtype
        np.testing.assert_allclose(value, expected[name], rtol=1e-6)


@pytest.mark.parametrize("protocol", ["rest", "grpc"])
def test_errors_of_a_server_are_one_sentence(protocol, loopback):
    client = CLIENTS[protocol]
    server = f"localhost:{loopback[protocol]}"
    with pytest.raises(UserError, match="no model of this name: nothing"):
        client(server, "nothing", 5, 0)
    with pytest.raises(UserError, match="no model of this name: my model"):
        client(server, "my model", 5, 0)
    with pytest.raises(UserError, match="no signature solve_image"):
        client(server, "sorting_n120", 5, 0)
    solver = client(server, "jigsaw_digits", 5, 3)
    with pytest.raises(UserError, match="The server refused the request") as refused:
        solver.solve(np.zeros([1, 5, 5, 1], np.float32))
    assert "\n" not in str(refused.value)


def test_the_port_of_the_other_protocol_is_one_sentence(loopback):
    with pytest.raises(UserError, match="does not answer as TensorFlow Serving"):
        Rest(f"localhost:{loopback['grpc']}", "jigsaw_digits", 5, 0)
    with pytest.raises(UserError):
        Grpc(f"localhost:{loopback['rest']}", "jigsaw_digits", 5, 0)


@pytest.mark.parametrize("protocol", ["rest", "grpc"])
def test_asks_again_only_while_the_server_is_unavailable(
    protocol, loopback, monkeypatch
):
    client = CLIENTS[protocol]
    pauses = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    with socket.socket() as free:
        free.bind(("localhost", 0))
        down = f"localhost:{free.getsockname()[1]}"
        with pytest.raises(UserError, match=f"No server answers at {down}"):
            client(down, "jigsaw_digits", 5, 3)
        assert pauses == [0.2, 0.4, 0.8]
    with socket.socket() as silent:
        silent.bind(("localhost", 0))
        silent.listen()
        started = time.monotonic()
        with pytest.raises(UserError, match="No answer within 0.3 s"):
            client(f"localhost:{silent.getsockname()[1]}", "jigsaw_digits", 0.3, 3)
        assert time.monotonic() - started < 3 and len(pauses) == 3
    with pytest.raises(UserError, match="no model"):
        client(f"localhost:{loopback[protocol]}", "nothing", 5, 3)
    assert len(pauses) == 3


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"model": None}, "--model is missing"),
        ({"model": "nowhere"}, "No such directory. Received: --model=nowhere"),
        ({"model": "."}, "No version of a model"),
        ({"model": str(SAVED / "sorting_n120")}, "no signature solve_image"),
        ({"image": "nothing.png"}, "No such file. Received: --image=nothing.png"),
        ({"image": "empty"}, "No image in this folder"),
        ({"out": "x.gif"}, "--out ends with .png or .jpg"),
        ({"out": "digits/a.png"}, "--out would overwrite --image"),
        ({"image": "digits", "out": "digits"}, "--out would be in --image"),
        ({"image": "digits", "out": "digits/sub"}, "--out would be in --image"),
        (
            {
                "image": "digits/x_scrambled.png",
                "out": "digits/x.png",
                "scramble": True,
            },
            "--out would overwrite --image",
        ),
        ({"out": "digits/a.png/x.png"}, "x.png cannot be written: "),
        ({"image": "digits", "out": "digits/a.png"}, "--out must be a folder"),
        (
            {"server": "localhost"},
            "A server is HOST:PORT. Received: --server=localhost",
        ),
    ],
)
def test_errors_of_the_command(folder, monkeypatch, settings, message):
    monkeypatch.chdir(folder.parent)
    (folder.parent / "empty").mkdir()
    for name in ("x.png", "x_scrambled.png"):
        shutil.copy(folder / "a.png", folder / name)
    before = {path: path.read_bytes() for path in folder.rglob("*.*")}
    with pytest.raises(UserError, match=message):
        run(**({"image": "digits/a.png", "out": "solved.png"} | settings))
    assert {path: path.read_bytes() for path in folder.rglob("*.*")} == before


def test_what_cannot_be_solved_is_named_and_the_rest_is_solved(folder, capsys):
    (folder / "broken\udce9.png").write_bytes(b"no image")
    odd = tf.io.encode_png(np.zeros([9, 8, 1], np.uint8)).numpy()
    (folder / "odd.png").write_bytes(odd)
    (folder / "nowhere.png").symlink_to("nothing")
    (folder / "photo.heic").write_bytes(b"")
    out = folder.parent / "out"
    # A result that cannot be written.
    (out / "b.png").mkdir(parents=True)
    with pytest.raises(UserError, match="4 of 6 images were not solved"):
        run(image=str(folder), out=str(out))
    said, errors = capsys.readouterr()
    assert f"{folder}/broken\\xe9.png: It is not an image" in errors
    assert "multiples of 2. Received" in errors and "odd.png of 9 x 8" in errors
    assert f"{folder}/nowhere.png: No such file" in errors
    assert f"{out}/b.png cannot be written: Is a directory." in errors
    assert "passed over: 1 file of kinds that are not read (1 .heic)" in errors
    assert said == (
        "solved 2 of 6 images; for 2 of 2 the matching is optimal for the network's "
        "scores (which does not say that the picture is right); wrote 2 images to "
        f"{out}\n"
    )
    written = sorted(x.name for x in out.rglob("*.png") if x.is_file())
    assert written == ["a.png", "c.png"]


def test_nothing_is_solved(folder, capsys):
    for path in folder.rglob("*.png"):
        path.write_bytes(b"no image")
    with pytest.raises(UserError, match="3 of 3 images were not solved"):
        run(image=str(folder), out=str(folder.parent / "out"))
    assert capsys.readouterr().out == "solved none of 3 images; wrote nothing\n"
    with pytest.raises(UserError, match="a.png: It is not an image of a kind"):
        run(image=str(folder / "a.png"), out=str(folder.parent / "a.png"))


def test_every_image_of_a_folder_has_its_result(folder, tmp_path):
    image = Image.open(folder / "a.png")
    names = ["a.bmp", "a.webp", "a_scrambled.png", "caf\udce9.tif", "two\nlines.gif"]
    for name in names:
        image.save(folder / name, lossless=True)
    (tmp_path / "other").mkdir()
    shutil.copy(folder / "b.png", tmp_path / "other")
    (folder / "link").symlink_to(tmp_path / "other")
    (folder / "loop").symlink_to(".")
    out = tmp_path / "out"
    run(image=str(folder), out=str(out), scramble=True)
    results = {
        "a.png": "a.png",
        "a.bmp": "a_bmp.png",
        "a.webp": "a_webp.png",
        "a_scrambled.png": "a_scrambled_png.png",
        "caf\udce9.tif": "caf\udce9.png",
        "two\nlines.gif": "two\nlines.png",
        "b.png": "b.png",
        "sub/c.png": "sub/c.png",
        "link/b.png": "link/b.png",
    }
    for name, result in results.items():
        solved = image_files.read(out / result)
        stored = image_files.read(folder / name)[..., :1]
        np.testing.assert_array_equal(solved, stored)
    assert sum(path.is_file() for path in out.rglob("*")) == 2 * len(results)


def test_linked_folders_are_not_solved_into(folder, tmp_path):
    (tmp_path / "out").mkdir()
    (folder / "link").symlink_to(tmp_path / "out")
    with pytest.raises(UserError, match="--out would be in --image"):
        run(image=str(folder), out=str(tmp_path / "out" / "new"))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_turned_photograph_is_put_back(folder, tmp_path, kind):
    upright = Image.open(folder / "a.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = upright.transpose(Image.Transpose.ROTATE_90)
    stored.save(tmp_path / "stored", kind, exif=exif, lossless=True, quality=100)
    out = tmp_path / "out.png"
    run(image=str(tmp_path / "stored"), out=str(out), scramble=True)
    np.testing.assert_allclose(
        image_files.read(out)[..., 0].astype(int), np.asarray(upright), atol=6
    )


def test_names_that_the_terminal_cannot_show(folder, tmp_path, run_python):
    (folder / "a.png").rename(folder / "a\udce9\u00e9.png")
    (folder / "sub" / "c.png").write_bytes(b"no image")
    (folder / "sub").rename(folder / "s\udce9b")
    done = run_python(
        f"""
        import runpy
        import sys
        sys.path.insert(0, {os.getcwd()!r})
        sys.stdout.reconfigure(encoding="ascii", errors="strict")
        runpy.run_module("pipelines.solve", run_name="__main__", alter_sys=True)
        """,
        f"--model={MODEL}",
        f"--image={folder}",
        f"--out={tmp_path}/\udce9\u00e9",
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert f"{folder}/s\\xe9b/c.png: It is not an image" in done.stderr
    assert done.stderr.endswith("error: 1 of 3 images were not solved, see above.\n")
    assert done.stdout.endswith(f"wrote 2 images to {tmp_path}/\\xe9\\xe9\n")
    assert sorted(x.name for x in (tmp_path / "\udce9\u00e9").iterdir()) == [
        "a\udce9\u00e9.png",
        "b.png",
    ]


def test_the_model_that_was_meant_is_named(folder, tmp_path):
    workdir = tmp_path / "run"
    (workdir / "checkpoints").mkdir(parents=True)
    for name in ("flags.json", "checkpoints/checkpoint", "network.keras"):
        (workdir / name).write_text("{}")

    def refused(model):
        with pytest.raises(UserError) as error:
            run(model=str(model), image=str(folder / "a.png"), out="out.png")
        return str(error.value)

    assert "there (this run has not exported a solver). Rec" in refused(workdir)
    shutil.copytree(MODEL, workdir / "solver")
    meant = f"(did you mean {workdir}/solver?). Received: --model="
    for model in ("", "/", "/checkpoints", "/network.keras", "/sovler"):
        assert meant in refused(f"{workdir}{model}")
    assert f"(did you mean {SAVED}/assembly_mnist or {MODEL} or " in refused(SAVED)
    (workdir / "solver").rename(workdir / "solver\udce9")
    assert "paths that are UTF-8" in refused(workdir / "solver\udce9")
