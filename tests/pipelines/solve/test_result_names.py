import pathlib

import pytest

from pipelines.solve.result_names import beside, result_names


@pytest.mark.parametrize(
    "names, expected",
    [
        (["a.png", "b/c.jpg"], ["a.png", "b/c.png"]),
        (["one.bmp", "one.png"], ["one_bmp.png", "one.png"]),
        (["one.bmp", "one.gif", "one.jpg"], ["one.png", "one_gif.png", "one_jpg.png"]),
        # A name of its own goes before one that gives way.
        (
            ["one.bmp", "one.png", "one_bmp.gif"],
            ["one_bmp_2.png", "one.png", "one_bmp.png"],
        ),
        (["A.png", "a.PNG"], ["A.png", "a_PNG.png"]),
        (["A/x.png", "a/x.png"], ["A/x.png", "a/x_png.png"]),
        (["one.bmp", "one.png/x.png"], ["one_bmp.png", "one.png/x.png"]),
        (["caf\udce9.bmp", "caf\udce9.png"], ["caf\udce9_bmp.png", "caf\udce9.png"]),
    ],
)
def test_results_have_names_of_their_own(names, expected):
    results = result_names([pathlib.PurePath(name) for name in names], False)
    assert [str(name) for name in results] == expected


def test_scrambled_images_have_names_of_their_own():
    names = ["x.bmp", "x.png", "x_bmp_scrambled.png", "x_scrambled.jpg"]
    results = result_names([pathlib.PurePath(name) for name in names], True)
    assert list(map(str, results)) == [
        "x_bmp_2.png",
        "x.png",
        "x_bmp_scrambled.png",
        "x_scrambled_jpg.png",
    ]
    written = [str(path) for each in results for path in (each, beside(each))]
    assert len(set(written)) == 8
