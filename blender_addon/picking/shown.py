"""The Blender objects with Gaussians that a click can meet, and to which object and part they belong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from .. import session
from ..splats.attributes import is_splats
from ..splats.collections import BENEATH, splat_objects


class Shown(NamedTuple):
    """One of them.

    Attributes:
        thing: the Blender object that holds the Gaussians.
        whole: the collection of its object or background; None for a splat that no result was imported for.
        part: the collection of its part, or None.
        level: of its scene, "WHOLE" or "PART".
    """

    thing: Any
    whole: Any = None
    part: Any = None
    level: str = "WHOLE"

    @property
    def seen(self) -> Any:
        """The Blender object that a user sees and selects: the Gaussians, or the mesh shown in their place."""
        return self.thing.parent if self.thing.get(BENEATH) else self.thing


def shown_in(layer: Any, is_visible: Callable[[Any], bool]) -> list[Shown]:
    """Return what a click can meet in a view layer.

    Args:
        is_visible: whether a view shows a Blender object.
    """
    there = set(layer.objects)
    found: dict[Any, Shown] = {}
    for scene in session.scenes():
        background = session.background_of(scene)
        for whole in [*session.objects_of(scene), *([background] if background else [])]:
            parts = {thing: part for part in session.parts_of_object(whole) for thing in part.all_objects}
            for thing in splat_objects(whole):
                found[thing] = Shown(thing, whole, parts.get(thing), scene.splatlift.level)
    alone = (each for each in there if each not in found and not each.get(BENEATH) and is_splats(each.data))
    known = [*found.values(), *sorted(map(Shown, alone), key=lambda each: each.thing.name)]
    return [each for each in known if each.seen in there and is_visible(each.seen)]
