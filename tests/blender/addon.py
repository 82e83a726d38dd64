"""What the tests of the panel share: the add-on registered, a server that answers, a layout that records."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import bpy

import blender_addon
from blender_addon.client.connection import Connection
from blender_addon.timer import timer
from tests.blender_addon.client.mock_server import MockServer


@contextmanager
def registered() -> Iterator[None]:
    """The add-on registered as Blender does it."""
    blender_addon.register()
    try:
        yield
    finally:
        blender_addon.unregister()


class _Answers:
    """A task of the client's connection: a scripted server that answers, and finishes every job with ``files``."""

    def __init__(self, server: MockServer, files: dict[str, bytes]) -> None:
        self.server = server
        self.files = files
        self.final = False

    def advance(self) -> bool:
        self.server.step()
        for job, progress in list(self.server.jobs.items()):
            if progress.state == "queued":
                self.server.push(job, state="running", stage="lift", fraction=0.5)
                self.server.finish(job, self.files)
        return False

    def stop(self) -> None:
        self.final = True


@contextmanager
def answering(server: MockServer, files: dict[str, bytes], connection: Connection | None = None) -> Iterator[None]:
    """A scripted server that answers at once, and finishes every job with ``files``.

    With a connection, it answers in the steps of this client; otherwise in a thread. Blender may crash if it adds a
    step of undo while another thread runs Python.
    """
    answers = _Answers(server, files)
    if connection is not None:
        connection.add(answers)
        try:
            yield
        finally:
            answers.stop()
        return
    over = threading.Event()

    def run() -> None:
        while not over.is_set():
            answers.advance()
            time.sleep(0.001)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def tick_until(done: Any, patience: float = 20.0) -> None:
    """Do what Blender's timer would do, until something is so."""
    end = time.monotonic() + patience
    while not done():
        assert time.monotonic() < end
        timer.tick()


class Windowed:
    """The module bpy of a Blender with a window."""

    app = SimpleNamespace(background=False)

    def __init__(self, module: Any) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


class Layout:
    """A layout that takes what a panel draws, and refuses what Blender would refuse."""

    def __init__(self, drawn: list[str] | None = None) -> None:
        self.drawn: list[str] = [] if drawn is None else drawn

    def _within(self, **_: Any) -> Layout:
        return Layout(self.drawn)

    row = column = box = split = _within

    def label(self, *, text: str = "", icon: str = "NONE") -> None:
        self._icon(icon)
        self.drawn.append(text)

    def prop(
        self,
        data: Any,
        name: str,
        *,
        text: str | None = None,
        icon: str = "NONE",
        emboss: bool = True,
        toggle: int = -1,
    ) -> None:
        self._icon(icon)
        property = data.bl_rna.properties[name]
        self.drawn.append(f"[{property.name if text is None else text or name}]")

    def prop_enum(self, data: Any, name: str, value: str, *, text: str | None = None) -> None:
        item = data.bl_rna.properties[name].enum_items[value]
        self.drawn.append(f"({'*' if getattr(data, name) == value else ''}{item.name if text is None else text})")

    def operator(
        self,
        name: str,
        *,
        text: str | None = None,
        icon: str = "NONE",
        emboss: bool = True,
        depress: bool = False,
        translate: bool = True,
    ) -> Any:
        self._icon(icon)
        group, _, call = name.partition(".")
        rna = getattr(getattr(bpy.ops, group), call).get_rna_type()
        self.drawn.append(f"<{rna.name if text is None else text or name}>")
        return _Properties(rna)

    def menu(self, name: str, *, text: str = "", icon: str = "NONE") -> None:
        self._icon(icon)
        assert hasattr(bpy.types, name)
        self.drawn.append(f"<{text}>")

    def context_pointer_set(self, name: str, data: Any) -> None:
        assert name.islower()

    def template_icon(self, *, icon_value: int, scale: float = 1.0) -> None:
        self.drawn.append("(picture)")

    def progress(self, *, text: str, factor: float) -> None:
        assert 0 <= factor <= 1
        self.drawn.append(f"{{{text}}}")

    def template_list(
        self, kind: str, id: str, data: Any, items: str, active: Any, index: str, *, rows: int = 5
    ) -> None:
        cls = getattr(bpy.types, kind)
        everything = list(getattr(data, items))
        flags, places = cls.filter_items(SimpleNamespace(filter_name="", bitflag_filter_item=1), None, data, items)
        assert len(flags) == len(places) == len(everything)
        assert isinstance(getattr(active, index), int)
        for place in range(len(everything)):
            n = places.index(place)
            if flags[n]:
                cls.draw_item(None, bpy.context, self, data, everything[n], 0, active, index, n, 0)

    def _icon(self, icon: str) -> None:
        assert icon in cast(Any, bpy.types.UILayout.bl_rna).functions["label"].parameters["icon"].enum_items


class _Properties:
    """Takes the properties that the operator has."""

    rna: Any

    def __init__(self, rna: Any) -> None:
        object.__setattr__(self, "rna", rna)

    def __setattr__(self, name: str, value: Any) -> None:
        assert name in self.rna.properties, name


def says(drawn: list[str], text: str) -> bool:
    """Return whether the lines of a panel hold a text. A panel breaks lines anywhere, also within a long path."""
    return "".join(text.split()) in "".join("".join(drawn).split())


def draw(name: str) -> list[str]:
    """Draw a panel or menu and return its words in order: [property], <button>, {progress}, label."""
    layout = Layout()
    getattr(bpy.types, name).draw(SimpleNamespace(layout=layout), bpy.context)
    return layout.drawn
