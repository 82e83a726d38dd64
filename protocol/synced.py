"""Waits until files and their names are on the disk. A power cut can erase data that were written but not synced.

A synced file may still lose its name, because names belong to the folder, which is synced separately.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

_CANNOT = (errno.EINVAL, errno.ENOTSUP, errno.EACCES, errno.EPERM, errno.EBADF)
"""Errors of disks that cannot sync folders, and of folders that this user may not read."""


def sync_file(path: Path) -> None:
    """Wait until the content of a file is on the disk. On Windows, read-only files are not synced.

    Raises:
        OSError: if the disk fails.
    """
    try:
        # Windows syncs only files that are open for writing.
        with path.open("r+b" if os.name == "nt" else "rb") as file:
            os.fsync(file.fileno())
    except PermissionError:
        if os.name != "nt":
            raise


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk. Does nothing on systems without this call, such as Windows.

    Raises:
        OSError: if the disk fails.
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
    """Wait until a folder, its name and its contents are on the disk.

    Raises:
        OSError: if the disk fails.
    """
    for place, _, names in os.walk(root):
        for name in names:
            sync_file(Path(place, name))
        sync_folder(Path(place))
    sync_folder(root.parent)


def make_folder(folder: Path, mode: int = 0o777) -> None:
    """Make a folder and its missing parents, and wait until their names are on the disk.

    Args:
        mode: of the folder itself.

    Raises:
        OSError: if it cannot be made.
    """
    if not folder.parent.is_dir():
        make_folder(folder.parent)
    folder.mkdir(mode=mode, exist_ok=True)
    sync_folder(folder.parent)
