import os

import pytest

from pipelines.shared import image_folders
from pipelines.shared.errors import UserError
from pipelines.shared.image_folders import find_images


def touch(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def test_names_are_sorted_strings_of_every_kind(tmp_path):
    names = ["a.bmp", "a-b/x.gif", "a/x.webp", "B.JPG", "c.TIFF", "d.jpeg", ".e.png"]
    odd = ["new\nline.png", "[1] *?.tif", "caf\udce9.png"]
    touch(tmp_path, *names, *odd, "notes.txt", "png", "deep/er/f.PNG")
    os.mkdir(tmp_path / "folder.png")
    os.mkfifo(tmp_path / "pipe.txt")
    search = find_images(tmp_path)
    assert search.names == sorted([*names, *odd, "deep/er/f.PNG"])
    assert search.passed_over == []


def test_what_is_passed_over_is_counted(tmp_path):
    touch(tmp_path, "a.png", "b.heic", "c/d.HEIC", "e.svg", "f.txt")
    os.mkfifo(tmp_path / "pipe.png")
    assert find_images(tmp_path).passed_over == [
        (
            "4 files of kinds that are not read (2 .heic, 1 .png, 1 .svg); the kinds "
            "that are read are JPEG, PNG, BMP, GIF, WebP, TIFF."
        )
    ]


def test_linked_folders_are_entered_once(tmp_path):
    root, other = tmp_path / "root", tmp_path / "other"
    touch(root, "x.png", "z/y.png")
    touch(other, "o.png", "deep/p.png")
    os.symlink(other, root / "link")
    os.symlink(other / "deep", root / "more")
    # Links in a circle, up, and to what is there already.
    os.symlink(".", root / "loop")
    os.symlink(tmp_path, root / "up")
    os.symlink("z", root / "again")
    os.symlink(root, other / "deep" / "back")
    os.symlink("x.png", root / "file.png")
    search = find_images(root)
    expected = ["file.png", "link/deep/p.png", "link/o.png", "x.png", "z/y.png"]
    assert search.names == expected
    assert search.passed_over == [
        (
            "5 linked folders that are in the tree already: again, link/deep/back, loop, "
            "more, up."
        )
    ]
    ids = {image_folders.folder_identity(x) for x in (root, root / "z", other)}
    assert search.folders == ids | {image_folders.folder_identity(other / "deep")}


def test_a_linked_folder_that_holds_the_tree(tmp_path):
    root, around = tmp_path / "around" / "root", tmp_path / "around"
    touch(root, "x.png")
    touch(around, "y.png")
    touch(tmp_path, "else/z.png")
    os.symlink(around, tmp_path / "else" / "around")
    os.symlink(tmp_path / "else", root / "link")
    search = find_images(root)
    assert search.names == ["link/around/y.png", "link/z.png", "x.png"]
    assert search.passed_over == [
        "1 linked folder that is in the tree already: link/around/root."
    ]


def test_links_that_lead_nowhere_are_images_that_cannot_be_read(tmp_path):
    touch(tmp_path, "x.png")
    os.symlink("nowhere", tmp_path / "broken.png")
    os.symlink("circle.png", tmp_path / "circle.png")
    os.symlink("nowhere", tmp_path / "broken")
    assert find_images(tmp_path).names == ["broken.png", "circle.png", "x.png"]


def test_folders_that_cannot_be_entered_are_named(tmp_path, monkeypatch):
    touch(tmp_path, "a/x.png", "b/y.png", "z.png")
    scandir = os.scandir

    def refuse(path):
        if path.endswith("b"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    search = find_images(tmp_path)
    assert search.names == ["a/x.png", "z.png"]
    expected = "1 folder that cannot be entered: b (Permission denied)."
    assert search.passed_over == [expected]
    with pytest.raises(UserError, match="nowhere cannot be read: No such file"):
        find_images(tmp_path / "nowhere")
