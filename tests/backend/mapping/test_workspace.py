"""Poses of photographs without cameras: a generated room with known cameras."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import numpy as np
import pytest
from PIL import Image, ImageOps

from backend.feature_matching import CONTRAST
from backend.mapping import Workspace, make_workspace, mapper, write_workspace
from backend.mapping.workspace import is_current
from backend.progress import Cancelled, Stopped
from backend.scene import load_scene, read_mask
from backend.scene.inspect import inspect_scene
from backend.scene.unposed import find_unposed
from bench.poses import errors
from protocol.errors import BadArgument, BadScene
from protocol.unposed import Unposed
from tests.backend.mapping.conftest import VIEWS


def unposed(folder: Path) -> Unposed:
    source = find_unposed(folder)
    assert source is not None
    return source


@pytest.fixture(scope="module")
def made(plain: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return make_workspace(unposed(plain), tmp_path_factory.mktemp("out") / "workspace")


def test_poses_are_those_of_the_room(made: Workspace, room: Path) -> None:
    known = {view.name: view.camera for view in load_scene(room).views}
    scene = load_scene(made.folder)
    assert scene.layout == "colmap"
    assert scene.matched
    assert len(scene.points) > 200
    assert len(scene.views) >= 0.9 * VIEWS
    rotation, centre = errors([(view.camera, known[view.name]) for view in scene.views])
    assert rotation < 0.3
    assert centre < 0.01


def test_portrait_and_zoomed_photographs_are_placed_beside_the_others(room: Path, tmp_path: Path) -> None:
    for number in range(VIEWS):
        with Image.open(room / "images" / f"{number:04d}.png") as image:
            if number % 4 == 1:
                image = image.transpose(Image.Transpose.ROTATE_90)
            if number % 4 == 3:
                image = image.crop((32, 24, 288, 216)).resize((384, 288))
            image.save(tmp_path / f"{number:04d}.png")
    made = make_workspace(unposed(tmp_path), tmp_path.with_name("out"))
    scene = load_scene(made.folder)
    assert len(scene.views) >= 0.9 * VIEWS
    known = {view.name: view.camera for view in load_scene(room).views}
    by_size = {(320, 240): 300, (240, 320): 300, (384, 288): 450}
    sizes = {(view.camera.width, view.camera.height): view.camera.K[0, 0] for view in scene.views}
    assert sizes.keys() == by_size.keys()
    assert all(sizes[size] == pytest.approx(focal, rel=0.02) for size, focal in by_size.items())
    _, centre = errors([(view.camera, known[view.name]) for view in scene.views])
    assert centre < 0.01


def test_what_is_left_out_is_told(made: Workspace) -> None:
    assert made.given == VIEWS + 2
    assert len(made.origins) >= 0.9 * VIEWS
    assert any("broken.png" in said and "cannot be read" in said for said in made.warnings)
    assert any("elsewhere.png" in said and "got no pose" in said for said in made.warnings)
    assert not (made.folder / "images" / "elsewhere.png").exists()
    assert made.origins["0000.png"] == "images/0000.png"
    assert load_scene(made.folder).warnings == ()


def test_poses_that_are_there_are_taken(made: Workspace, plain: Path) -> None:
    notes = []
    before = (made.folder / "sparse" / "0" / "images.bin").stat().st_mtime_ns
    again = make_workspace(unposed(plain), made.folder, progress=lambda stage, fraction, note="": notes.append(note))
    assert again == made
    assert set(notes) == {"reading the photographs"}
    assert (made.folder / "sparse" / "0" / "images.bin").stat().st_mtime_ns == before
    assert is_current(unposed(plain), made.folder, 0)
    assert not is_current(unposed(plain), made.folder, 1)


def test_masks_of_the_users_folder_fit(made: Workspace, plain: Path) -> None:
    source = unposed(plain)
    assert source.masks == plain / "masks"
    assert source.masked == VIEWS
    scene = load_scene(made.folder, source.masks)
    assert all(view.mask_path is not None for view in scene.views)
    mask = read_mask(scene.views[0])
    assert mask is not None
    assert mask.max() > 0


def test_a_workspace_of_its_own_has_the_masks(made: Workspace, plain: Path) -> None:
    write_workspace(unposed(plain), made.folder)
    scene = load_scene(made.folder)
    assert all(view.mask_path is not None for view in scene.views)
    shutil.rmtree(made.folder / "masks")


def test_the_users_folder_stays_as_it_is(made: Workspace, plain: Path) -> None:
    assert sorted(path.name for path in plain.iterdir()) == ["images", "masks"]
    with pytest.raises(BadArgument, match="is inside the folder of the photographs"):
        make_workspace(unposed(plain), plain / "out")


def test_inspect_says_that_poses_are_computed(plain: Path) -> None:
    findings, fault = inspect_scene(plain)
    assert fault is None
    assert (findings["layout"], findings["views"], findings["masks"]) == ("photographs", VIEWS + 2, VIEWS)
    assert (findings["poses_from"], findings["masks_from"]) == ("photographs", "masks")
    assert any("broken.png" in warning for warning in findings["warnings"])


def test_a_folder_with_cameras_is_none_of_these(room: Path, made: Workspace) -> None:
    assert find_unposed(room) is None
    assert find_unposed(made.folder) is None


def test_the_same_seed_gives_the_same_poses(made: Workspace, plain: Path, tmp_path: Path) -> None:
    again = make_workspace(unposed(plain), tmp_path / "workspace")
    before, after = (load_scene(folder) for folder in (made.folder, again.folder))
    assert [view.name for view in before.views] == [view.name for view in after.views]
    for one, other in zip(before.views, after.views, strict=True):
        np.testing.assert_array_equal(one.camera.viewmat, other.camera.viewmat)
        np.testing.assert_array_equal(one.camera.K, other.camera.K)
    np.testing.assert_array_equal(before.points, after.points)


def test_it_can_be_cancelled_and_leaves_nothing(plain: Path, tmp_path: Path) -> None:
    def stop(stage: str, fraction: float, note: str = "") -> None:
        assert stage == "poses"
        if fraction > 0.2:
            raise Cancelled

    with pytest.raises(Cancelled):
        make_workspace(unposed(plain), tmp_path / "out", progress=stop)
    assert list(tmp_path.iterdir()) == []


def poses_of(made: Workspace) -> dict[str, np.ndarray]:
    return {view.name: view.camera.viewmat for view in load_scene(made.folder).views}


def test_interrupted_work_is_continued(made: Workspace, plain: Path, tmp_path: Path) -> None:
    def interrupt(stage: str, fraction: float, note: str = "") -> None:
        if note.startswith("placing"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_workspace(unposed(plain), tmp_path / "out", progress=interrupt)
    assert [path.name for path in tmp_path.iterdir()] == [".out.part"]
    # Without descriptors nothing could be matched anew.
    with closing(sqlite3.connect(tmp_path / ".out.part" / "work" / "features.db")) as database:
        database.execute("UPDATE descriptors SET data = zeroblob(length(data))")
        database.commit()
    notes = []
    again = make_workspace(
        unposed(plain), tmp_path / "out", progress=lambda stage, fraction, note="": notes.append(note)
    )
    assert not any(note.startswith("photograph ") for note in notes)
    assert poses_of(again).keys() == poses_of(made).keys()
    for name, viewmat in poses_of(made).items():
        np.testing.assert_array_equal(poses_of(again)[name], viewmat)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert sorted(path.name for path in again.folder.iterdir()) == ["images", "poses.json", "sparse"]


def stop_at_features(stage: str, fraction: float, note: str = "") -> None:
    if note.startswith("features"):
        raise Stopped


@pytest.mark.parametrize("spoilt", ["begun.json", "features.db", "000000.png"])
def test_damaged_work_is_done_again(plain: Path, tmp_path: Path, spoilt: str) -> None:
    work = tmp_path / ".out.part" / "work"
    for _ in range(2):
        with pytest.raises(Stopped):
            make_workspace(unposed(plain), tmp_path / "out", progress=stop_at_features)
        with closing(sqlite3.connect(work / "features.db")) as database:
            assert database.execute("SELECT count(*) FROM images").fetchone() == (VIEWS + 1,)
        assert all(file.stat().st_size for file in work.iterdir())
        (work / spoilt).write_bytes(b"")


def test_names_that_leave_the_folder_are_not_followed(plain: Path, tmp_path: Path) -> None:
    begun = tmp_path / ".out.part" / "work" / "begun.json"
    (tmp_path / "outside.png").write_bytes(b"kept")
    with pytest.raises(Stopped):
        make_workspace(unposed(plain), tmp_path / "out", progress=stop_at_features)
    before = begun.read_text()
    name = msgspec.json.decode(before)["gathered"][0][0]["name"]
    begun.write_text(before.replace(f'"name":"{name}"', '"name":"../../outside.png"'))
    assert begun.read_text() != before
    with pytest.raises(Stopped):
        make_workspace(unposed(plain), tmp_path / "out", progress=stop_at_features)
    assert begun.read_text() == before


def test_work_on_other_photographs_is_not_continued(plain: Path, room: Path, tmp_path: Path) -> None:
    for number in range(8):
        shutil.copy(room / "images" / f"{number:04d}.png", tmp_path)
    out = tmp_path.with_name("out")
    for folder, photographs in ((plain, VIEWS + 1), (tmp_path, 8)):
        with pytest.raises(Stopped):
            make_workspace(unposed(folder), out, progress=stop_at_features)
        assert len(list((out.with_name(".out.part") / "images").iterdir())) == photographs


def test_three_photographs_are_refused(room: Path, tmp_path: Path) -> None:
    for number in range(3):
        shutil.copy(room / "images" / f"{number:04d}.png", tmp_path)
    with pytest.raises(BadScene, match="holds 3 photographs; poses need at least 5"):
        make_workspace(unposed(tmp_path), tmp_path.with_name("out"))


def test_photographs_that_are_all_alike_are_refused(room: Path, tmp_path: Path) -> None:
    for number in range(8):
        shutil.copy(room / "images" / "0000.png", tmp_path / f"{number}.png")
    with pytest.raises(BadScene, match="are too similar"):
        make_workspace(unposed(tmp_path), tmp_path.with_name("out"))


def test_photographs_that_share_nothing_are_refused_with_advice(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(6):
        pixels = np.kron(rng.integers(0, 255, (20, 20, 3), dtype=np.uint8), np.ones((8, 8, 1), np.uint8))
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    with pytest.raises(BadScene, match=r"6 photographs .* only 0 have matching features and get a pose") as caught:
        make_workspace(unposed(tmp_path), tmp_path.with_name("out"))
    assert "textured" in caught.value.remedy


def test_photographs_of_three_places_are_refused_with_the_size_of_each(room: Path, tmp_path: Path) -> None:
    for number in range(5):
        with Image.open(room / "images" / f"{number:04d}.png") as image:
            image.save(tmp_path / f"{number}.png")
            # Mirrored photographs are those of a mirrored room, and inverted ones have no features in common either.
            ImageOps.mirror(image).save(tmp_path / f"{number}_mirrored.png")
            ImageOps.invert(image).save(tmp_path / f"{number}_inverted.png")
    with pytest.raises(
        BadScene, match=r"The 15 photographs of .* form separate groups of 5, 5, 5 photographs"
    ) as caught:
        make_workspace(unposed(tmp_path), tmp_path.with_name("out"))
    assert "its own folder" in caught.value.remedy


def test_another_folder_is_not_replaced(plain: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(BadArgument, match="contains other files"):
        make_workspace(unposed(plain), tmp_path)


def test_cameras_behind_a_link_out_of_the_folder_are_not_computed_anew(room: Path, tmp_path: Path) -> None:
    shutil.copytree(room / "images", tmp_path / "images")
    (tmp_path / "sparse").symlink_to(room / "sparse")
    assert find_unposed(tmp_path) is None


def test_masks_beside_photographs_are_no_photographs(room: Path, tmp_path: Path) -> None:
    for number in range(2):
        shutil.copy(room / "images" / f"{number:04d}.png", tmp_path / f"v{number}.png")
        shutil.copy(room / "masks" / f"{number:04d}.png", tmp_path / f"v{number}.mask.png")
    source = unposed(tmp_path)
    assert [file.name for file in source.photographs] == ["v0.png", "v1.png"]
    assert [file.name for file in source.masks_beside] == ["v0.mask.png", "v1.mask.png"]


def test_faint_features_are_used_if_they_place_more(plain: Path, tmp_path: Path, monkeypatch) -> None:
    """No feature of the photographs has the contrast of the first attempt."""
    notes, fractions = [], []

    def progress(stage: str, fraction: float, note: str = "") -> None:
        notes.append(note)
        fractions.append(fraction)

    monkeypatch.setattr(mapper, "ATTEMPTS", {"features.db": 0.08, "faint_features.db": 0.9 * CONTRAST})
    with monkeypatch.context() as strict:
        strict.setattr(mapper, "GAIN", 1.0)
        with pytest.raises(BadScene, match="only 0 have matching features"):
            make_workspace(unposed(plain), tmp_path / "refused", progress=progress)
    fractions.clear()
    made = make_workspace(unposed(plain), tmp_path / "out", progress=progress)
    assert len(load_scene(made.folder).views) == VIEWS
    assert "faint features of photograph 1 of 13" in notes
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0


def test_one_attempt_suffices_if_it_places_enough(plain: Path, tmp_path: Path) -> None:
    notes = []
    make_workspace(unposed(plain), tmp_path / "out", progress=lambda stage, fraction, note="": notes.append(note))
    assert "features of photograph 1 of 13" in notes
    assert not [note for note in notes if note.startswith("faint")]
