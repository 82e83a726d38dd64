"""Edits written back to the result folder: whole, importable, exportable, and nothing lost on the way."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")

from mathutils import Matrix  # noqa: E402

from blender_addon import session  # noqa: E402
from blender_addon.editing import saving  # noqa: E402
from blender_addon.editing.duplicate import duplicate  # noqa: E402
from blender_addon.editing.merge import merge  # noqa: E402
from blender_addon.editing.naming import recolour, rename  # noqa: E402
from blender_addon.editing.parts import pieces_of  # noqa: E402
from blender_addon.editing.remove import delete  # noqa: E402
from blender_addon.editing.saving import save_edits  # noqa: E402
from blender_addon.editing.split import split_selection  # noqa: E402
from blender_addon.splats.attributes import read_splats  # noqa: E402
from blender_addon.splats.columns import count_of, read_positions  # noqa: E402
from blender_addon.splats.export import export_objects  # noqa: E402
from protocol.errors import BadResult, BadSplats, Unavailable  # noqa: E402
from protocol.ply import read_ply  # noqa: E402
from protocol.result import folder as result_folder  # noqa: E402
from protocol.result.meshes import Texture, read_mesh, write_mesh  # noqa: E402
from protocol.result.names import BACKUP  # noqa: E402
from protocol.transform import transform  # noqa: E402
from tests.blender.addon import files_of  # noqa: E402
from tests.blender.clumps import part, pick, write_clumps  # noqa: E402
from tests.blender.example import same  # noqa: E402
from tests.protocol.pictures import png  # noqa: E402

pytestmark = pytest.mark.usefixtures("every_form")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    write_clumps(tmp_path / "in", embedding=True, meshes=True)
    (tmp_path / "in" / "labels").mkdir()
    (tmp_path / "in" / "labels" / "0001.png").write_bytes(b"picture")
    (tmp_path / "in" / "overview.png").write_bytes(b"picture")
    (tmp_path / "in" / "gallery").mkdir()
    (tmp_path / "in" / "gallery" / "turntable.gif").write_bytes(b"picture")
    yield tmp_path / "in"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def rows_of(folder: Path) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in json.loads((folder / "objects.json").read_text())["objects"]}


def again(folder: Path, display: Any = "POINTS") -> Any:
    bpy.ops.wm.read_homefile(use_empty=True)
    return session.import_folder(folder, display)


def some_edits(scene: Any) -> None:
    """Rename, colour, move, duplicate, split, delete."""
    rename([part("mug")], "cup")
    recolour([part("cup")], (0.25, 0.5, 0.75))
    (copy,) = duplicate([part("plant")])
    pieces_of(copy)[0].seen.matrix_basis = Matrix.Translation((0, 3, 0)) @ Matrix.Rotation(0.5, 4, "Z")
    thing = pick("cup", np.arange(300) < 100)
    assert count_of(thing.data) == 300
    split_selection([part("cup")])
    delete([part("lamp")])


def test_a_scene_without_edits_is_saved_as_it_was(folder: Path) -> None:
    before = files_of(folder)
    save_edits(session.import_folder(folder))
    after = files_of(folder)
    table = json.loads(after.pop("objects.json"))
    assert table == json.loads(before.pop("objects.json"))
    assert {name: data for name, data in after.items() if not name.startswith(BACKUP)} == before
    assert files_of(folder / BACKUP).keys() == {*before, "objects.json"}


def test_edits_come_back_at_the_next_import(folder: Path) -> None:
    scene = session.import_folder(folder)
    some_edits(scene)
    expected = {each.name: read_splats(pieces_of(each)[0].thing.data) for each in scene.children}
    labels = {each.name: each.splatlift.label for each in scene.children}
    places = {each.name: np.array(pieces_of(each)[0].thing.matrix_basis) for each in scene.children}
    export_objects([scene], folder.parent / "before.ply")
    assert save_edits(scene) == folder
    scene = again(folder)

    assert {each.name: each.splatlift.label for each in scene.children} == labels
    assert labels == {"cup": 1, "plant": 2, "plant.001": 4, "cup.001": 5, "background": 0}
    for each in scene.children:
        held, wanted = read_splats(pieces_of(each)[0].thing.data), expected[each.name]
        order, wanted_order = np.argsort(held.extra["splat_row"]), np.argsort(wanted.extra["splat_row"])
        assert same(held.pick(order), wanted.pick(wanted_order))
        np.testing.assert_allclose(np.array(pieces_of(each)[0].thing.matrix_basis), places[each.name], atol=1e-6)
    assert tuple(part("cup").splatlift.colour) == (0.25, 0.5, 0.75)
    export_objects([scene], folder.parent / "after.ply")
    one, other = read_ply(folder.parent / "before.ply"), read_ply(folder.parent / "after.ply")
    assert len(one) == len(other) == 300 * 4
    np.testing.assert_allclose(np.sort(one.means, 0), np.sort(other.means, 0), atol=1e-5)


def test_the_table_says_what_was_edited(folder: Path) -> None:
    scene = session.import_folder(folder)
    some_edits(scene)
    save_edits(scene)
    rows = rows_of(folder)
    assert list(rows) == ["cup", "plant", "plant.001", "cup.001"]
    assert rows["cup"]["colour"] == [0.25, 0.5, 0.75]
    assert (rows["cup"]["count"], rows["cup.001"]["count"]) == (200, 100)
    assert (rows["cup.001"]["views"], rows["plant.001"]["views"]) == (1, 2)
    assert "matrix" not in rows["plant"]
    moved = np.array(Matrix.Translation((0, 3, 0)) @ Matrix.Rotation(0.5, 4, "Z"))
    np.testing.assert_allclose(np.array(rows["plant.001"]["matrix"]), moved, atol=1e-6)
    splats = read_ply(folder / "splats.ply")
    assert np.bincount(splats.extra["label"]).tolist() == [300, 200, 300, 0, 300, 100]
    own = splats.pick(splats.extra["label"] == 5)
    np.testing.assert_allclose(rows["cup.001"]["min"], own.means.min(0), atol=1e-5)


def test_what_shows_old_labels_is_in_the_backup_only(folder: Path) -> None:
    before = files_of(folder)
    scene = session.import_folder(folder)
    some_edits(scene)
    save_edits(scene)
    assert files_of(folder / BACKUP) == before
    assert not (folder / "labels").exists()
    assert not (folder / "overview.png").exists()
    assert not (folder / "gallery" / "turntable.gif").exists()
    assert (folder / "before-edits" / "gallery" / "turntable.gif").read_bytes() == b"picture"
    assert {path.name for path in (folder / "objects").iterdir()} == {f"000{n}.ply" for n in (1, 2, 4, 5)}
    # The surface of what was split is of another object now.
    assert {path.name for path in (folder / "meshes").iterdir()} == {"0002.ply"}
    whole = read_ply(folder / "splats.ply")
    moved = transform(
        whole.pick(whole.extra["label"] == 4).without_columns(), np.array(rows_of(folder)["plant.001"]["matrix"])
    )
    np.testing.assert_array_equal(read_ply(folder / "objects" / "0004.ply").means, moved.means)


def test_the_embedding_stays_with_its_gaussians(folder: Path) -> None:
    original, embedding = read_ply(folder / "splats.ply"), np.load(folder / "embedding.npy")
    scene = session.import_folder(folder)
    some_edits(scene)
    save_edits(scene)
    edited, after = read_ply(folder / "splats.ply"), np.load(folder / "embedding.npy")
    assert len(edited) == len(after)
    rows = edited.extra["splat_row"]
    np.testing.assert_array_equal(after, embedding[rows])
    np.testing.assert_array_equal(edited.opacities, original.opacities[rows])
    assert (np.bincount(rows, minlength=1200)[original.extra["label"] == 2] == 2).all()


def test_saving_again_keeps_the_first_backup_and_what_was_undone_comes_back(folder: Path) -> None:
    before = files_of(folder)
    scene = session.import_folder(folder)
    bpy.ops.ed.undo_push(message="import")
    delete([part("lamp")])
    bpy.ops.ed.undo_push(message="delete")
    save_edits(scene)
    assert "lamp" not in rows_of(folder)
    bpy.ops.ed.undo()
    (scene,) = session.scenes()
    save_edits(scene)
    assert files_of(folder / BACKUP) == before
    assert rows_of(folder).keys() == {"mug", "plant", "lamp"}
    np.testing.assert_array_equal(np.load(folder / "embedding.npy"), np.load(folder / BACKUP / "embedding.npy"))
    assert same(read_ply(folder / "splats.ply"), read_ply(folder / BACKUP / "splats.ply"))


def test_an_edited_result_can_be_edited_and_saved_again(folder: Path) -> None:
    some_edits(session.import_folder(folder))
    save_edits(session.scenes()[0])
    scene = again(folder)
    merge([part("cup"), part("cup.001")])
    save_edits(scene)
    scene = again(folder)
    rows = read_splats(pieces_of(part("cup"))[0].thing.data).extra["splat_row"]
    labels = read_ply(folder / BACKUP / "splats.ply").extra["label"]
    assert sorted(rows) == np.flatnonzero(labels == 1).tolist()


def test_pieces_of_one_object_and_a_moved_background_are_written_where_they_lie(folder: Path) -> None:
    scene = session.import_folder(folder)
    thing = pieces_of(part("mug"))[0].thing
    other = thing.copy()
    part("mug").objects.link(other)
    other.matrix_basis = Matrix.Translation((0, 0, 7))
    pieces_of(part("background"))[0].thing.matrix_basis = Matrix.Translation((1, 0, 0))
    below = read_splats(pieces_of(part("background"))[0].thing.data).means + np.array((1, 0, 0), np.float32)
    save_edits(scene)
    whole = read_ply(folder / "splats.ply")
    assert rows_of(folder)["mug"]["count"] == 600
    z = whole.means[whole.extra["label"] == 1][:, 2]
    assert np.count_nonzero(z > 5) == 300
    np.testing.assert_allclose(np.sort(whole.means[whole.extra["label"] == 0], 0), np.sort(below, 0), atol=1e-5)


def test_moving_the_whole_scene_is_no_edit(folder: Path) -> None:
    from blender_addon.splats.collections import placement_of

    scene = session.import_folder(folder)
    placement_of(scene).location = (1.0, 2.0, 3.0)
    save_edits(scene)
    assert not any("matrix" in row for row in rows_of(folder).values())


def test_meshes_are_saved_with_their_objects(folder: Path) -> None:
    scene = session.import_folder(folder, "MESH")
    from blender_addon.editing.selection import write_selection

    (piece,) = pieces_of(part("mug"))
    write_selection(piece.surface.data, read_positions(piece.surface.data)[:, 0] > 0)
    split_selection([part("mug")])
    faces = {each.name: sum(len(piece.surface.data.polygons) for piece in pieces_of(each)) for each in (part("mug"),)}
    save_edits(scene)
    again(folder, "MESH")
    assert len(pieces_of(part("mug"))[0].surface.data.polygons) == faces["mug"]
    assert pieces_of(part("mug.001"))[0].surface is not None


@pytest.mark.parametrize("display", ["MESH", "POINTS"])
def test_textures_are_saved_with_their_meshes(folder: Path, display: Any) -> None:
    path = folder / "meshes" / "0001.ply"
    mesh = read_mesh(path)
    uv = np.random.default_rng(0).random((len(mesh.faces), 3, 2)).astype(np.float32)
    write_mesh(mesh._replace(texture=Texture(uv, png(2, 2))), path)
    scene = session.import_folder(folder, display)
    rename([part("mug")], "cup")
    delete([part("plant")])
    save_edits(scene)
    kept = read_mesh(path).texture
    assert kept is not None
    assert kept.png == png(2, 2)
    np.testing.assert_array_equal(kept.uv, uv)


def test_the_backend_exports_what_was_saved(folder: Path) -> None:
    export = pytest.importorskip("backend.objects.export", reason="the backend is not installed", exc_type=ImportError)
    scene = session.import_folder(folder)
    some_edits(scene)
    wanted = folder.parent / "wanted.ply"
    export_objects([each for each in scene.children if each.splatlift.label], wanted)
    save_edits(scene)
    assert export.export_objects(folder, ["all"], folder.parent / "out.ply").number == 900
    one, other = read_ply(wanted), read_ply(folder.parent / "out.ply")
    order, other_order = (np.lexsort((*splats.means.T.round(3), splats.opacities)) for splats in (one, other))
    np.testing.assert_allclose(one.means[order], other.means[other_order], atol=1e-5)
    np.testing.assert_allclose(one.sh[order], other.sh[other_order], atol=1e-5)
    assert export.export_objects(folder, ["cup.001"], folder.parent / "one.ply").number == 100


def test_numbers_that_blender_gives_to_names_are_not_saved(folder: Path) -> None:
    session.import_folder(folder)
    scene = session.import_folder(folder)
    mug, plant, lamp, *_ = scene.children
    assert [part.name for part in scene.children] == ["mug.001", "plant.001", "lamp.001", "background.001"]
    (copy,) = duplicate([mug])
    rename([plant], "v1.002")
    lamp.name = "torch.003"  # by hand, as in the list
    save_edits(scene)
    saved = json.loads((folder / "objects.json").read_text())["objects"]
    assert [row["name"] for row in saved] == ["mug", "v1.002", "torch.003", copy.name]
    delete([mug])
    save_edits(scene)
    saved = json.loads((folder / "objects.json").read_text())["objects"]
    assert [row["name"] for row in saved] == ["v1.002", "torch.003", copy.name]


def test_a_failure_midway_leaves_the_result_as_it_was(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = files_of(folder)
    scene = session.import_folder(folder)
    some_edits(scene)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    steps = [(saving, name) for name in ("rewrite_table", "_write_objects", "_copy_tree")]
    for module, name in [*steps, (result_folder, "_take_the_place_of")]:
        with monkeypatch.context() as broken:
            broken.setattr(module, name, full)
            with pytest.raises(Unavailable, match="No space left"):
                save_edits(scene)
        assert files_of(folder) == before
    renames = []
    rename_path = Path.rename

    def second_fails(self: Path, target: Any) -> Path:
        renames.append(self.name)
        if len(renames) == 2:
            raise OSError(13, "Permission denied")
        return rename_path(self, target)

    monkeypatch.setattr(Path, "rename", second_fails)
    with pytest.raises(Unavailable, match="Permission denied"):
        save_edits(scene)
    monkeypatch.undo()
    assert files_of(folder) == before


def test_what_cannot_be_saved_says_why(folder: Path) -> None:
    scene = session.import_folder(folder)
    pieces_of(part("mug"))[0].thing.scale = (1, 2, 1)
    with pytest.raises(BadSplats, match=r"'mug' cannot be saved: .*non-uniform"):
        save_edits(scene)
    pieces_of(part("mug"))[0].thing.scale = (1, 1, 1)
    shutil.rmtree(folder)
    with pytest.raises(BadResult, match=r"The folder .* does not exist.*Export the scene"):
        save_edits(scene)
