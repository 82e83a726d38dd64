"""Checks COLMAP's text files line by line, because COLMAP's reader says neither the file nor the line that is wrong.

The formats are those of COLMAP's ``reconstruction_io_text``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from protocol.errors import BadScene

NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
# Possessive, "++" and "*+": to go back over a repetition, Python keeps 170 bytes for each of its turns.
_CAMERA = re.compile(rf"\d+\s+\w+\s+\d+\s+\d+(?:\s+{NUMBER})++\s*")
_IMAGE = re.compile(rf"\d+((?:\s+{NUMBER}){{4}})(?:\s+{NUMBER}){{3}}\s+(\d+)\s+\S.*")
_POINT = re.compile(rf"\d+(?:\s+{NUMBER}){{3}}(?:\s+\d+){{3}}\s+{NUMBER}(?:\s+\d+)*+\s*")
AGAIN = "Export the reconstruction again."


def check_text(folder: Path) -> None:
    """Refuse a model whose text files contain lines that COLMAP does not read, or images without a camera.

    Args:
        folder: contains ``cameras.txt`` and ``images.txt``.

    Raises:
        BadScene: with the file and the number of the line.
    """
    cameras = {line.split()[0] for _, line in _checked(folder / "cameras.txt", "a camera", _CAMERA.fullmatch)}
    listing = folder / "images.txt"
    lines = _lines(listing)
    for number, line in lines:
        if not line:
            continue
        match = _IMAGE.fullmatch(line)
        if match is None:
            raise _bad(listing, number, line, "an image with a pose")
        if not any(map(float, match[1].split())):
            raise BadScene(f"{listing}, line {number}, has a quaternion of zeros, which is not a rotation.", AGAIN)
        if match[2] not in cameras:
            raise BadScene(f"{listing}, line {number}, names the camera {match[2]}, which cameras.txt lacks.", AGAIN)
        next(lines, None)


def check_points(folder: Path) -> None:
    """As :func:`check_text` for ``points3D.txt``, which takes seconds if it is large."""
    for _ in _checked(folder / "points3D.txt", "a point", _POINT.fullmatch):
        pass


def _checked(file: Path, what: str, is_right: Callable[[str], object]) -> Iterator[tuple[int, str]]:
    for number, line in _lines(file):
        if not line:
            continue
        if not is_right(line):
            raise _bad(file, number, line, what)
        yield number, line


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    """Yield number and text of the lines of a file, without comments, and without empty lines at the beginning."""
    begun = False
    with file.open(encoding="utf-8-sig", errors="surrogateescape") as lines:
        for number, line in enumerate(lines, 1):
            if line.lstrip().startswith("#") or not (begun or line.strip()):
                continue
            begun = True
            yield number, line.strip()


def _bad(file: Path, number: int, line: str, what: str) -> BadScene:
    if "\0" in line:
        return BadScene(f"{file} is not UTF-8 text.", "Save it as UTF-8.")
    return BadScene(f"{file}, line {number}, is not {what}: {line[:60]!r}.", AGAIN)
