"""Which files of a scene folder are sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from blender_addon.client.scene_files import SceneFiles, find_files, inside
from protocol.coroutines import finish
from protocol.errors import BadArgument, BadScene


def found(folder: Path, *also: str) -> SceneFiles:
    return finish(find_files(folder, also))


def names(folder: Path, *also: str) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in found(folder, *also).files]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "scene"
    for name in (
        "images/0.JPG",
        "images/1.jpeg",
        "images/.thumb.png",
        "sparse/0/cameras.bin",
        "sparse/0/points3D.txt",
        "masks/0.png",
        "detic/0.npy",
        "detic/1.npz",
        "transforms.json",
        "start.ply",
        "video.mp4",
        "Makefile",
        "gt/instance/0.png",
        "gt/objects.json",
        "images/gt/0.png",
        ".git/config.json",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"12345")
    return folder


def test_what_the_readers_know_is_sent_and_nothing_else(folder):
    assert names(folder) == [
        "detic/0.npy",
        "detic/1.npz",
        "images/0.JPG",
        "images/1.jpeg",
        "masks/0.png",
        "sparse/0/cameras.bin",
        "sparse/0/points3D.txt",
        "start.ply",
        "transforms.json",
    ]
    assert found(folder).bytes == 5 * 9


def test_every_kind_of_photograph_and_mask_is_sent(tmp_path):
    photographs = ["a.webp", "a.TIF", "a.tiff", "a.bmp"]
    for name in (*photographs, "a.png.mask.png", "rle.json", "a.npz", "a.heic"):
        (tmp_path / name).touch()
    assert set(names(tmp_path)) == {*photographs, "a.png.mask.png", "rle.json", "a.npz"}


def test_what_the_request_names_is_sent_even_if_it_would_be_passed_over(folder):
    (folder / "gt" / "instance" / "notes.docx").write_bytes(b"private")
    added = set(names(folder, "gt/instance", ".git/config.json", "Makefile")) - set(names(folder))
    assert added == {"gt/instance/0.png", ".git/config.json", "Makefile"}


def test_links_are_followed_inside_the_folder_only(folder, tmp_path):
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "0.png").write_bytes(b"private")
    before = names(folder)
    (folder / "outside").symlink_to(tmp_path / "private")
    (folder / "out.png").symlink_to(tmp_path / "private" / "0.png")
    (folder / "up").symlink_to("..")
    (folder / "dead.png").symlink_to("nowhere.png")
    (folder / "color").symlink_to("detic")
    (folder / "in.png").symlink_to("masks/0.png")
    result = found(folder)
    assert set(names(folder)) - set(before) == {"color/0.npy", "color/1.npz", "in.png"}
    assert result.links_left_out == 3


def test_links_in_a_circle_end(folder):
    (folder / "images" / "again").symlink_to("..")
    (folder / "self").symlink_to(".")
    assert names(folder)


def test_a_folder_reached_through_a_link_is_a_folder(folder, tmp_path):
    (tmp_path / "link").symlink_to(folder)
    assert names(tmp_path / "link") == names(folder)


def test_many_files_come_in_steps(tmp_path):
    for n in range(700):
        (tmp_path / f"{n}.png").touch()
    assert list(find_files(tmp_path)) == [200, 400, 600]


def test_what_cannot_be_sent(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "readme.md").touch()
    (tmp_path / "file.png").touch()
    for name, said in (
        ("nowhere", "nowhere does not exist"),
        ("file.png", "does not exist"),
        ("empty", "holds no photographs"),
    ):
        with pytest.raises(BadScene, match=said) as refused:
            found(tmp_path / name)
        assert str(tmp_path / name) in refused.value.sentence
        assert refused.value.remedy


def test_paths_of_a_request(folder, tmp_path):
    assert inside(folder, "masks", "mask folder") == "masks"
    assert inside(folder, folder / "masks", "mask folder") == "masks"
    assert inside(folder, "images/../masks/", "mask folder") == "masks"
    (tmp_path / "link").symlink_to(folder)
    assert inside(tmp_path / "link", folder / "masks", "mask folder") == "masks"
    for path in ("..", "/", "../scene2"):
        (tmp_path / "scene2").mkdir(exist_ok=True)
        with pytest.raises(BadArgument, match="outside the scene folder"):
            inside(folder, path, "mask folder")
    with pytest.raises(BadArgument, match="There is no mask folder"):
        inside(folder, "nowhere", "mask folder")
