"""The program in this process, offline and against the stand-in for the server."""

import functools
import os
import shutil
import socket
import time

import numpy as np
import pytest
import tensorflow as tf
from absl import flags
from runner import SAVED

from pipelines import clients, datasets, solve
from pipelines.errors import UserError

MODEL = str(SAVED / "jigsaw_digits")
SIDE = 32


@pytest.fixture(autouse=True, scope="module")
def loaded_once():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clients, "Offline", functools.cache(clients.Offline))
        yield


def run(**given):
    options = flags.FlagValues()
    solve.define_flags(options)
    options.mark_as_parsed()
    for name, value in ({"model": MODEL} | given).items():
        options[name].value = value
    solve.main(options)


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
    assert (
        "the best by the network's scores, 4 of 4 pieces right"
        in capsys.readouterr().out
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
    given = {"image": str(folder), "scramble": True, "batch_size": 2}
    run(**given, out=str(tmp_path / "here"))
    run(**given, out=str(tmp_path / "there"), server=server, protocol=protocol)
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.png"))
    for name in names:
        here, there = ((tmp_path / x / name).read_bytes() for x in ("here", "there"))
        assert here == there
    assert capsys.readouterr().out.count("pieces right") == 6
    images = np.random.default_rng(0).uniform(size=[5, 8, 8, 1]).astype(np.float32)
    offline = clients.Offline(MODEL)
    client = solve.clients.Grpc if protocol == "grpc" else clients.Rest
    online = client(server, "jigsaw_digits", 10, 0)
    assert (online.shape, online.n) == (offline.shape, offline.n)
    expected = offline.solve(images)
    for name, value in online.solve(images).items():
        assert value.dtype == expected[name].dtype
        np.testing.assert_allclose(value, expected[name], rtol=1e-6)


@pytest.mark.parametrize("protocol", ["rest", "grpc"])
def test_errors_of_a_server_are_one_sentence(protocol, loopback):
    client = {"rest": clients.Rest, "grpc": clients.Grpc}[protocol]
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
        clients.Rest(f"localhost:{loopback['grpc']}", "jigsaw_digits", 5, 0)
    with pytest.raises(UserError):
        clients.Grpc(f"localhost:{loopback['rest']}", "jigsaw_digits", 5, 0)


@pytest.mark.parametrize("protocol", ["rest", "grpc"])
def test_asks_again_only_while_the_server_is_unavailable(
    protocol, loopback, monkeypatch
):
    client = {"rest": clients.Rest, "grpc": clients.Grpc}[protocol]
    pauses = []
    monkeypatch.setattr(clients.time, "sleep", pauses.append)
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
    "given, message",
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
        ({"image": "digits", "scramble": True}, "or one result another"),
        ({"out": "digits/a.png/x.png"}, "x.png cannot be written: "),
        ({"image": "digits", "out": "digits/a.png"}, "solved into a folder"),
        (
            {"server": "localhost"},
            "A server is HOST:PORT. Received: --server=localhost",
        ),
    ],
)
def test_errors_of_the_command(folder, monkeypatch, given, message):
    monkeypatch.chdir(folder.parent)
    (folder.parent / "empty").mkdir()
    for name in ("x.png", "x_scrambled.png"):
        shutil.copy(folder / "a.png", folder / name)
    before = {path: path.read_bytes() for path in folder.rglob("*.*")}
    with pytest.raises(UserError, match=message):
        run(**({"image": "digits/a.png", "out": "solved.png"} | given))
    assert {path: path.read_bytes() for path in folder.rglob("*.*")} == before


def test_what_cannot_be_solved_is_named_and_the_rest_is_solved(folder, capsys):
    (folder / "broken.png").write_bytes(b"no image")
    odd = tf.io.encode_png(np.zeros([9, 8, 1], np.uint8)).numpy()
    (folder / "odd.png").write_bytes(odd)
    out = folder.parent / "out"
    with pytest.raises(UserError, match="2 of 5 images were not solved"):
        run(image=str(folder), out=str(out))
    said = capsys.readouterr().err
    assert "broken.png: " in said
    assert "multiples of 2. Received" in said and "odd.png of 9 x 8" in said
    assert sorted(x.name for x in out.rglob("*.png")) == ["a.png", "b.png", "c.png"]
