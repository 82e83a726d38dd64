"""Isolate objects, and show the others again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .modes import outside_edit_mode
from .parts import KINDS, check_parts, scene_of

HIDDEN = "splatlift_hidden_before"
"""Custom property of a part while others are isolated: its previous visibility."""


@outside_edit_mode
def isolate(parts: Iterable[Any]) -> None:
    """Hide all other objects of the scene and its background in the viewport; exports are not affected.

    Raises:
        BadArgument: if there are no objects.
    """
    several = check_parts(parts)
    for part in _all_parts(scene_of(several[0])):
        if HIDDEN not in part:
            part[HIDDEN] = part.hide_viewport
        part.hide_viewport = part not in several and not any(
            each in part.children_recursive or part in each.children_recursive for each in several
        )


@outside_edit_mode
def show_others(scene: Any) -> None:
    """Undo :func:`isolate` in an imported scene; objects that were hidden before stay hidden."""
    for part in _all_parts(scene):
        if HIDDEN in part:
            part.hide_viewport = bool(part[HIDDEN])
            del part[HIDDEN]


def is_isolating(scene: Any) -> bool:
    """Whether objects of a scene are shown alone."""
    return any(HIDDEN in part for part in scene.children_recursive)


def _all_parts(scene: Any) -> list[Any]:
    return [part for part in scene.children_recursive if part.splatlift.kind in KINDS]
