"""Give a scene its real size by a distance that is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from protocol.errors import BadArgument

from ..splats.cameras import is_camera
from ..splats.collections import placement_of
from .modes import outside_edit_mode


@outside_edit_mode
def set_real_distance(scene: Any, first: Sequence[float], second: Sequence[float], length: float) -> float:
    """Scale an imported scene so that two points are ``length`` metres apart; return by how much it was scaled.

    The scene grows from the origin of its placement. The frame that files of the capture are exported in stays.

    Args:
        scene: the scene's collection.
        first: (3,), one point, in the world.
        second: (3,), the other one.

    Raises:
        BadArgument: if the points are the same, the length is not positive, the scale would be beyond all measure, or
            the placement of the scene was deleted.
    """
    distance = float(np.linalg.norm(np.subtract(second, first)))
    if not distance > 0:
        raise BadArgument("The two points are in the same place.", "Choose two points that are apart.")
    if not length > 0:
        raise BadArgument(f"A length of {length} m is not possible.", "Give a length above 0.")
    factor = length / distance
    if not 1e-6 <= factor <= 1e6:
        raise BadArgument(f"The scene would be scaled by {factor:g}.", "Choose points that are farther apart.")
    upright = placement_of(scene)
    if upright is None:
        raise BadArgument(f"The placement object of the scene {scene.name} was deleted.", "Import the result again.")
    upright.scale = [factor * value for value in upright.scale]
    for each in (scene, *scene.children_recursive):
        known = each.splatlift
        if known.kind != "NONE":
            placement = np.array(known.placement, np.float64).reshape(4, 4)
            placement[:3, :3] *= factor
            known.placement = placement.ravel().tolist()
    for camera in [each for each in scene.all_objects if is_camera(each)]:
        camera.data.clip_start *= factor
        camera.data.clip_end *= factor
    return factor
