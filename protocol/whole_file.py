"""Writes files that appear under their names only when they are complete."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from protocol.synced import sync_file


@contextmanager
def whole_file(path: Path, *, replace: bool = True, durable: bool = True) -> Iterator[Path]:
    """Give a temporary path next to ``path`` to write to. It is renamed to ``path`` on success and removed on failure.

    Args:
        replace: whether an existing file is replaced.
        durable: whether the content is on the disk before the file gets its name. If not, a power cut can leave a file
            without its content.

    Raises:
        FileExistsError: if the file exists and ``replace`` is false.
        OSError: if it cannot be written. An existing file stays.
    """
    # The ending stays, because some libraries choose the format by it.
    part = path.with_name(f".{path.stem}.{secrets.token_hex(4)}.part{path.suffix}")
    try:
        yield part
        if durable:
            sync_file(part)
        if replace:
            part.replace(path)
        else:
            _rename_to_new(part, path)
    finally:
        part.unlink(missing_ok=True)


def write_whole(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Write ``content`` as :func:`whole_file` does, and raise as it does."""
    with whole_file(path, durable=durable) as part:
        part.write_bytes(content)


def _rename_to_new(part: Path, path: Path) -> None:
    """Rename ``part`` to ``path``, which must not exist; unlike a rename, a hard link does not replace a file."""
    try:
        os.link(part, path)
    except FileExistsError:
        raise
    except OSError as error:  # a disk without hard links
        if path.exists():
            raise FileExistsError from error
        part.replace(path)
