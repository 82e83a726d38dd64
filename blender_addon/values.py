"""The settings of the server's methods as Blender properties, created from the server's declarations.

Nothing here depends on a method, so new settings of a server are drawn, saved and sent without changes here.
"""

# pyright: reportInvalidTypeForm=false
# Blender takes the properties of a group from its annotations.

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any

import bpy
import msgspec

from protocol.field_types import Value
from protocol.settings import Setting

KINDS = (("BOOL", "On or off", ""), ("INT", "Whole number", ""), ("FLOAT", "Number", ""))
KINDS += (("CHOICE", "Choice", ""), ("TEXT", "Text", ""))
FIELDS = {"BOOL": "flag", "INT": "whole", "FLOAT": "number", "CHOICE": "text", "TEXT": "text"}
"""Which property of a :class:`SplatLiftValue` holds a value of each kind."""
LARGEST = 2**31 - 128
"""The largest integer that both Blender's int and float properties can hold."""


class SplatLiftValue(bpy.types.PropertyGroup):
    """One setting of one method."""

    method: bpy.props.StringProperty()
    kind: bpy.props.EnumProperty(items=KINDS)
    title: bpy.props.StringProperty()
    help: bpy.props.StringProperty()
    choices: bpy.props.StringProperty(description="One value per line")
    least: bpy.props.FloatProperty()
    most: bpy.props.FloatProperty()
    default: bpy.props.StringProperty(description="As JSON")
    flag: bpy.props.BoolProperty(name="Value", description="Value of the setting")
    # No min or max, because they would be fixed per class; an update callback crashes the bpy module of 4.2 at exit.
    whole: bpy.props.IntProperty(name="Value", description="Value of the setting")
    number: bpy.props.FloatProperty(name="Value", description="Value of the setting", precision=4)
    text: bpy.props.StringProperty(name="Value", description="Value of the setting")


def declare(chosen: Any, methods: Mapping[str, Sequence[Setting]]) -> None:
    """Update a scene's values to the settings that a server declares; the user's valid values are kept.

    Args:
        chosen: the scene's ``splatlift``.
        methods: the settings of each method.
    """
    mark = mark_of(methods)
    if chosen.declared == mark:
        return
    kept = {(each.method, each.name): read(each) for each in chosen.values if not is_default(each)}
    chosen.values.clear()
    for method, settings in methods.items():
        for setting in settings:
            value = chosen.values.add()
            _fill(value, method, setting)
            earlier = kept.get((method, setting.name))
            if earlier is not None and _fits(setting, earlier):
                write(value, earlier)
    chosen.declared = mark


def mark_of(methods: Mapping[str, Sequence[Setting]]) -> str:
    """Return a text that identifies a declaration."""
    return hashlib.sha256(msgspec.json.encode(methods)).hexdigest()[:32]


def values_of(chosen: Any, method: str) -> list[Any]:
    """Return the values of a method, in the server's order."""
    return [each for each in chosen.values if each.method == method]


def changed(chosen: Any, method: str) -> dict[str, Value]:
    """Return the values that differ from the method's defaults."""
    return {each.name: read(each) for each in values_of(chosen, method) if not is_default(each)}


def read(value: Any) -> Value:
    """Return a value as it is sent: within its bounds, and rounded to the shortest representation of its float32."""
    raw = getattr(value, FIELDS[value.kind])
    if value.kind in ("INT", "FLOAT"):
        raw = type(raw)(min(max(raw, value.least), value.most))
    return float(f"{raw:.7g}") if value.kind == "FLOAT" else raw


def is_inside(value: Any) -> bool:
    """Whether a number is inside its bounds; a sent number always is."""
    return value.kind not in ("INT", "FLOAT") or value.least <= getattr(value, FIELDS[value.kind]) <= value.most


def write(value: Any, given: Value) -> None:
    field = FIELDS[value.kind]
    setattr(value, field, type(getattr(value, field))(given))


def default_of(value: Any) -> Value:
    return msgspec.json.decode(value.default)


def is_default(value: Any) -> bool:
    now, usual = read(value), default_of(value)
    if isinstance(now, float) and isinstance(usual, int | float):
        return math.isclose(now, usual, rel_tol=1e-6)
    return now == usual


def _fill(value: Any, method: str, setting: Setting) -> None:
    value.name, value.method, value.title, value.help = setting.name, method, setting.title, setting.help
    value.kind = setting.kind.upper()
    value.choices = "\n".join(setting.choices)
    bound = LARGEST if setting.kind == "int" else 3.4e38
    value.least = max(setting.least if setting.least is not None else -bound, -bound)
    value.most = min(setting.most if setting.most is not None else bound, bound)
    value.default = msgspec.json.encode(setting.default).decode()
    write(value, setting.default)


def _fits(setting: Setting, value: Value) -> bool:
    """Whether a value that was set before a server update is still valid."""
    if setting.kind == "choice":
        return value in setting.choices
    return isinstance(value, {"bool": bool, "int": int, "float": int | float, "text": str}[setting.kind])
