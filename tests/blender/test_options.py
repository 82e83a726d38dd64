"""The options of a job in the panel: properties of the request's fields, drawn, kept in the file, and sent."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

bpy = pytest.importorskip("bpy")

from blender_addon import options  # noqa: E402
from blender_addon.client.survey import Survey  # noqa: E402
from blender_addon.operators import segment  # noqa: E402
from blender_addon.timer import timer  # noqa: E402
from protocol.job_request import FEATURE, OPTIONS, TEXTURES, JobRequest, check  # noqa: E402
from protocol.messages import Submit  # noqa: E402
from tests.blender.addon import draw, registered, says  # noqa: E402
from tests.blender_addon.client.conftest import capture  # noqa: E402, F401
from tests.blender_addon.client.mock_server import Stage  # noqa: E402

DRAWN = [f"[{OPTIONS[name].title}]" for name in options.PANEL_OPTIONS if name != options.SOURCE_OPTION]
FOUND = Survey(Path("/captures/kitchen"), "COLMAP", 10, 10, "masks", "given.ply", 20, 1000, "cameras")


@pytest.fixture(autouse=True)
def addon():
    with registered():
        yield
        bpy.ops.wm.read_homefile(use_empty=True)


@pytest.fixture
def chosen():
    bpy.ops.wm.read_homefile(use_empty=True)
    return bpy.context.scene.splatlift


@pytest.fixture
def stage(tmp_path: Path):
    stage = Stage(tmp_path / "cache")
    timer._job_list = stage.job_list
    yield stage
    stage.close()


@pytest.mark.parametrize("name", options.PANEL_OPTIONS)
def test_a_property_has_the_title_and_the_sentence_of_its_field(chosen, name):
    field, shown = OPTIONS[name], chosen.bl_rna.properties[name]
    assert shown.name == field.title
    assert field.help.removesuffix(".") in shown.description
    assert not shown.description.endswith(".")
    if field.kind == "choice":
        assert [item.identifier for item in shown.enum_items] == list(field.choices)
        assert all(item.description for item in shown.enum_items)


def test_what_nobody_set_is_the_default(chosen):
    request = options.request(chosen, None, None, {})
    assert request == JobRequest()
    check(request)


def test_what_is_set_is_asked_for_and_kept_in_the_file(chosen, tmp_path):
    chosen.quality, chosen.masks_from, chosen.refine = "draft", "geometry", "on"
    chosen.meshes = chosen.gallery = False
    chosen.test_views, chosen.max_gaussians, chosen.long_side = "every:8", 5000, 400
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "x.blend"))
    bpy.ops.wm.read_homefile(use_empty=True)
    assert options.request(bpy.context.scene.splatlift, None, None, {}) == JobRequest()
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "x.blend"))
    request = options.request(bpy.context.scene.splatlift, None, "consensus", {"tau": 0.5})
    assert request == JobRequest(
        quality="draft",
        masks_from="geometry",
        refine=True,
        meshes=False,
        gallery=False,
        test_views="every:8",
        max_gaussians=5000,
        long_side=400,
    ), "geometry has no method"
    check(request)
    bpy.context.scene.splatlift.refine = "off"
    assert options.request(bpy.context.scene.splatlift, None, None, {}).refine is False


def test_given_splats_grey_out_the_reconstruction(chosen):
    chosen.quality, chosen.max_gaussians = "high", 5000
    features = ["facts", FEATURE, TEXTURES]
    assert options.usable(chosen, None, features) == set(options.PANEL_OPTIONS)
    shown = set(options.PANEL_OPTIONS) - {"masks_model"}
    assert options.usable(chosen, replace(FOUND, splats=None), features) == shown
    reconstruction = {"quality", "max_gaussians", "long_side"}
    assert options.usable(chosen, FOUND, features) == shown - reconstruction
    request = options.request(chosen, FOUND, "consensus", {"tau": 0.5})
    assert request == JobRequest(method="consensus", splats="given.ply", settings={"tau": 0.5})
    check(request)

    chosen.refine = "on"
    assert options.usable(chosen, FOUND, features) == shown - {"max_gaussians", "long_side"}
    assert options.request(chosen, FOUND, None, {}) == JobRequest(splats="given.ply", quality="high", refine=True)

    chosen.use_splats = False
    assert options.usable(chosen, FOUND, features) == shown
    assert options.request(chosen, FOUND, None, {}).max_gaussians == 5000


def test_a_model_is_named_only_where_masks_are_missing(chosen):
    chosen.masks_model, chosen.level = "facebook/sam-vit-base", "part"
    bare = replace(FOUND, masks=0, mask_folder=None, splats=None)
    assert options.usable(chosen, bare, None) == set(options.PANEL_OPTIONS)
    assert options.request(chosen, bare, None, {}) == JobRequest(masks_model="facebook/sam-vit-base", level="part")
    assert options.request(chosen, replace(FOUND, splats=None), None, {}) == JobRequest(level="part")
    chosen.masks_from = "geometry"
    assert options.usable(chosen, bare, None) == set(options.PANEL_OPTIONS) - {"masks_model", "level"}
    request = options.request(chosen, bare, None, {})
    assert request == JobRequest(masks_from="geometry")
    check(request)


def test_the_section_shows_every_option(stage):
    assert bpy.types.SPLATLIFT_PT_options.bl_options == {"DEFAULT_CLOSED"}
    assert draw("SPLATLIFT_PT_options") == DRAWN
    stage.server.features = [FEATURE, TEXTURES]
    stage.connect()
    assert draw("SPLATLIFT_PT_options") == DRAWN


def test_an_old_server_is_told_of(stage, chosen):
    stage.connect()
    drawn = draw("SPLATLIFT_PT_options")
    assert drawn[: len(DRAWN)] == DRAWN
    assert says(drawn, "too old for some options")
    assert options.usable(chosen, None, []) == {"quality", "test_views"}


def test_the_options_are_sent(stage, chosen, capture):  # noqa: F811
    stage.server.features = [FEATURE, TEXTURES]
    stage.connect()
    chosen.meshes, chosen.quality = False, "draft"
    folder = capture()
    job = stage.job_list.submit(folder, segment.request_of(chosen, folder))
    stage.play(lambda: job.state == "queued")
    (submit,) = [message for message in stage.server.heard if isinstance(message, Submit)]
    assert (submit.request.meshes, submit.request.quality, submit.request.gallery) == (False, "draft", True)
