"""The api in bpy, without the add-on registered, as a batch script uses it."""

from __future__ import annotations

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")

from blender_addon import api  # noqa: E402
from blender_addon.splats.collections import shown_as  # noqa: E402
from blender_addon.splats.colours import labels_shown  # noqa: E402
from protocol.errors import BadArgument, BadResult  # noqa: E402
from protocol.ply import read_ply  # noqa: E402
from tests.blender.addon import answering, files_of  # noqa: E402
from tests.blender.example import NAMES, object_of, same, write_example  # noqa: E402
from tests.blender.splats.test_cameras import write_cameras  # noqa: E402
from tests.blender_addon.client.conftest import capture  # noqa: E402, F401
from tests.blender_addon.client.mock_server import MockServer  # noqa: E402


def test_the_lines_of_the_manual(capture, tmp_path):  # noqa: F811
    splats = write_example(tmp_path / "made")
    server = MockServer()
    told: list[tuple[str, float, str]] = []
    with (
        answering(server, files_of(tmp_path / "made")),
        api.connect(server.address, cache=tmp_path / "cache") as client,
    ):
        job = api.segment(client, capture(), method="quick", on_progress=lambda *progress: told.append(progress))
        collection = api.import_result(job.result(timeout=20), display="SPLATS")
    server.close()
    assert [child.name for child in collection.children][: len(NAMES)] == list(NAMES)
    assert ("lift", 0.5, "") in told or told[-1] == ("download", 1.0, "")
    count = api.export_object(collection.children[0], tmp_path / "mug.ply")
    mug = read_ply(tmp_path / "mug.ply")
    assert len(mug) == count
    assert same(mug, object_of(splats, 1))


@pytest.mark.parametrize("display", ["POINTS", "SPLATS", "MESH"])
def test_import_and_export_of_everything(tmp_path, display):
    splats = write_example(tmp_path / "made")
    collection = api.import_result(tmp_path / "made", display=display)
    assert api.export_object(collection, tmp_path / "all.ply") == len(splats)
    assert api.export_object(collection.children, str(tmp_path / "list.ply")) == len(splats)
    means = read_ply(tmp_path / "all.ply").means
    assert np.array_equal(np.sort(means, axis=0), np.sort(splats.means, axis=0))


def test_what_is_refused(tmp_path):
    with pytest.raises(BadResult):
        api.import_result(tmp_path)
    write_example(tmp_path / "made")
    with pytest.raises(BadArgument, match="SOLID"):
        api.import_result(tmp_path / "made", display="SOLID")  # pyright: ignore[reportArgumentType]
    with pytest.raises(BadArgument):
        api.export_object([], tmp_path / "none.ply")
    assert not (tmp_path / "none.ply").exists()


def test_every_way_to_look_and_to_export(tmp_path):
    splats = write_example(tmp_path / "made")
    rows = write_cameras(tmp_path / "made", photographs=True)
    photographed = tmp_path / "made" / "capture"
    scene = api.import_result(tmp_path / "made", "MESH", up="Z", scale=2, cameras=True, photographs=str(photographed))
    assert [child.name for child in scene.children] == [*NAMES, "background", "Cameras"]
    api.look_through(scene.children["Cameras"].objects[2])
    assert bpy.context.scene.render.resolution_y == rows[2]["height"]
    cameras = api.add_cameras(scene)
    assert [len(each.data.background_images) for each in cameras.objects] == [0] * 5
    assert api.export_scene(scene, tmp_path / "all.ply") == len(splats)
    assert api.export_scene(scene, tmp_path / "things.ply", background=False) == int((splats.extra["label"] > 0).sum())
    api.export_object(scene.children[0], tmp_path / "mug.ply", frame="WORLD")
    means = read_ply(tmp_path / "mug.ply").means
    np.testing.assert_allclose(means, 2 * object_of(splats, 1).means, atol=1e-5)
    assert api.export_mesh(scene, str(tmp_path / "all.stl")) == 8
    assert api.export_mesh(list(scene.children)[:1], tmp_path / "mug.stl") == 4
    api.show_as(scene, "SPLATS")
    assert shown_as(scene) == ("SPLATS", 1.0)
    assert bpy.context.scene.cycles.transparent_max_bounces == 256
    api.show_as(scene, "DISCS", budget=len(splats) // 2)
    assert shown_as(scene) == ("DISCS", pytest.approx(0.5, abs=0.01))
    with pytest.raises(BadArgument, match="0 is not a valid number"):
        api.show_as(scene, "DISCS", budget=0)
    for colours in ("LABELS", "PHOTOGRAPHS"):
        api.show_colours(colours)
        assert labels_shown() == (colours == "LABELS")
    with pytest.raises(BadArgument, match="colours 'GREY' do not exist"):
        api.show_colours("GREY")  # pyright: ignore[reportArgumentType]
    with pytest.raises(BadArgument, match="display 'MESH' does not exist"):
        api.show_as(scene, "MESH")  # pyright: ignore[reportArgumentType]


def test_every_edit_is_there_for_scripts(tmp_path):
    write_example(tmp_path / "made")
    scene = api.import_result(tmp_path / "made")
    mug, plant, lamp = list(scene.children)[:3]
    api.rename([mug], "cup")
    assert api.merge([mug, plant], mug).name == "cup"
    (copy,) = api.duplicate([lamp])
    api.delete([lamp])
    assert api.save_edits(scene) == tmp_path / "made"
    assert [each.name for each in scene.children] == ["cup", "background", copy.name]
    assert set(api.EDITS) < set(api.__all__) == set(dir(api))
    assert all(getattr(api, name).__name__ == name for name in api.__all__)
    with pytest.raises(AttributeError, match="no attribute 'sculpt'"):
        _ = api.sculpt  # pyright: ignore[reportAttributeAccessIssue]
