"""Which objects a person should check first: the least certain ones that were not checked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .. import session


def unchecked(objects: Iterable[Any]) -> list[Any]:
    """Return the objects that were not checked, the least certain first; ties go to the lowest label."""
    left = [part for part in objects if not part.splatlift.is_checked]
    return sorted(left, key=lambda part: (round(part.splatlift.confidence, 4), part.splatlift.label))


def next_to_check(scene: Any, current: str) -> Any:
    """Mark the object with the id ``current`` as checked and return the next one; None if none is left.

    Args:
        current: id of the object that was checked; any other text marks nothing.
    """
    objects = session.objects_of(scene)
    for part in objects:
        if part.splatlift.object_id == current:
            part.splatlift.is_checked = True
    return next(iter(unchecked(objects)), None)


def check_again(scene: Any) -> None:
    """Forget which objects of a scene were checked."""
    for part in session.objects_of(scene):
        part.splatlift.is_checked = False
