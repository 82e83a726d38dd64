"""Atomic replacement of a folder: nothing appears under its final name before it is complete."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from protocol.errors import BadArgument
from protocol.result.names import TABLE


def check_out(out: Path) -> None:
    """Refuse an output folder with other content, before any work is done.

    Raises:
        BadArgument: if ``out`` is a file, or a folder that contains anything but an earlier result.
    """
    if out.exists() and not out.is_dir():
        raise BadArgument(f"The output {out} is a file.", "Choose a folder that does not exist yet.")
    if out.is_dir() and any(out.iterdir()) and not (out / TABLE).is_file():
        raise BadArgument(
            f"The output folder {out} contains files that were not written by a segmentation.",
            "Choose a new or empty folder.",
        )


@contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """Give an empty folder to write into. It becomes ``out`` on success and is removed on failure.

    It is a sibling of ``out``. An existing folder is replaced by two renames; if the second fails, the first is undone.
    Whatever fails, ``out`` is complete.

    Raises:
        OSError: if the disk fails.
    """
    out = out.absolute()
    out.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".part", dir=out.parent))
    part.chmod(0o755)
    try:
        yield part
        _take_the_place_of(out, part)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _take_the_place_of(out: Path, part: Path) -> None:
    """Rename ``part`` to ``out`` and remove the folder that had this name."""
    if not out.exists():
        part.rename(out)
        return
    old = part.with_suffix(".old")
    out.rename(old)
    try:
        part.rename(out)
    except OSError:
        old.rename(out)
        raise
    try:
        shutil.rmtree(old)
    except OSError as error:
        warnings.warn(f"The old folder {old} cannot be removed: {error.strerror}. Delete it by hand.", stacklevel=2)
