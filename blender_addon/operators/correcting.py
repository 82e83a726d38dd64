"""Edits that are sent to the server as corrections, "and everything like it": asked, shown, confirmed, applied."""

# pyright: reportInvalidTypeForm=false
# Blender takes the properties of an operator from its annotations.

from __future__ import annotations

from typing import Any

import bpy

from protocol.messages import Correct

from .. import session
from ..client.correction import Correction, correct
from ..client.selection import job_of
from ..drawing import Draws
from ..editing.corrected import Asked, apply_correction, check_conflicts, names_in
from ..editing.parts import check_local, scene_of
from .edit_targets import EditOperator, has_scene, need_scene, need_targets
from .reporting import Outcome, reporting
from .versions import base_of, changed
from .waiting import need_connection

PATIENCE = 120.0
"""Seconds to wait for the server's answer; the first time it has to open the result."""
LISTED = 12
"""Most changes that the confirmation lists."""
NOTHING = "No Gaussian changes its object"
OUTDATED = "Label maps and meshes of changed objects were removed from the result on the server"


class ShowsChanges(Draws):
    """What operators share that show what a correction changes in a dialog."""

    def draw(self, context: Any) -> None:
        for line in getattr(self, "lines", []):
            self.layout.label(text=line, translate=False)


class CorrectingOperator(ShowsChanges, EditOperator):
    """What edits share that can be extended to everything like it.

    Their ``execute`` calls :func:`take` with :meth:`asked` if ``and_alike`` is set. Without a window there is no
    confirmation.
    """

    and_alike: bpy.props.BoolProperty(
        name="And Everything Like It",
        description="Let the server correct similar mistakes elsewhere too. All changes are shown before they are made",
        options={"SKIP_SAVE"},
    )

    def asked(self, context: Any) -> Asked:
        """Return what the edit asks of the server."""
        raise NotImplementedError

    def invoke(self, context: Any, event: Any) -> Outcome:
        return confirm(self, context) if self.and_alike else self.execute(context)

    def execute(self, context: Any) -> Outcome:
        raise NotImplementedError


class SPLATLIFT_OT_undo_correction(ShowsChanges, bpy.types.Operator):
    """Undo the last correction that the server made in the scene, including all similar changes"""

    bl_idname = "splatlift.undo_correction"
    bl_label = "Undo Last Correction"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        return has_scene(cls)

    def invoke(self, context: Any, event: Any) -> Outcome:
        return confirm(self, context)

    @reporting
    def execute(self, context: Any) -> set[str]:
        return take(self, need_scene(context), None)


def confirm(operator: Any, context: Any) -> Outcome:
    """Ask the server what the operator's correction would change, and show it in a dialog."""
    return _confirm(operator, context)


@reporting
def _confirm(operator: Any, context: Any) -> set[str]:
    asked = operator.asked(context) if hasattr(operator, "asked") else None
    scene = scene_of(need_targets(context)[0]) if asked is not None else need_scene(context)
    correction = _ask(scene, asked, take=False)
    check_conflicts(scene, correction)
    operator.lines = listed(correction, scene)
    return context.window_manager.invoke_props_dialog(operator, width=420)


def take(operator: Any, scene: Any, asked: Asked | None) -> set[str]:
    """Correct the result on the server and the imported scene; None takes the last correction back.

    The correction starts from the version that the scene shows, also if Blender's undo has reverted later ones.

    Raises:
        Fault: the server's; Refused if the scene was edited so that the correction does not fit it.
    """
    check_local(scene)
    preview = _ask(scene, asked, take=False)
    check_conflicts(scene, preview)
    correction = _ask(scene, asked, take=True)
    apply_correction(scene, correction)
    changed(scene, preview.base, correction.version or "")
    elsewhere = sum(move.count for move in correction.moves if move.elsewhere)
    count = len(correction.rows)
    said = f"{count:,} Gaussians changed their object, {elsewhere:,} of them elsewhere. {OUTDATED}"
    operator.report({"INFO"}, said if count else NOTHING)
    return {"FINISHED"}


def listed(correction: Correction, scene: Any) -> list[str]:
    """Return the lines of the confirmation: what changes, and then what changes elsewhere."""
    names = names_in(scene)
    ordered = sorted(zip(correction.moves, correction.lines(names), strict=True), key=lambda each: each[0].elsewhere)
    lines = [line for _, line in ordered]
    left = len(lines) - LISTED
    return [*lines[:LISTED], *([f"and {left} more changes"] if left > 0 else [])] or [NOTHING]


def _ask(scene: Any, asked: Asked | None, *, take: bool) -> Correction:
    known = need_connection()
    job = job_of(session.source_of(scene))
    constraints, arrays = (asked.constraints, asked.arrays) if asked is not None else ([], [])
    wanted = Correct(job, constraints, undo=asked is None, take=take, base=base_of(scene))
    return known.start(correct(known, wanted, arrays)).result(PATIENCE)


CLASSES = (SPLATLIFT_OT_undo_correction,)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
