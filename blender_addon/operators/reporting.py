"""Faults as Blender shows them."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from protocol.errors import Fault


def reporting(execute: Callable[[Any, Any], set[str]]) -> Callable[[Any, Any], set[str]]:
    """Make an operator's ``execute`` report a :class:`Fault` and cancel, instead of showing a traceback."""

    @wraps(execute)
    def reported(self: Any, context: Any) -> set[str]:
        try:
            return execute(self, context)
        except Fault as fault:
            self.report({"ERROR"}, str(fault))
            return {"CANCELLED"}

    return reported
