"""SplatLift in Blender: sends captures to a server, imports the objects that it finds, and exports them again.

Nothing is imported before :func:`register`, so that the client in :mod:`.client` also works without Blender.
"""

import atexit
from contextlib import ExitStack
from importlib import import_module

MODULES = (
    "session",
    "preferences",
    "settings",
    "following",
    "timer",
    "native_moves",
    "viewport.handler",
    "picking.prepared",
    "operators.connect",
    "operators.segment",
    "operators.importing",
    "operators.look",
    "operators.startup",
    "undoing",
    "operators.click",
    "operators.check",
    "operators.measure",
    "operators.objects",
    "operators.export",
    "operators.correcting",
    "operators.search",
    "operators.naming",
    "operators.edit_objects",
    "operators.edit_gaussians",
    "operators.edit_cleanup",
    "operators.edit_shape",
    "operators.edit_selection",
    "operators.edit_save",
    "panels",
    "panels_select",
    "panels_check",
    "panels_edit",
    "panels_result",
    "panels_words",
)
"""Modules with classes to register, in order."""


_registered = ExitStack()
"""What undoes each module's registration, the last module first."""


def register() -> None:
    """Register every module; if one fails, those before it are unregistered again."""
    with ExitStack() as undo:
        for name in MODULES:
            module = import_module(f".{name}", __package__)
            module.register()
            undo.callback(module.unregister)
        _registered.push(undo.pop_all())
    # The bpy modules of 4.2 and 4.5 crash or hang at exit if classes are still registered; Blender itself unregisters.
    if not import_module("bpy").app.binary_path:
        atexit.register(unregister)


def unregister() -> None:
    """Undo :func:`register`; without effect when that is already undone, as at exit, where Blender asks as well."""
    atexit.unregister(unregister)
    _registered.close()
