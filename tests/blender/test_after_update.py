"""Handlers of updates of a scene: they survive another file, and a render in its own thread does not call them."""

from __future__ import annotations

import threading
from typing import Any

import pytest

bpy = pytest.importorskip("bpy")

from blender_addon.after_update import after_update  # noqa: E402


def test_a_handler_survives_another_file_and_is_not_called_by_a_render_thread() -> None:
    heard: list[str] = []

    @after_update
    def listen(scene: Any, depsgraph: Any) -> None:
        heard.append(scene.name)

    bpy.app.handlers.depsgraph_update_post.append(listen)
    try:
        bpy.ops.wm.read_homefile(use_empty=True)
        heard.clear()
        bpy.context.scene.name = "room"
        bpy.context.scene.update_tag()
        bpy.context.view_layer.update()
        assert set(heard) == {"room"}
        heard.clear()
        render = threading.Thread(target=listen, args=(bpy.context.scene, bpy.context.evaluated_depsgraph_get()))
        render.start()
        render.join()
        assert not heard
    finally:
        bpy.app.handlers.depsgraph_update_post.remove(listen)
