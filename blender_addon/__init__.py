"""SplatLift in Blender: sends captures to a server, brings the objects it finds into the scene, exports them again.

Nothing is imported before :func:`register`, so that the client in :mod:`.connection` also works where Blender is not.
"""

from contextlib import ExitStack
from importlib import import_module

MODULES = (
    "session",
    "preferences",
    "settings",
    "pump",
    "operators.connect",
    "operators.segment",
    "operators.importing",
    "operators.objects",
    "operators.export",
    "panels",
)
"""What has classes to register, in order."""


def register() -> None:
    """Register every module; where one of them fails, those before it are unregistered again."""
    with ExitStack() as undo:
        for name in MODULES:
            module = import_module(f".{name}", __package__)
            module.register()
            undo.callback(module.unregister)
        undo.pop_all()


def unregister() -> None:
    """Undo :func:`register`."""
    for name in reversed(MODULES):
        import_module(f".{name}", __package__).unregister()
