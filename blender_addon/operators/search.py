"""Select the objects that a text names, as the server finds them."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from protocol.messages import Match, SelectText
from protocol.result.names import ROW
from protocol.words import check_word

from .. import session
from ..client.selection import TextSelection, job_of, select_text
from ..editing.columns import read_column
from ..editing.corrected import names_in
from ..editing.modes import outside_edit_mode
from ..editing.parts import parts_of, pieces_of
from ..editing.show_only import show_only
from ..settings import choose_in_list, settings
from .edit_targets import need_scene
from .reporting import reporting
from .waiting import Asks, Stops, Waiting, need_connection

LISTED = 8
"""Most objects that the panel lists with their scores."""


search: Waiting[TextSelection] = Waiting("A search is running", "Search")
"""The one that the panel shows."""


class SPLATLIFT_OT_search(Asks, bpy.types.Operator):
    """Select the objects that the text names. The server looks for them in the views of the result"""

    bl_idname = "splatlift.search"
    bl_label = "Search"
    bl_options = {"REGISTER"}
    waiting = search

    @reporting
    def execute(self, context: Any) -> set[str]:
        scene = need_scene(context)
        known = need_connection()
        word = check_word(settings(context).search)
        wanted = SelectText(job_of(session.source_of(scene)), word)
        steps = select_text(known, wanted, search.tell)
        search.ask(known, steps, scene, lambda there, found: _shown(there, word, found))
        if search.lines:
            self.report({"INFO"}, search.lines[0])
        return {"FINISHED"}


class SPLATLIFT_OT_stop_search(Stops, bpy.types.Operator):
    """Stop the search"""

    bl_idname = "splatlift.stop_search"
    bl_label = "Cancel"
    bl_options = {"INTERNAL"}
    waiting = search


def _shown(scene: Any, word: str, answer: TextSelection) -> list[str]:
    """Select the objects of an answer; return what the panel says about it."""
    names = names_in(scene)
    if not answer.objects:
        best = "".join(f". The best candidate is {_scored(match, names)}" for match in answer.best[:1])
        return [f"Nothing matches {word!r}{best}"]
    found = parts_with(scene, answer.gaussians)
    if not found:
        return [f"The objects that match {word!r} are no longer in this scene"]
    is_selected = show_only(bpy.context, found)
    if is_selected:
        choose_in_list(bpy.context, found[0])
    where = "rendered images" if answer.rendered else "photographs"
    lines = [f"{len(found)} {'objects' if len(found) != 1 else 'object'} for {word!r}, in {answer.views} {where}"]
    lines += [_scored(match, names) for match in answer.best[:LISTED]]
    left = answer.objects - LISTED
    lines += [f"and {left} more"] if left > 0 else []
    return lines if is_selected else [*lines, _why_unselected()]


def _why_unselected() -> str:
    if bpy.context.mode == "OBJECT":
        return "Hidden objects are not selected"
    return "Objects are selected in Object Mode: press Tab, search again"


def _scored(match: Match, names: dict[int, str]) -> str:
    name = names.get(match.label, match.name)
    return f"{name}, score {match.score:.2f}, in {match.detected} of {match.looked} views"


@outside_edit_mode
def parts_with(scene: Any, gaussians: NDArray[np.bool_]) -> list[Any]:
    """Return the parts of a scene of whose Gaussians more than half are selected, (N,) bool by row of the result."""
    found = []
    for part in parts_of(scene):
        rows = np.concatenate([read_column(piece.thing.data, ROW) for piece in pieces_of(part)])
        inside = (rows >= 0) & (rows < len(gaussians))
        if 2 * np.count_nonzero(gaussians[rows[inside]]) > len(rows):
            found.append(part)
    return found


CLASSES = (SPLATLIFT_OT_search, SPLATLIFT_OT_stop_search)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
