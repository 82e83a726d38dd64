"""Files and folders that only the user who runs the server may read."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from protocol.synced import make_folder, sync_folder
from protocol.whole_file import whole_file

FOLDERS = frozenset({"store", "jobs", "select", "poses"})
"""Folders that a server makes in its data folder."""
FILES = frozenset({"jobs.sqlite", "files.sqlite"})
_KEYS = frozenset({"pairing.keys", "clients.json", "clients.lock", "local.token", "server.json"})
_OURS = FOLDERS | FILES | _KEYS | {"lock", "facts.log"}
_BESIDE = ("-wal", "-shm", "-journal", ".pid")


def write_private(path: Path, text: str, *, replace: bool) -> None:
    """Write a file atomically, readable by its owner only; make its folder if it is missing.

    Args:
        replace: whether an existing file is replaced.

    Raises:
        FileExistsError: if the file exists and ``replace`` is false.
        OSError: if it cannot be written.
    """
    make_folder(path.parent, 0o700)
    with whole_file(path, replace=replace) as part, open(part, "x", encoding="utf-8", opener=_for_owner) as file:
        file.write(text)
    # A power cut must neither erase a key that was shown nor restore one that was revoked.
    sync_folder(path.parent)


def _for_owner(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def readable_by_others(mode: int) -> bool:
    """Whether other users can access a file or folder of this mode. Windows uses access lists instead of modes."""
    return os.name == "posix" and bool(stat.S_IMODE(mode) & 0o077)


def make_private(data: Path) -> None:
    """Remove the rights of other users to a server's files in its data folder, and make missing folders.

    Rights to the data folder itself are removed too, unless it contains files of others, as ``/tmp`` does.

    Raises:
        OSError: if a folder cannot be made or read.
    """
    make_folder(data, 0o700)
    for name in FOLDERS:
        (data / name).mkdir(mode=0o700, exist_ok=True)
    sync_folder(data)
    entries = list(os.scandir(data))
    for entry in entries:
        if entry.name in FOLDERS and entry.is_dir(follow_symlinks=False):
            _close(Path(entry.path), 0o700)
        elif entry.is_file(follow_symlinks=False) and _base(entry.name) in FILES:
            _close(Path(entry.path), 0o600)
    if all(entry.name.startswith(".") or _base(entry.name) in _OURS for entry in entries):
        _close(data, 0o700)


def _base(name: str) -> str:
    """Return the name without an ending that a library adds for auxiliary files."""
    return next((name.removesuffix(end) for end in _BESIDE if name.endswith(end)), name)


def _close(path: Path, mode: int) -> None:
    """Remove the rights of others, if the disk has modes and this user owns the file."""
    with contextlib.suppress(PermissionError, FileNotFoundError):
        if readable_by_others(path.stat().st_mode):
            path.chmod(mode)
