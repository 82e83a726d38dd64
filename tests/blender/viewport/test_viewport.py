"""Splats as the viewport draws them, in an off-screen picture, against the same sums in numpy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from protocol.sh import sh_basis
from protocol.splats import Splats
from tests.blender.example import some_splats, write_example

bpy = pytest.importorskip("bpy")
gpu = pytest.importorskip("gpu")

from mathutils import Matrix  # noqa: E402

from blender_addon import session  # noqa: E402
from blender_addon.sight import Sight  # noqa: E402
from blender_addon.viewport import handler  # noqa: E402
from blender_addon.viewport.content import Content, Look, Target  # noqa: E402
from blender_addon.viewport.handler import Drawing, splats_seen  # noqa: E402
from blender_addon.viewport.packing import pack  # noqa: E402
from blender_addon.viewport.shaders import ACTIVE  # noqa: E402
from tests.blender.addon import registered  # noqa: E402

WIDTH, HEIGHT = 48, 32
NEAR, FAR = 0.1, 100.0


@pytest.fixture(autouse=True)
def graphics() -> None:
    """Blender opens its graphics in background mode for a first render, and later ones by request."""
    try:
        if hasattr(gpu, "init"):
            gpu.init()
        else:
            scene = bpy.context.scene
            scene.render.engine = "BLENDER_WORKBENCH"
            scene.render.resolution_x = scene.render.resolution_y = 16
            scene.camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
            bpy.ops.render.render()
        gpu.types.GPUOffScreen(4, 4)
    except (SystemError, RuntimeError) as error:
        pytest.skip(f"Blender has no graphics here: {error}")


def perspective(focal: float = 40.0, shift: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
    depth = FAR - NEAR
    return np.array(
        [
            [2 * focal / WIDTH, 0, shift[0], 0],
            [0, 2 * focal / HEIGHT, shift[1], 0],
            [0, 0, -(FAR + NEAR) / depth, -2 * FAR * NEAR / depth],
            [0, 0, -1, 0],
        ]
    )


def orthographic(scale: float = 5.0) -> np.ndarray:
    depth = FAR - NEAR
    return np.array(
        [
            [2 * scale / WIDTH, 0, 0, 0],
            [0, 2 * scale / HEIGHT, 0, 0],
            [0, 0, -2 / depth, -(FAR + NEAR) / depth],
            [0, 0, 0, 1.0],
        ]
    )


def eye(projection: np.ndarray | None = None, back: float = 6.0) -> Sight:
    view = np.eye(4)
    view[:3, :3] = np.array(Matrix.Rotation(0.3, 3, (1, 2, 0.5)))
    view[2, 3] = -back
    return Sight(view, perspective() if projection is None else projection, WIDTH, HEIGHT)


def drawn(seen: Sight, splats: list[Splats], looks: list[Look | None], **how) -> np.ndarray:
    content, target = Content([pack(each) for each in splats]), Target(WIDTH, HEIGHT)
    content.draw(seen, looks, content.sort(seen, looks), target, **how)
    return target.read()


def expected(seen: Sight, splats: list[Splats], looks: list[Look | None]) -> np.ndarray:
    """The picture by the formulas of EWA splatting, in float64: (H, W, 4), colours times opacity."""
    flat = seen.projection[3, 3] > 0.5
    focal = 0.5 * np.array([seen.projection[0, 0] * WIDTH, seen.projection[1, 1] * HEIGHT])
    ellipses = []
    for each, look in zip(splats, looks, strict=True):
        if look is None:
            continue
        there = seen.view @ look.matrix
        viewer = -np.linalg.inv(there)[:3, 2] if flat else np.linalg.inv(there)[:3, 3]
        for n in range(len(each)):
            x, y, z = (there @ [*each.means[n], 1])[:3]
            z = -z
            if z < NEAR:
                continue
            clip = seen.projection @ [x, y, -z, 1]
            place = (clip[:2] / clip[3] * 0.5 + 0.5) * [WIDTH, HEIGHT]
            w, i, j, k = each.quats[n] / np.linalg.norm(each.quats[n])
            turn = np.array(
                [
                    [1 - 2 * (j * j + k * k), 2 * (i * j - w * k), 2 * (i * k + w * j)],
                    [2 * (i * j + w * k), 1 - 2 * (i * i + k * k), 2 * (j * k - w * i)],
                    [2 * (i * k - w * j), 2 * (j * k + w * i), 1 - 2 * (i * i + j * j)],
                ]
            )
            axes = there[:3, :3] @ turn * np.exp(each.scales[n].astype(float))
            reach = np.exp(each.scales[n]).max() * np.linalg.norm(there[2, :3])
            if not flat and abs(clip[:2] / clip[3]).max() > 1.3 and z < 3 * reach:
                continue
            if flat:
                slopes = np.array([[focal[0], 0, 0], [0, focal[1], 0]])
            else:
                shift = seen.projection[:2, 2]
                bound = (np.clip(clip[:2] / clip[3], -1.3, 1.3) + shift) / np.diag(seen.projection)[:2]
                # d(x / depth) with depth = -z of the view.
                slopes = focal[:, None] / z * np.array([[1, 0, bound[0]], [0, 1, bound[1]]])
            covariance = slopes @ axes @ axes.T @ slopes.T + 0.3 * np.eye(2)
            opacity = 1 / (1 + np.exp(-float(each.opacities[n])))
            direction = viewer if flat else each.means[n] - viewer
            basis = sh_basis(each.sh_degree, direction / np.linalg.norm(direction))
            colour = np.maximum(0.5 + basis @ each.sh[n], 0)
            ellipses.append((z, place, np.linalg.inv(covariance), opacity, colour))
    image = np.zeros((HEIGHT, WIDTH, 4))
    x, y = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5)
    for _, place, conic, opacity, colour in sorted(ellipses, key=lambda each: -each[0]):
        step = np.stack([x, y], -1) - place
        alpha = np.minimum(opacity * np.exp(-0.5 * np.einsum("hwi,ij,hwj->hw", step, conic, step)), 0.999)
        alpha[alpha < 1 / 255] = 0
        image = image * (1 - alpha[..., None]) + alpha[..., None] * np.array([*colour, 1])
    return image[::-1]


def test_a_gaussian_beside_the_viewer_is_no_fog_and_a_far_one_reaches_into_the_view() -> None:
    ahead = Sight(np.eye(4), perspective(), WIDTH, HEIGHT)
    look: list[Look | None] = [Look(np.eye(4), (1.0, 1.0, 1.0))]

    def opacity(place: tuple[float, float, float], sizes: tuple[float, float, float]) -> np.ndarray:
        one = replace(
            some_splats(1, 0),
            means=np.array([place], np.float32),
            quats=np.array([[1, 0, 0, 0]], np.float32),
            scales=np.log(np.array([sizes], np.float32)),
            opacities=np.array([5.0], np.float32),
        )
        image = drawn(ahead, [one], look)[..., 3]
        np.testing.assert_allclose(image, expected(ahead, [one], look)[..., 3], atol=2e-3)
        return image

    assert opacity((1.0, 0.0, -0.15), (0.1, 0.1, 0.8)).max() == 0.0, "10 standard deviations beside the viewer"
    assert opacity((9.0, 0.0, -10.0), (2.0, 2.0, 2.0))[:, -1].max() > 0.4, "1.2 standard deviations outside of the view"
    assert opacity((0.0, 0.0, -0.3), (0.4, 0.4, 0.4)).min() > 0.5, "in front of the viewer"


def some_looks() -> list[Look | None]:
    moved = np.array(Matrix.LocRotScale((0.4, -0.2, 0.3), Matrix.Rotation(1.0, 3, (0, 1, 1)), (1.5, 1.5, 1.5)))
    return [Look(np.eye(4), (1.0, 0.0, 0.0)), None, Look(moved, (0.0, 0.0, 1.0))]


def some_objects(degree: int) -> list[Splats]:
    splats = [some_splats(40, degree, seed) for seed in range(3)]
    return [replace(each, scales=each.scales + np.float32(1.5)) for each in splats]


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_a_picture_is_that_of_ewa_splatting(degree: int) -> None:
    objects, looks = some_objects(degree), some_looks()
    np.testing.assert_allclose(drawn(eye(), objects, looks), expected(eye(), objects, looks), atol=0.02)


@pytest.mark.parametrize("projection", [orthographic(), perspective(20.0, (0.4, -0.3))], ids=["flat", "shifted"])
def test_flat_and_shifted_views_are_drawn_too(projection: np.ndarray) -> None:
    objects, looks = some_objects(2), some_looks()
    seen = eye(projection)
    np.testing.assert_allclose(drawn(seen, objects, looks), expected(seen, objects, looks), atol=0.02)


def test_from_within_a_scene_only_what_is_ahead_is_drawn() -> None:
    objects, looks = some_objects(1), some_looks()
    seen = eye(back=0.5)
    assert seen.near == pytest.approx(NEAR)
    picture, sums = drawn(seen, objects, looks), expected(seen, objects, looks)
    assert np.sqrt(np.mean((picture - sums) ** 2)) < 0.02


def test_colours_are_those_of_labels_where_asked() -> None:
    objects, looks = some_objects(1), some_looks()
    picture = drawn(eye(), objects, looks, labels=True)
    np.testing.assert_allclose(picture[..., 0] + picture[..., 2], picture[..., 3], atol=0.01)
    assert picture[..., 0].max() > 0.5
    assert picture[..., 2].max() > 0.5
    np.testing.assert_array_equal(picture[..., 1], 0)


def test_view_dependence_can_be_left_out() -> None:
    objects, looks = some_objects(3), some_looks()
    plain = [replace(each, sh=each.sh[:, :1].copy()) for each in objects]
    without = drawn(eye(), objects, looks, view_dependent=False)
    np.testing.assert_allclose(without, drawn(eye(), plain, looks), atol=2e-3)
    assert np.abs(without - drawn(eye(), objects, looks)).max() > 0.1


def test_what_is_behind_other_objects_is_hidden() -> None:
    objects, looks = some_objects(1), some_looks()
    near = np.zeros((HEIGHT, WIDTH), np.float32)
    near[:, WIDTH // 2 :] = 1
    values = gpu.types.Buffer("FLOAT", near.size, near.ravel())
    image = gpu.types.GPUTexture((WIDTH, HEIGHT), format="R32F", data=values)
    picture = drawn(eye(), objects, looks, depths=image)
    np.testing.assert_array_equal(picture[:, : WIDTH // 2], 0)
    np.testing.assert_array_equal(picture[:, WIDTH // 2 :], drawn(eye(), objects, looks)[:, WIDTH // 2 :])


def test_selected_objects_are_known_by_pixel() -> None:
    objects = some_objects(1)[:2]
    looks: list[Look | None] = [Look(np.eye(4), (1, 0, 0)), Look(np.eye(4), (0, 0, 1), ACTIVE)]
    content, target = Content([pack(each) for each in objects]), Target(WIDTH, HEIGHT)
    content.draw(eye(), looks, content.sort(eye(), looks), target)
    chosen: Any = target.chosen.read()
    chosen.dimensions = 4 * WIDTH * HEIGHT
    chosen = np.array(chosen, np.float32).reshape(HEIGHT, WIDTH, 4)[::-1]
    black, bright = (replace(each, sh=0 * each.sh[:, :1] + c) for each, c in zip(objects, (-9, 9), strict=True))
    of_second = expected(eye(), [black, bright], looks)
    weight = of_second[..., 0] / (0.5 + 9 * 0.28209479)
    np.testing.assert_allclose(chosen[..., 0], weight, atol=0.01)
    np.testing.assert_allclose(chosen[..., 1], weight, atol=0.01)


def test_nothing_to_draw_clears_the_picture() -> None:
    content, target = Content([]), Target(WIDTH, HEIGHT)
    content.draw(eye(), [], content.sort(eye(), []), target)
    np.testing.assert_array_equal(target.read(), 0)


def test_too_many_splats_are_refused_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    from blender_addon.viewport import content
    from protocol.errors import Unavailable

    monkeypatch.setattr(content, "MOST", 100)
    with pytest.raises(Unavailable, match="The 120 splats of the scene are too many"):
        Content([pack(each) for each in some_objects(0)])


def shown(folder: Path):
    """A scene shown as splats, and the context of a view of it."""
    write_example(folder)
    scene = session.import_folder(folder)
    from blender_addon.splats.collections import show_as

    show_as(scene, "SPLATS")
    bpy.context.view_layer.update()
    return scene


def brought(drawing: Drawing) -> Content:
    drawing._bring_up_to_date(splats_seen(bpy.context.view_layer))
    assert drawing._content is not None
    return drawing._content


def test_data_are_read_again_after_edits_and_no_sooner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with registered():
        scene = shown(tmp_path / "in")
        drawing = handler.drawing
        first = brought(drawing)
        assert first.count == sum(len(each.objects[0].data.vertices) for each in scene.children)
        assert brought(drawing) is first
        scene.children[0].objects[0].location.x += 1
        bpy.context.view_layer.update()
        assert brought(drawing) is first, "an object that is moved keeps its data"
        data = scene.children[0].objects[0].data
        data.attributes["opacity"].data.foreach_set("value", np.full(len(data.vertices), -20, np.float32))
        data.update_tag()
        bpy.context.view_layer.update()
        second = brought(drawing)
        assert second.count == first.count - len(data.vertices)


def test_deleted_objects_and_other_files_leave_nothing(tmp_path: Path) -> None:
    with registered():
        scene = shown(tmp_path / "in")
        drawing = handler.drawing
        brought(drawing)
        gone = scene.children[0].objects[0].data.session_uid
        bpy.data.objects.remove(scene.children[0].objects[0])
        bpy.context.view_layer.update()
        brought(drawing)
        assert gone not in drawing._read
        bpy.ops.wm.read_homefile(use_empty=True)
        assert not drawing._read
        assert drawing._content is None


def test_hidden_objects_and_those_in_edit_mode_or_shown_otherwise_are_not_drawn(tmp_path: Path) -> None:
    scene = shown(tmp_path / "in")
    layer = bpy.context.view_layer
    assert len(splats_seen(layer)) == 4
    thing = scene.children[0].objects[0]
    layer.objects.active = thing
    bpy.ops.object.mode_set(mode="EDIT")
    assert len(splats_seen(layer)) == 3
    bpy.ops.object.mode_set(mode="OBJECT")
    from blender_addon.splats.collections import show_as

    for display in ("POINTS", "DISCS"):
        show_as(scene, display)
        assert splats_seen(layer) == []


def test_an_object_that_cannot_be_read_is_named_and_the_others_are_drawn(tmp_path: Path) -> None:
    scene = shown(tmp_path / "in")
    drawing = Drawing()
    data = scene.children[0].objects[0].data
    data.attributes.remove(data.attributes["f_rest_8"])
    content = brought(drawing)
    assert content.count == sum(len(each.objects[0].data.vertices) for each in scene.children[1:])
    assert drawing.refused == [
        "The splat has 8 f_rest attributes; expected 0, 9, 24 or 45. Import the object again, or remove all f_rest "
        "attributes."
    ]


def test_an_error_turns_the_drawing_off_until_it_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def fail(context) -> None:
        calls.append(context)
        raise RuntimeError("no such thing")

    monkeypatch.setattr(handler.drawing, "draw", fail)
    handler._draw()
    handler._draw()
    assert len(calls) == 1
    assert handler.drawing.failure == "Splats cannot be drawn here: no such thing."
    handler.drawing.try_again()
    assert handler.drawing.failure == ""


def test_a_view_is_sorted_when_it_changes_and_not_too_often(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown(tmp_path / "in")
    drawing = Drawing()
    content = brought(drawing)
    later = []
    monkeypatch.setattr(handler, "_redraw_later", lambda region, seconds: later.append(seconds))
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(handler.time, "perf_counter", lambda: clock.now)
    sort = content.sort

    def slow(seen: Sight, looks: list) -> object:
        clock.now += 1.0
        return sort(seen, looks)

    monkeypatch.setattr(content, "sort", slow)
    view, looks = handler._View(), [Look(np.eye(4), (1, 1, 1))] * 4
    first = drawing._order(view, eye(), looks, None)
    assert drawing._order(view, eye(), looks, None) is first
    assert clock.now == 1.0
    assert drawing._order(view, eye(back=7.0), looks, None) is first, "sorting took a second, which is too long ago"
    assert later == [2.0]
    clock.now = 3.5
    assert drawing._order(view, eye(back=7.0), looks, None) is not first
    assert clock.now == 4.5
    hidden = [None, *looks[1:]]
    assert drawing._order(view, eye(back=7.0), hidden, None).count < first.count, "hiding is seen at once"
