"""Paths from outside: only those that stay inside a folder, on any system."""

from __future__ import annotations

from pathlib import PurePosixPath

from protocol.errors import BadFrames

MAX_NAME = 255
"""Bytes of one name in a path, as the usual file systems have it."""
_FORBIDDEN = frozenset('\\:*?"<>|')
_DEVICES = frozenset({"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))})
"""What Windows takes for a device, with any ending."""


def safe_path(path: str) -> PurePosixPath:
    """Return ``path`` if it names something inside a folder on any system.

    Raises:
        BadFrames: if it is absolute, leaves its folder, or holds a character that some system treats specially.
    """
    if not all(map(_safe_name, path.split("/"))):
        raise BadFrames(f"The path {path!r} in a manifest is not a path inside its folder.")
    return PurePosixPath(path)


def _safe_name(name: str) -> bool:
    if name in ("", ".", "..") or name[-1] in ". " or not name.isprintable() or _FORBIDDEN & set(name):
        return False
    return len(name.encode()) <= MAX_NAME and name.partition(".")[0].strip().lower() not in _DEVICES
