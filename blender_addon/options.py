"""The options of a job as Blender's properties, made from the fields of :class:`protocol.job_request.JobRequest`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import bpy
from msgspec.structs import replace

from protocol.errors import Fault
from protocol.field_types import Value
from protocol.job_request import OPTIONS, JobRequest, has_effect, without_effect
from protocol.settings import Field

from .client.survey import Survey

SOURCE_OPTION = "masks_from"
"""The option shown above Method."""
FURTHER_OPTIONS = (
    "quality",
    "max_gaussians",
    "long_side",
    "masks_model",
    "level",
    "refine",
    "meshes",
    "textures",
    "gallery",
    "test_views",
)
"""The options under Quality and Options, in order."""
PANEL_OPTIONS = (SOURCE_OPTION, *FURTHER_OPTIONS)
"""All options shown in the panel."""
AUTOMATIC = (
    ("auto", "Automatic", "Depends on the capture and the quality"),
    ("on", "On", "Always"),
    ("off", "Off", "Never"),
)
_ANSWERS = {"auto": None, "on": True, "off": False}


def properties() -> dict[str, Any]:
    """Return a property for each of :data:`PANEL_OPTIONS`, by name."""
    return {name: _property(OPTIONS[name]) for name in PANEL_OPTIONS}


def read(chosen: Any) -> dict[str, Any]:
    """Return the values by name, as :class:`JobRequest` takes them.

    Args:
        chosen: a group with :func:`properties`.
    """
    return {name: _value(OPTIONS[name], getattr(chosen, name)) for name in PANEL_OPTIONS}


def request(chosen: Any, found: Survey | None, method: str | None, settings: Mapping[str, Value]) -> JobRequest:
    """Return the request of the panel, without options that are greyed out.

    Without masks, no method is requested for photographs or splats, because a method requires masks.

    Args:
        chosen: the scene's ``splatlift``.
        found: the survey of the capture's folder.
        method: the chosen method, None for the server's recommended one.
        settings: settings of the method that differ from its defaults.
    """
    asked = JobRequest(splats=_splats(chosen, found), **read(chosen))
    maskless = found is not None and found.poses_from != "cameras" and not found.masks
    if asked.masks_from != "geometry" and not maskless:
        asked = replace(asked, method=method, settings=dict(settings))
    asked = replace(asked, **{name: OPTIONS[name].default for name in _without_masks(chosen, found)})
    asked = replace(asked, textures=asked.textures and asked.meshes)
    return replace(asked, **{name: OPTIONS[name].default for name in without_effect(asked)})


def usable(chosen: Any, found: Survey | Fault | None, features: Sequence[str] | None) -> set[str]:
    """Return which of :data:`PANEL_OPTIONS` have an effect on the next job.

    Args:
        found: the survey of the capture's folder.
        features: of the server; None if not connected.
    """
    survey = found if isinstance(found, Survey) else None
    splats, idle = _splats(chosen, survey), _without_masks(chosen, survey)
    known = {name for name in PANEL_OPTIONS if features is None or OPTIONS[name].feature in ("", *features)}
    return {
        name
        for name in known
        if name not in idle
        and (name != SOURCE_OPTION or survey is None or survey.poses_from is not None)
        and (name != "textures" or chosen.meshes)
        and has_effect(name, splats=splats is not None, refine=chosen.refine == "on")
    }


def _without_masks(chosen: Any, found: Survey | None) -> set[str]:
    """Return mask options without effect: geometry reads no masks, and existing masks need no model."""
    if chosen.masks_from == "geometry":
        return {"masks_model", "level"}
    return {"masks_model"} if found is not None and found.masks else set()


def _splats(chosen: Any, found: Survey | None) -> str | None:
    posed = found is not None and found.poses_from == "cameras"
    return found.splats if found is not None and posed and chosen.use_splats else None


def _property(field: Field) -> Any:
    # Blender adds a full stop to tooltips.
    told: dict[str, Any] = {"name": field.title, "description": field.help.removesuffix(".")}
    if field.kind == "choice":
        items = tuple((each, each.capitalize(), field.choices_help.get(each, "")) for each in field.choices)
        return bpy.props.EnumProperty(items=items, default=field.default, **told)
    if field.kind == "bool" and field.optional:
        return bpy.props.EnumProperty(items=AUTOMATIC, default="auto", **told)
    if field.kind == "bool":
        return bpy.props.BoolProperty(default=field.default, **told)
    if field.kind == "int" and field.optional:
        told["description"] += ". 0: the default"
        return bpy.props.IntProperty(default=0, min=0, max=int(field.most or 2**31 - 1), **told)
    if field.kind == "text":
        return bpy.props.StringProperty(default=field.default or "", **told)
    raise TypeError(f"no property shows the option {field.name}")


def _value(field: Field, value: Any) -> Any:
    if field.kind == "bool" and field.optional:
        return _ANSWERS[value]
    return None if field.optional and not value and field.kind in ("int", "text") else value
