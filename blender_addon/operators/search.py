"""Select the objects that a text names, as the server finds them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from protocol.errors import Fault, Unavailable
from protocol.messages import Match, SelectText
from protocol.result.names import ROW
from protocol.words import check_word

from .. import session
from ..client.request import Request
from ..client.selection import TextSelection, job_of, select_text
from ..editing.columns import read_column
from ..editing.corrected import names_in
from ..editing.modes import outside_edit_mode
from ..editing.parts import parts_of, pieces_of
from ..settings import settings
from ..timer import timer
from .edit_objects import show_only
from .edit_targets import need_scene
from .reporting import Outcome, reporting

LISTED = 8
"""Most objects that the panel lists with their scores."""


class Search:
    """The running search and the last answer, as the panel shows them.

    Attributes:
        request: the running search, or None.
        fraction, note: its progress.
        lines: what the last search found, or why it failed.
    """

    def __init__(self) -> None:
        self.request: Request[TextSelection] | None = None
        self.fraction = 0.0
        self.note = ""
        self.lines: list[str] = []

    def tell(self, fraction: float, note: str) -> None:
        """Show how far the search is."""
        self.fraction, self.note = fraction, note
        timer.redraw()


search = Search()
"""The one that the panel shows."""


class SPLATLIFT_OT_search(bpy.types.Operator):
    """Select the objects that the text names. The server looks for them in the views of the result"""

    bl_idname = "splatlift.search"
    bl_label = "Search"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        known = timer.known_connection
        if not session.scenes():
            cls.poll_message_set("Import a result first")
        elif known is None or known.state != "connected":
            cls.poll_message_set("Connect to a server first")
        elif search.request is not None:
            cls.poll_message_set("A search is running")
        else:
            return True
        return False

    @reporting
    def execute(self, context: Any) -> set[str]:
        scene = need_scene(context)
        known = timer.known_connection
        if known is None:
            raise Unavailable("There is no connection to a server.", "Connect to a server first.")
        word = check_word(settings(context).search)
        wanted = SelectText(job_of(Path(bpy.path.abspath(scene.splatlift.source))), word)
        steps = select_text(known, wanted, search.tell)
        search.lines, search.fraction, search.note = [], 0.0, ""
        if bpy.app.background:
            search.lines = _shown(scene, word, known.start(steps).result())
            self.report({"INFO"}, search.lines[0])
            return {"FINISHED"}
        scene_id = scene.splatlift.scene_id
        search.request = known.start(steps, lambda request: _finish(scene_id, word, request))
        timer.start()
        return {"FINISHED"}


class SPLATLIFT_OT_stop_search(bpy.types.Operator):
    """Stop waiting for the search. The server finishes it"""

    bl_idname = "splatlift.stop_search"
    bl_label = "Cancel"
    bl_options = {"INTERNAL"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        return search.request is not None

    def execute(self, context: Any) -> Outcome:
        if search.request is not None:
            search.request.stop()
        search.request = None
        timer.redraw()
        return {"FINISHED"}


def _finish(scene_id: str, word: str, request: Request[TextSelection]) -> None:
    search.request = None
    try:
        answer = request.answer
        scene = next((each for each in session.scenes() if each.splatlift.scene_id == scene_id), None)
        search.lines = ["The scene was removed"] if scene is None else _shown(scene, word, answer)
    except Fault as fault:
        search.lines = [str(fault)]
    timer.redraw()


def _shown(scene: Any, word: str, answer: TextSelection) -> list[str]:
    """Select the objects of an answer; return what the panel says about it."""
    names = names_in(scene)
    if not answer.objects:
        best = "".join(f". The best candidate is {_scored(match, names)}" for match in answer.best[:1])
        return [f"Nothing matches {word!r}{best}"]
    found = parts_with(scene, answer.gaussians)
    show_only(bpy.context, found)
    where = "rendered images" if answer.rendered else "photographs"
    lines = [f"{len(found)} {'objects' if len(found) != 1 else 'object'} for {word!r}, in {answer.views} {where}"]
    lines += [_scored(match, names) for match in answer.best[:LISTED]]
    left = answer.objects - LISTED
    return [*lines, *([f"and {left} more"] if left > 0 else [])]


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
