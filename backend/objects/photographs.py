"""The photographs of a result's views, in the folder of the capture."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from backend.scene import load_scene
from backend.scene.types import View
from protocol.errors import BadArgument


def photographed(scene: Path, names: Collection[str], folder: Path) -> dict[str, View]:
    """Return the views of a scene that a result has, by name.

    Args:
        scene: the folder of the capture.
        names: of the views of the result.
        folder: the result, for the error.

    Raises:
        BadArgument: if there are none. BadScene: if the scene cannot be read.
    """
    views = {view.name: view for view in load_scene(scene).views if view.name in names}
    if not views:
        raise BadArgument(
            f"No photograph of {scene} belongs to a view of {folder}.", "Give the scene that was segmented."
        )
    return views
