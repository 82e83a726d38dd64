"""The options of ``api.segment``: every field of a request, with its type and default."""

from __future__ import annotations

import inspect
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal, get_args, get_type_hints

import pytest

from blender_addon import api
from protocol.job_request import OPTIONS, JobRequest, given

OPTIONS_OF_API = {
    name: parameter
    for name, parameter in inspect.signature(api.segment).parameters.items()
    if name not in ("client", "folder", "on_progress")
}
VALUES: dict[str, Any] = {
    "method": "quick",
    "splats": "a.ply",
    "masks": "masks",
    "test_views": "every:8",
    "device": "cpu",
    "seed": 7,
    "steps": 300,
    "quality": "draft",
    "settings": {"tau": 0.5},
    "masks_from": "geometry",
    "masks_model": "owner/name",
    "level": "part",
    "background_ids": [3, 4],
    "void_ids": [5],
    "long_side": 400,
    "max_gaussians": 5000,
    "steer": False,
    "refine": False,
    "meshes": False,
    "textures": True,
    "gallery": False,
    "gpus": 2,
}


class Jobs:
    """A list of jobs that takes note of what is submitted."""

    def __init__(self) -> None:
        self.connection = SimpleNamespace(server=SimpleNamespace(methods=[SimpleNamespace(name="quick")]))
        self.requests: list[JobRequest] = []

    def submit(self, folder: Path, request: JobRequest) -> Any:
        self.requests.append(request)


def asked(**options: Any) -> JobRequest:
    jobs = Jobs()
    api.segment(api.Client(jobs), "kitchen", **options)  # pyright: ignore[reportArgumentType]
    return jobs.requests[0]


def test_every_field_of_a_request_is_an_argument():
    assert set(OPTIONS_OF_API) == set(OPTIONS) == set(VALUES)


@pytest.mark.parametrize("name", VALUES)
def test_an_argument_is_a_field(name: str):
    assert given(asked(**{name: VALUES[name]})) == {name: VALUES[name]}


def test_what_is_not_given_keeps_its_default():
    assert asked() == JobRequest()


def test_choices_and_plain_defaults_are_those_of_the_request():
    hints = get_type_hints(api.segment)
    for name, field in OPTIONS.items():
        if field.kind == "choice":
            assert hints[name] == Literal[field.choices]
        if field.kind in ("bool", "int", "choice", "text"):
            assert OPTIONS_OF_API[name].default == field.default
            assert (type(None) in get_args(hints[name])) == field.optional


def test_every_argument_is_described():
    text = inspect.getdoc(api.segment) or ""
    for name in OPTIONS_OF_API:
        assert f"    {name}: " in text


def test_a_method_that_the_server_has_not_is_refused():
    with pytest.raises(api.BadArgument, match="method 'magic' does not exist"):
        asked(method="magic")
