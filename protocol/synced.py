"""Waits until files and their names are on the disk. A power cut can take what was only written.

A file that was synced may still lose its name: names belong to the folder, which is synced by itself.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

_CANNOT = (errno.EINVAL, errno.ENOTSUP, errno.EACCES, errno.EPERM, errno.EBADF)
"""What a disk, or a folder that this user may not read, answers that cannot be synced."""


def sync_file(path: Path) -> None:
    """Wait until the content of a file is on the disk. Does nothing to a file that Windows lets nobody write.

    Raises:
        OSError: if it cannot be written there.
    """
    try:
        # Windows syncs only what is open for writing.
        with path.open("r+b" if os.name == "nt" else "rb") as file:
            os.fsync(file.fileno())
    except PermissionError:
        if os.name != "nt":
            raise


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk. Does nothing where that cannot be asked for, as on Windows.

    Raises:
        OSError: if they cannot be written there.
    """
    if os.name == "nt":
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT:
            raise


def sync_tree(root: Path) -> None:
    """Wait until a folder and all that is in it is on the disk, and its own name too.

    Raises:
        OSError: if it cannot be written there.
    """
    for place, _, names in os.walk(root):
        for name in names:
            sync_file(Path(place, name))
        sync_folder(Path(place))
    sync_folder(root.parent)


def make_folder(folder: Path, mode: int = 0o777) -> None:
    """Make a folder, and those above it that are missing, and wait until their names are on the disk.

    Args:
        mode: of the folder itself.

    Raises:
        OSError: if it cannot be made.
    """
    if not folder.parent.is_dir():
        make_folder(folder.parent)
    folder.mkdir(mode=mode, exist_ok=True)
    sync_folder(folder.parent)
