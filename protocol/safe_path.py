"""Validation of paths from outside: only paths that stay inside a folder on every system are accepted."""

from __future__ import annotations

from pathlib import PurePosixPath

from protocol.errors import BadFrames

MAX_NAME = 255
"""Most bytes of one path component on common file systems."""
_FORBIDDEN = frozenset('\\:*?"<>|')
_DEVICES = frozenset(
    {
        *("con", "prn", "aux", "nul", "conin$", "conout$"),
        *(f"{port}{digit}" for port in ("com", "lpt") for digit in "0123456789\u00b9\u00b2\u00b3"),
    }
)
"""Names that Windows reserves for devices, with any ending."""


def safe_path(path: str) -> PurePosixPath:
    """Return ``path`` if it stays inside a folder on every system.

    Raises:
        BadFrames: if it is absolute, leaves its folder, or contains a character that some system treats specially.
    """
    if not all(map(_safe_name, path.split("/"))):
        raise BadFrames(f"The path {path!r} in a manifest is not a path inside its folder.")
    return PurePosixPath(path)


def _safe_name(name: str) -> bool:
    if name in ("", ".", "..") or name[-1] in ". " or not name.isprintable() or _FORBIDDEN & set(name):
        return False
    return len(name.encode()) <= MAX_NAME and name.partition(".")[0].strip().lower() not in _DEVICES
