"""Requests: every option is described, and what is wrong or excludes itself is refused in one sentence."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from protocol.errors import BadArgument, VersionMismatch
from protocol.job_request import OPTIONS, JobRequest, check, check_features, check_paths, given

OF_2_0 = {"method", "splats", "masks", "test_views", "device", "seed", "steps", "quality", "settings"}
"""The fields of protocol 2.0, which every server takes."""


def asked(**options: Any) -> JobRequest:
    """Return a request, whatever the types of its options."""
    return JobRequest(**options)


def test_every_option_has_a_title_and_a_sentence():
    assert tuple(OPTIONS) == JobRequest.__struct_fields__
    for field in OPTIONS.values():
        assert field.title[0].isupper()
        assert field.help.endswith(".")
        assert "eq." not in field.help
        assert len(field.help) < 200


def test_defaults_are_left_out_on_the_wire():
    check(JobRequest())
    assert given(JobRequest()) == {}
    assert msgspec.json.encode(JobRequest()) == b"{}"
    assert msgspec.json.encode(JobRequest(refine=False)) == b'{"refine":false}'


WRONG_VALUES = [
    ({"quality": "best"}, r"Quality \(quality\) cannot be 'best'. Choose one of draft, standard, high."),
    ({"device": "tpu"}, "Choose one of auto, cuda, cpu."),
    ({"masks_from": "sketch"}, "Choose one of capture, geometry."),
    ({"steps": 0}, "Give a whole number from 1 to 1000000."),
    ({"steps": 1.5}, "Give a whole number"),
    ({"seed": -1}, "Give a whole number from 0 to 4294967295."),
    ({"long_side": 3}, "Give a whole number from 16 to 16384."),
    ({"max_gaussians": 1}, "Give a whole number from 100 to 100000000."),
    ({"gpus": 0}, "Give a whole number from 1 to 64."),
    ({"refine": "yes"}, "Give true or false."),
    ({"meshes": 1}, "Give true or false."),
    ({"gallery": None}, "Give true or false."),
    ({"textures": "png"}, "Give true or false."),
    ({"steer": "on"}, "Give true or false."),
    ({"background_ids": ["a"]}, "Give whole numbers."),
    ({"void_ids": 3}, "Give whole numbers."),
    ({"settings": {"tau": [1]}}, "Give pairs of a name and a value."),
    ({"test_views": "some"}, "Examples: none, last:0.2, every:8, own."),
    ({"method": 3}, r"Method \(method\) cannot be 3"),
    ({"splats": "a" * 5000}, r"Splats \(splats\) cannot be"),
    ({"masks": 1}, "Mask Folder"),
    ({"masks_model": 1}, "Mask Model"),
    ({"level": "atoms"}, "Choose one of whole, part."),
]


@pytest.mark.parametrize(("options", "says"), WRONG_VALUES)
def test_a_value_out_of_range_is_refused_with_what_is_allowed(options, says):
    with pytest.raises(BadArgument, match=says):
        check(asked(**options))


def test_every_option_has_a_wrong_value_here():
    assert {name for options, _ in WRONG_VALUES for name in options} == set(OPTIONS)


EXCLUDED = [
    ({"masks_from": "geometry", "masks": "masks"}, "Geometry does not use masks"),
    ({"masks_from": "geometry", "method": "consensus"}, "Geometry does not use masks"),
    ({"masks_from": "geometry", "settings": {"tau": 0.5}}, "Geometry does not use masks"),
    ({"masks_from": "geometry", "background_ids": [1]}, "Geometry does not use masks"),
    ({"masks_from": "geometry", "level": "part"}, "Geometry does not use masks"),
    ({"masks_from": "geometry", "void_ids": [1]}, "Geometry does not use masks"),
    ({"masks_from": "geometry", "masks_model": "owner/name"}, "mask folder were both given"),
    ({"masks": "masks", "masks_model": "owner/name"}, "mask folder were both given"),
    ({"splats": "a.ply", "steps": 10}, "steps would have no effect. Remove steps"),
    ({"splats": "a.ply", "quality": "high", "gpus": 2}, "quality and gpus would have no effect"),
    ({"splats": "a.ply", "long_side": 400}, "long_side"),
    ({"splats": "a.ply", "max_gaussians": 400}, "max_gaussians"),
    ({"splats": "a.ply", "steer": False}, "steer"),
    ({"splats": "a.ply", "refine": True, "long_side": 400}, "so long_side would have no effect"),
    ({"background_ids": [1, 2], "void_ids": [2, 3]}, "mask id 2 is given as background and as void"),
    ({"gpus": 2, "device": "cpu"}, "GPU"),
    ({"textures": True, "meshes": False}, "no meshes are made"),
]


@pytest.mark.parametrize(("options", "says"), EXCLUDED)
def test_options_that_exclude_one_another_are_refused(options, says):
    request = asked(**options)
    with pytest.raises(BadArgument, match=says) as refused:
        check(request)
    assert refused.value.remedy
    # Each of the options alone is fine.
    for name, value in options.items():
        check(asked(**{name: value}))


def test_steps_and_quality_of_given_splats_are_those_of_the_refinement():
    check(JobRequest(splats="a.ply", refine=True, steps=100, quality="draft"))


@pytest.mark.parametrize("path", ["/etc/passwd", "../a.ply", "a/../../b", "", "C:\\a.ply", "a//b"])
@pytest.mark.parametrize("field", ["splats", "masks"])
def test_paths_stay_inside_the_scene(field, path):
    check_paths(asked(**{field: "inside/a.ply"}))
    with pytest.raises(BadArgument, match=f"of {field} is not inside"):
        check_paths(asked(**{field: path}))


@pytest.mark.parametrize("model", ["/models/sam", "../sam", "sam", "a/b/c", ".cache/sam", "a\\b", "a/..", ""])
def test_a_model_is_a_name_of_the_hub(model):
    check_paths(JobRequest(masks_model="owner/name-2.1_x"))
    with pytest.raises(BadArgument, match="not a name of the model hub"):
        check_paths(JobRequest(masks_model=model))


def test_a_server_of_an_earlier_version_is_not_sent_what_it_does_not_know():
    old = ["facts", "picture"]
    check_features(JobRequest(quality="draft", settings={"tau": 0.5}), old, "Old")
    for name in ("refine", "meshes"):
        with pytest.raises(VersionMismatch, match=f"Old is too old for {name}. Update the server"):
            check_features(asked(**{name: False}), old, "Old")
    with pytest.raises(VersionMismatch, match="too old for settings and gallery"):
        check_features(JobRequest(settings={"tau": 0.5}, gallery=False), [], "Old")
    with pytest.raises(VersionMismatch, match="too old for textures"):
        check_features(JobRequest(textures=True), [*old, "options"], "Old")
    check_features(JobRequest(settings={"tau": 0.5}, gallery=False), [*old, "options"], "New")
    assert {name for name, field in OPTIONS.items() if field.feature in ("", "facts")} == OF_2_0
