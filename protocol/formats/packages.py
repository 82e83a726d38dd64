"""Optional packages that some formats need. Blender ships numpy, but not all of these."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

from protocol.errors import Unavailable

MODULES = {"zstandard": "zstandard", "pillow": "PIL", "usd-core": "pxr", "trimesh": "trimesh"}
"""For each package the name of its module."""


def is_there(package: str) -> bool:
    """Whether one of :data:`MODULES` is installed."""
    return find_spec(MODULES[package]) is not None


def needed(package: str, module: str, purpose: str) -> ModuleType:
    """Return a module of a package.

    Args:
        package: one of :data:`MODULES`.
        module: its full name, such as "PIL.Image".
        purpose: what needs it, such as "SPZ 4"; the error begins with it.

    Raises:
        Unavailable: if the package is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise Unavailable(
            f"{purpose} needs the package {package}, which is not installed.", f"Install it: pip install {package}."
        ) from error
