"""Which files of a scene folder are sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from blender_addon.client.scene_files import SceneFiles, find_files, inside
from protocol.coroutines import finish
from protocol.errors import BadArgument, BadScene
from protocol.ply import write_ply
from tests.protocol.strategies import random_splats


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
        "masks/metadata.csv",
        "masks/notes.csv",
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
        "masks/metadata.csv",
        "sparse/0/cameras.bin",
        "sparse/0/points3D.txt",
        "start.ply",
        "transforms.json",
    ]
    assert found(folder).bytes == 5 * 10


def test_every_kind_of_photograph_and_mask_is_sent(tmp_path):
    photographs = ["a.webp", "a.TIF", "a.tiff", "a.bmp"]
    for name in (*photographs, "a.png.mask.png", "rle.json", "a.npz", "a.heic", "transforms.json"):
        (tmp_path / name).touch()
    assert set(names(tmp_path)) == {*photographs, "a.png.mask.png", "rle.json", "a.npz", "transforms.json"}


def test_of_photographs_without_cameras_only_what_is_read_is_sent(tmp_path):
    for name in ("images/0.jpg", "images/1.HEIC", "masks/0.png", "holiday/0.png", "clip.mp4", "a.txt", "taxes.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"12345")
    assert names(tmp_path) == ["images/0.jpg", "images/1.HEIC", "masks/0.png"]
    assert found(tmp_path).bytes == 15
    assert "holiday/0.png" in names(tmp_path, "holiday")


def test_a_video_is_sent_alone(tmp_path):
    for name in ("clip.MP4", "other.txt", "results/0.png", "private.mov"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"12345")
    assert found(tmp_path / "clip.MP4").files == [tmp_path / "clip.MP4"]
    assert found(tmp_path / "clip.MP4").root == tmp_path
    with pytest.raises(BadScene, match="2 videos"):
        found(tmp_path)
    (tmp_path / "private.mov").unlink()
    assert names(tmp_path) == ["clip.MP4"]
    assert found(tmp_path / "clip.MP4", "results").files == [tmp_path / "clip.MP4", tmp_path / "results" / "0.png"]


def test_a_splat_file_without_photographs_is_sent_alone(tmp_path):
    write_ply(random_splats(3), tmp_path / "a.ply")
    (tmp_path / "notes.txt").touch()
    assert (names(tmp_path), found(tmp_path).alone) == (["a.ply"], tmp_path / "a.ply")
    (tmp_path / "b.splat").touch()
    assert found(tmp_path / "b.splat").files == [tmp_path / "b.splat"]
    with pytest.raises(BadScene, match="2 splat files"):
        found(tmp_path)


def test_the_last_state_of_a_training_is_sent_alone(tmp_path):
    for count in (7000, 30000):
        (tmp_path / f"iteration_{count}").mkdir()
        write_ply(random_splats(3), tmp_path / f"iteration_{count}" / "point_cloud.ply")
    assert names(tmp_path) == ["iteration_30000/point_cloud.ply"]


def test_cameras_behind_a_link_are_cameras(folder, tmp_path):
    (tmp_path / "linked" / "images").mkdir(parents=True)
    (tmp_path / "linked" / "images" / "0.jpg").touch()
    assert found(tmp_path / "linked").unposed is not None
    (tmp_path / "linked" / "sparse").symlink_to(folder / "sparse")
    assert found(tmp_path / "linked").unposed is None


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
    assert len(result.links) == 3


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
        ("nowhere", "not an existing folder, video or splat file"),
        ("file.png", "not an existing folder, video or splat file"),
        ("empty", "contains no photographs"),
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
    with pytest.raises(BadArgument, match=r"The mask folder .* does not exist"):
        inside(folder, "nowhere", "mask folder")
