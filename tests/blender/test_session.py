"""What is imported: collections that know what they are, through saving, renaming and undo; and what is refused."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from protocol.errors import BadArgument, Fault
from protocol.ply import read_ply, write_ply
from tests.blender.example import NAMES, imported, labelled_splats, object_of, same, some_splats, write_example

bpy = pytest.importorskip("bpy")

from blender_addon import session  # noqa: E402
from blender_addon.splats.attributes import read_splats  # noqa: E402


def test_a_scene_is_one_collection_per_object_and_the_background(tmp_path: Path) -> None:
    splats = write_example(tmp_path / "in")
    scene = session.import_folder(tmp_path / "in")

    assert scene.name == "kitchen"
    assert [child.name for child in scene.children] == [*NAMES, "background"]
    assert [child.splatlift.kind for child in scene.children] == ["OBJECT"] * 3 + ["BACKGROUND"]
    known = scene.children["plant"].splatlift
    assert (known.label, known.label_name, known.confidence) == (2, "plant", 0.75)
    assert known.count == int((splats.extra["label"] == 2).sum())
    assert known.source == str(tmp_path / "in")
    assert known.scene_id == scene.splatlift.scene_id
    assert len({child.splatlift.object_id for child in scene.children}) == 4
    assert scene.splatlift.kind == "SCENE"
    assert scene.splatlift.count == len(splats)
    assert session.scenes() == [scene]
    assert session.objects_of(scene) == list(scene.children)[:3]
    assert session.background_of(scene) == scene.children["background"]
    held = read_splats(scene.children["plant"].objects[0].data)
    assert same(held, imported(splats, 2))


def test_minus_y_of_the_capture_is_up_unless_the_result_says_otherwise(tmp_path: Path) -> None:
    for up in (None, (0, 0, 1), (0.6, 0, -0.8), (0, 0, -1)):
        folder = tmp_path / str(up)
        write_example(folder)
        if up:
            table = json.loads((folder / "objects.json").read_text())
            (folder / "objects.json").write_text(json.dumps({**table, "up": up}))
        scene = session.import_folder(folder)
        bpy.context.view_layer.update()
        world = np.array(scene.children[0].objects[0].matrix_world)
        np.testing.assert_allclose(world[:3, :3] @ (up or (0, -1, 0)), (0, 0, 1), atol=1e-6)
        np.testing.assert_array_equal(world, np.array(scene.splatlift.placement, np.float32).reshape(4, 4))


def test_objects_are_found_by_id_whatever_their_names_become(tmp_path: Path) -> None:
    write_example(tmp_path / "in")
    first, second = (session.import_folder(tmp_path / "in") for _ in range(2))
    mug, other = first.children[0], second.children[0]
    assert other.name == "mug.001"
    mug.name, mug.objects[0].name = "blue mug", "thing"
    assert session.find(mug.splatlift.object_id) == mug
    assert session.find(other.splatlift.object_id) == other
    assert session.find("") is None
    assert session.find("11111111-1111-1111-1111-111111111111") is None
    assert [child.name for child in session.objects_of(first)] == ["blue mug", "plant", "lamp"]


def test_a_saved_file_keeps_everything(tmp_path: Path) -> None:
    splats = write_example(tmp_path / "in", labelled_splats(200, 0))
    scene = session.import_folder(tmp_path / "in", "MESH")
    scene.children[0].name = "renamed"
    ids = [child.splatlift.object_id for child in scene.children]
    before = [list(child.splatlift.placement) for child in scene.children]
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    bpy.ops.wm.read_homefile(use_empty=True)
    assert session.scenes() == []
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))

    (scene,) = session.scenes()
    assert [child.splatlift.object_id for child in scene.children] == ids
    assert [list(child.splatlift.placement) for child in scene.children] == before
    assert session.find(ids[0]).name == "renamed"
    beneath = session.find(ids[1]).objects[1]
    assert same(read_splats(beneath.data), imported(splats, 2))


def test_undo_and_redo_need_no_help(tmp_path: Path) -> None:
    write_example(tmp_path / "in")
    bpy.ops.ed.undo_push(message="before")
    identity = session.import_folder(tmp_path / "in").children[0].splatlift.object_id
    bpy.ops.ed.undo_push(message="import")
    bpy.ops.ed.undo()
    assert session.scenes() == []
    assert session.find(identity) is None
    bpy.ops.ed.redo()
    (scene,) = session.scenes()
    assert session.find(identity) == scene.children[0]
    assert len(session.objects_of(scene)) == 3


def test_steps_grow_and_blender_sees_the_last_one_only(tmp_path: Path) -> None:
    write_example(tmp_path / "in", labelled_splats(20000, 1))
    steps = session.import_steps(tmp_path / "in", "MESH")
    fractions, empty = [], []
    while True:
        try:
            fraction, note = next(steps)
        except StopIteration as end:
            scene = end.value
            break
        assert note
        fractions.append(fraction)
        empty.append(not bpy.data.collections)
    assert fractions == sorted(fractions)
    assert 0 <= fractions[0] < fractions[-1] <= 1
    assert len(fractions) > 10
    assert all(empty)
    assert session.scenes() == [scene]


def test_an_import_that_is_dropped_leaves_nothing(tmp_path: Path) -> None:
    write_example(tmp_path / "in")
    steps = session.import_steps(tmp_path / "in", "POINTS")
    for _ in range(4):
        next(steps)
    steps.close()
    assert_nothing_left()


def test_an_import_that_blender_refuses_half_way_leaves_nothing(tmp_path: Path) -> None:
    splats = labelled_splats()
    write_example(tmp_path / "in", splats.with_columns(Col=splats.opacities))
    with pytest.raises(Fault, match="'Col'"):
        session.import_folder(tmp_path / "in")
    assert_nothing_left()


def test_objects_without_background_and_background_without_objects(tmp_path: Path) -> None:
    splats = labelled_splats(60)
    write_example(tmp_path / "objects", splats.pick(splats.extra["label"] > 0))
    assert [child.name for child in session.import_folder(tmp_path / "objects").children] == list(NAMES)
    write_example(tmp_path / "background", splats.pick(splats.extra["label"] == 0))
    assert [child.splatlift.label for child in session.import_folder(tmp_path / "background").children] == [0]


def test_unregistering_leaves_blender_as_it_was() -> None:
    session.register()
    session.unregister()
    assert not hasattr(bpy.types.Collection, "splatlift")
    session.unregister()
    session.register()
    session.register()
    assert hasattr(bpy.types.Collection, "splatlift")


def test_an_unknown_display_is_refused(tmp_path: Path) -> None:
    write_example(tmp_path / "in")
    with pytest.raises(BadArgument, match="display 'CUBES' does not exist"):
        session.import_folder(tmp_path / "in", "CUBES")  # pyright: ignore[reportArgumentType]


def table_with(**changes: object) -> Callable[[Path], None]:
    """Damage: other fields in objects.json."""

    def damage(folder: Path) -> None:
        table = json.loads((folder / "objects.json").read_text())
        (folder / "objects.json").write_text(json.dumps({**table, **changes}))

    return damage


def row_with(**changes: object) -> Callable[[Path], None]:
    """Damage: other fields in the first row of objects.json."""

    def damage(folder: Path) -> None:
        table = json.loads((folder / "objects.json").read_text())
        table["objects"][0].update(changes)
        (folder / "objects.json").write_text(json.dumps(table))

    return damage


def text(content: bytes) -> Callable[[Path], object]:
    """Damage: other bytes in objects.json."""
    return lambda folder: (folder / "objects.json").write_bytes(content)


def columns_with(**changes: np.ndarray | None) -> Callable[[Path], None]:
    """Damage: other extra columns in splats.ply, None for none."""

    def damage(folder: Path) -> None:
        splats = read_ply(folder / "splats.ply")
        extra = {name: column for name, column in {**splats.extra, **changes}.items() if column is not None}
        write_ply(splats.without_columns().with_columns(**extra), folder / "splats.ply")

    return damage


def cut_splats(folder: Path) -> None:
    content = (folder / "splats.ply").read_bytes()
    (folder / "splats.ply").write_bytes(content[: len(content) // 2])


def splats_of_another_run(folder: Path) -> None:
    write_ply(labelled_splats(300), folder / "splats.ply")


def splats_is_a_folder(folder: Path) -> None:
    (folder / "splats.ply").unlink()
    (folder / "splats.ply").mkdir()


def splats_is_a_pipe(folder: Path) -> None:
    (folder / "splats.ply").unlink()
    os.mkfifo(folder / "splats.ply")


def splats_lead_elsewhere(folder: Path) -> None:
    (folder / "splats.ply").unlink()
    (folder / "splats.ply").symlink_to("/etc/hostname")


def nan_means(folder: Path) -> None:
    splats = read_ply(folder / "splats.ply")
    splats.means[0] = np.nan
    write_ply(splats, folder / "splats.ply")


MALFORMED: dict[str, tuple[Callable[[Path], object], str]] = {
    "no objects.json": (lambda folder: (folder / "objects.json").unlink(), "objects.json is missing"),
    "no splats.ply": (lambda folder: (folder / "splats.ply").unlink(), "has no file .*splats.ply"),
    "table is empty": (text(b""), "not a valid table of objects"),
    "table is not JSON": (text(b"{objects: 1"), "not a valid table of objects"),
    "table is not UTF-8": (text(b'{"format": 1, "scene": "\xff\xfe"}'), "not a valid table of objects"),
    "table is a list": (text(b"[]"), "not a valid table of objects"),
    "table is very deep": (text(b"[" * 200_000), "not a valid table of objects"),
    "table has a NaN": (row_with(confidence=float("nan")), "not a valid table of objects"),
    "table of another format": (table_with(format=2), "not a valid table of objects"),
    "no objects in the table": (table_with(objects=None), "not a valid table of objects"),
    "scene is a number": (table_with(scene=7), "not a valid table of objects"),
    "up is nowhere": (table_with(up=[0, 0, 0]), "invalid up direction"),
    "up is huge": (table_with(up=[1e300, 1e300, 0]), "invalid up direction"),
    "id is a path": (row_with(id="../../../etc/passwd"), "not a valid table of objects"),
    "id is zero": (row_with(id=0), "not a valid table of objects"),
    "id is negative": (row_with(id=-1), "not a valid table of objects"),
    "id is huge": (row_with(id=2**70), "not a valid table of objects"),
    "id twice": (row_with(id=2), "an object id twice"),
    "count is wrong": (row_with(count=1), "lists 1 Gaussians for object 1"),
    "count is a text": (row_with(count="many"), "not a valid table of objects"),
    "name is missing": (row_with(name=None), "not a valid table of objects"),
    "name is a book": (row_with(name="x" * 100_000), "not a valid table of objects"),
    "colour of two": (row_with(colour=[0.1, 0.2]), "not a valid table of objects"),
    "colour beyond one": (row_with(colour=[255, 0, 0]), "not a valid table of objects"),
    "confidence beyond one": (row_with(confidence=1.5), "not a valid table of objects"),
    "label beyond the table": (columns_with(label=np.full(400, 4, np.int32)), "labels from 4 to 4"),
    "label negative": (columns_with(label=np.full(400, -1, np.int32)), "labels from -1 to -1"),
    "label beyond 16 bits": (columns_with(label=np.full(400, 65537, np.int32)), "labels from 65537 to 65537"),
    "label is a float": (columns_with(label=np.zeros(400, np.float32)), "no integer column label"),
    "no labels": (columns_with(label=None), "no integer column label"),
    "no confidence": (columns_with(confidence=None), "no numeric column confidence"),
    "splats cut short": (cut_splats, "is truncated"),
    "splats of another run": (splats_of_another_run, "lists .* Gaussians for object"),
    "splats without a place": (nan_means, "lists .* Gaussians for object"),
    "splats are text": (lambda folder: (folder / "splats.ply").write_text("hello"), "not a PLY file"),
    "splats are a folder": (splats_is_a_folder, "has no file"),
    "splats are a pipe": (splats_is_a_pipe, "has no file"),
    "splats lead elsewhere": (splats_lead_elsewhere, "not a PLY file"),
    "splats have no label at all": (
        lambda folder: write_ply(some_splats(9), folder / "splats.ply"),
        "no integer column label",
    ),
}


@pytest.mark.filterwarnings("ignore:.*not finite")
@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_result_is_refused_and_leaves_nothing(tmp_path: Path, case: str) -> None:
    damage, sentence = MALFORMED[case]
    write_example(tmp_path / "in")
    damage(tmp_path / "in")
    with pytest.raises(Fault, match=sentence) as caught:
        session.import_folder(tmp_path / "in")
    assert caught.value.sentence.count("\n") == 0
    assert_nothing_left()


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for name in ("nowhere", "file"):
        with pytest.raises(Fault, match=r"The folder .* does not exist"):
            session.import_folder(tmp_path / name)


@pytest.mark.parametrize("name", ["../../up", "a\nb\x00c", "x" * 900, "Tasse ☕" * 20, "", " \t", "mug"])
def test_names_of_any_kind_become_names_that_blender_takes(tmp_path: Path, name: str) -> None:
    splats = write_example(tmp_path / "in")
    row_with(name=name)(tmp_path / "in")
    scene = session.import_folder(tmp_path / "in")
    child = session.objects_of(scene)[0]
    assert child.name.isprintable()
    assert child.name
    assert same(read_splats(child.objects[0].data).without_columns(), object_of(splats, 1))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


def assert_nothing_left() -> None:
    for blocks in (bpy.data.collections, bpy.data.objects, bpy.data.meshes, bpy.data.node_groups, bpy.data.materials):
        assert list(blocks) == []
