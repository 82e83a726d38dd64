"""Which version of its result on the server an imported scene shows.

Blender's undo reverts the scene's own ``version``, also to none; the server then has to go on from the version that was
imported.
"""

from __future__ import annotations

from typing import Any

_imported: dict[str, str] = {}
"""The version that each imported scene was before its first change on the server, by the id of the scene."""


def base_of(scene: Any) -> str | None:
    """Return the version that a scene shows; None for the newest one."""
    return scene.splatlift.version or _imported.get(scene.splatlift.scene_id)


def changed(scene: Any, base: str, version: str) -> None:
    """Note that a scene which showed the version ``base`` shows ``version`` now."""
    _imported.setdefault(scene.splatlift.scene_id, base)
    scene.splatlift.version = version
