"""A method's settings class as a list of :class:`protocol.messages.Setting`: names, types, bounds, and its own help."""

from __future__ import annotations

import inspect
import math
import re
from dataclasses import fields
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from msgspec import Meta

from protocol.messages import Setting

_KINDS: dict[type, Literal["bool", "int", "float", "text"]] = {bool: "bool", int: "int", float: "float", str: "text"}
_ENTRY = re.compile(r"    (\w+(?:, \w+)*): (.*)")
_MORE = re.compile(r" {8,}(\S.*)")


def declare(settings: type) -> list[Setting]:
    """Return the settings of a dataclass in order.

    Types are bool, int, float, str and literals of texts, with bounds as ``msgspec.Meta``. The help is what the
    docstrings of the class and its bases say under "Attributes".

    Raises:
        TypeError: if a field has another type.
    """
    hints = get_type_hints(settings, include_extras=True)
    help = _help(settings)
    return [_setting(field.name, hints[field.name], field.default, help) for field in fields(settings)]


def _setting(name: str, hint: Any, default: Any, help: dict[str, str]) -> Setting:
    meta = Meta()
    if get_origin(hint) is Annotated:
        hint, meta = get_args(hint)[:2]
    title = name.replace("_", " ").capitalize()
    said = help.get(name, "")
    if get_origin(hint) is Literal:
        return Setting(name, title, "choice", default, choices=list(get_args(hint)), help=said)
    if hint not in _KINDS:
        raise TypeError(f"setting {name} is of type {hint}, which no panel can show")
    least, most = _bounds(meta, whole=hint is int)
    return Setting(name, title, _KINDS[hint], default, least, most, help=said)


def _bounds(meta: Meta, *, whole: bool) -> tuple[float | None, float | None]:
    """Return the least and the most that are allowed; beside an excluded bound, the next number."""
    least, most = meta.ge, meta.le
    if meta.gt is not None:
        least = meta.gt + 1 if whole else math.nextafter(meta.gt, math.inf)
    if meta.lt is not None:
        most = meta.lt - 1 if whole else math.nextafter(meta.lt, -math.inf)
    return None if least is None else float(least), None if most is None else float(most)


def _help(settings: type) -> dict[str, str]:
    """Return what docstrings say of each attribute, as one line."""
    found: dict[str, str] = {}
    for cls in reversed(settings.__mro__[:-1]):
        names: list[str] = []
        section = inspect.getdoc(cls) or ""
        for line in section.partition("Attributes:\n")[2].splitlines():
            if entry := _ENTRY.fullmatch(line):
                names = entry[1].split(", ")
                found |= dict.fromkeys(names, entry[2])
            elif more := _MORE.fullmatch(line):
                found |= {name: f"{found[name]} {more[1]}" for name in names}
            elif line.strip():
                break
    return {
        name: re.sub(r":\w+:`~?[\w.]*?(\w+)`|``", lambda m: m[1] or "", text)[:1000] for name, text in found.items()
    }
