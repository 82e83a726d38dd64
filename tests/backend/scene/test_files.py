"""Listed paths: what they are taken to name, whatever they hold."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.scene.files import Names, find_listed, from_inside, read_entry
from protocol.errors import BadScene

LISTING = Path("list.json")


@pytest.mark.parametrize(
    ("text", "parts", "leaves"),
    [
        ("a.png", ("a.png",), False),
        ("./images//a.png", ("images", "a.png"), False),
        ("images\\a b.png", ("images", "a b.png"), False),
        ("/data/a.png", ("data", "a.png"), True),
        ("C:\\data\\a.png", ("data", "a.png"), True),
        ("d:a/b.png", ("d:a", "b.png"), False),
        ("../../x/a.png", ("x", "a.png"), True),
        ("a/../b/../c.png", ("c.png",), True),
        ("file:///data/a.png", ("data", "a.png"), True),
    ],
)
def test_entries(text: str, parts: tuple[str, ...], leaves: bool) -> None:
    entry = read_entry(text, LISTING)
    assert (entry.parts, entry.leaves) == (parts, leaves)


@pytest.mark.parametrize("text", ["", ".", "/", "..", "a/..", "C:", "a" * 251, "é" * 126, "/".join(["a" * 200] * 6)])
def test_paths_that_name_nothing(text: str) -> None:
    with pytest.raises(BadScene, match="which is not inside the scene folder"):
        read_entry(text, LISTING)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("files") / "scene"
    for name in ("a.ply", "B.PLY", "sub/a.ply", "sub/c.ply", "x.ply", "X.ply", ".hidden.ply", "../secret.ply"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    (root / "out.ply").symlink_to(root.parent / "secret.ply")
    (root / "up").symlink_to("..")
    return root


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a.ply", "a.ply"),
        ("b.ply", "B.PLY"),
        ("SUB\\C.ply", "sub/c.ply"),
        ("x.ply", "x.ply"),
        ("/home/me/sub/a.ply", "sub/a.ply"),
        ("../scene/a.ply", "a.ply"),
        ("nothing.ply", None),
        ("other/a.ply", None),
        (".hidden.ply", None),
        ("out.ply", None),
        ("up/secret.ply", None),
    ],
)
def test_listed_files(folder: Path, text: str, found: str | None) -> None:
    file = find_listed(Names(folder), folder, text, LISTING)
    assert file == (None if found is None else folder / found)


@pytest.mark.parametrize("text", ["../secret.ply", "/secret.ply", "../up/secret.ply"])
def test_listed_files_outside(folder: Path, text: str) -> None:
    with pytest.raises(BadScene, match="which is not inside the scene folder"):
        find_listed(Names(folder), folder, text, LISTING)


def test_a_listed_file_that_may_be_either_of_two(folder: Path) -> None:
    (folder / "y.ply").touch()
    (folder / "Y.ply").touch()
    with pytest.raises(BadScene, match=r"lists 'y\.PLY', which matches .*Y\.ply or .*y\.ply"):
        find_listed(Names(folder), folder, "y.PLY", LISTING)


PART = st.sampled_from(
    ["..", ".", "", "a.ply", "sub", "up", "C:", "/", "out.ply", "secret.ply", "é", "\0", "\ud800", "~"]
)


@given(st.lists(PART, max_size=6), st.sampled_from(["/", "\\"]), st.text(max_size=5))
@settings(max_examples=300, deadline=None)
def test_no_path_leads_outside(folder: Path, parts: list[str], slash: str, more: str) -> None:
    try:
        file = find_listed(Names(folder), folder, slash.join(parts) + more, LISTING)
    except BadScene:
        return
    assert file is None or file.resolve().is_relative_to(folder.resolve())


def test_sentences_name_paths_from_inside() -> None:
    root = Path("/jobs/17/scene")
    assert from_inside("Read /jobs/17/scene/a.png.", root) == "Read a.png."
    assert from_inside("Read /jobs/17/scene.", root) == "Read the scene folder."
