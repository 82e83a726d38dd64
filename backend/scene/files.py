"""Finds the files that a capture lists, inside the scene folder and nowhere else.

A list is often older than the folder: photographs were renamed or converted, the list was written on another machine,
or below another folder. So a listed path is searched for as it stands, then without regard to case, Unicode normal form
and the ending of photographs, then without its leading folders. Names are compared with what the folders hold; nothing
is opened by a path that a file names, and no link is followed out of the scene folder.
"""

from __future__ import annotations

import os
import re
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from protocol.capture_names import (
    CONVERTED_ENDINGS,
    PHOTOGRAPH_ENDINGS,
    folded,
    is_one_of,
    is_passed_over,
    without_ending,
)
from protocol.errors import BadScene

MAX_PART, MAX_PATH = 250, 1024
"""Bytes of one name and of a path: over longer ones the system raises instead of saying that nothing is there."""

_DRIVE = re.compile(r"[A-Za-z]:|file:")


@dataclass(frozen=True)
class Entry:
    """A path as a file lists it.

    Attributes:
        text: as listed.
        parts: its names after the last ``..``, without a drive; at least one.
        leaves: whether it is absolute or has a ``..``, so that its parts alone are not what it says.
    """

    text: str
    parts: tuple[str, ...]
    leaves: bool


def read_entry(text: str, listing: Path) -> Entry:
    """Return the path that ``text`` of the file ``listing`` is; backslashes count as slashes.

    Raises:
        BadScene: if it names nothing, or is too long for a path.
    """
    slashed = text.replace("\\", "/")
    parts = [part for part in slashed.split("/") if part not in ("", ".")]
    leaves = slashed.startswith("/") or ".." in parts
    if parts and _DRIVE.fullmatch(parts[0]):
        parts, leaves = parts[1:], True
    if ".." in parts:
        parts = parts[len(parts) - parts[::-1].index("..") :]
    sizes = [len(part.encode("utf-8", "surrogatepass")) for part in parts]
    if not sizes or max(sizes) > MAX_PART or sum(sizes) > MAX_PATH:
        raise outside(text, listing)
    return Entry(text, tuple(parts), leaves)


def outside(text: str, listing: Path) -> BadScene:
    """Return the error for a listed path that names nothing inside the scene folder."""
    return BadScene(
        f"{listing} lists the path {text[:MAX_PATH]!r}, which is not inside the scene folder.",
        "Use paths relative to the scene folder.",
    )


def from_inside(sentence: str, root: Path) -> str:
    """Return a sentence with its paths made relative to the scene folder ``root``."""
    return sentence.replace(f"{root}/", "").replace(str(root), "the scene folder")


def is_inside(path: Path, root: Path) -> bool:
    """Whether ``path`` is there and lies below ``root`` when all links are followed."""
    try:
        return path.exists() and path.resolve().is_relative_to(root.resolve())
    except (OSError, ValueError, RuntimeError):
        return False


def is_file_inside(path: Path, root: Path) -> bool:
    """Whether ``path`` is a file below ``root`` when all links are followed."""
    return is_inside(path, root) and path.is_file()


@dataclass
class Listing:
    """What one folder holds: names of its files and folders, without those that are skipped.

    Attributes:
        outside: links out of the scene folder, which are not followed.
    """

    files: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)
    by_name: dict[str, list[str]] = field(default_factory=dict)
    by_stem: dict[str, list[str]] = field(default_factory=dict)


class Names:
    """The names below a scene folder, each folder listed once, when it is asked for."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._real = root.resolve()
        self._listings: dict[Path, Listing] = {}

    def of(self, folder: Path) -> Listing:
        """Return what ``folder`` holds; nothing where it is not a folder inside the scene folder.

        Raises:
            BadScene: if it cannot be read.
        """
        if folder not in self._listings:
            self._listings[folder] = self._list(folder)
        return self._listings[folder]

    def _list(self, folder: Path) -> Listing:
        listing = Listing()
        if not folder.is_dir() or not folder.resolve().is_relative_to(self._real):
            return listing
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            raise BadScene(f"The folder {folder} cannot be read: {error.strerror}.") from error
        for entry in entries:
            if is_passed_over(entry.name):
                continue
            if entry.is_symlink() and not is_inside(Path(entry.path), self._real):
                listing.outside.append(entry.name)
            elif entry.is_dir():
                listing.folders.append(entry.name)
            elif entry.is_file():
                listing.files.append(entry.name)
                listing.by_name.setdefault(folded(entry.name), []).append(entry.name)
                stem = folded(without_ending(entry.name, PHOTOGRAPH_ENDINGS))
                if is_one_of(entry.name, PHOTOGRAPH_ENDINGS):
                    listing.by_stem.setdefault(stem, []).append(entry.name)
        return listing

    def below(self, folder: Path) -> list[PurePosixPath]:
        """Return the files below ``folder``, in its folders too, relative to it and sorted."""
        found: list[PurePosixPath] = []
        waiting, seen = deque([folder]), set()
        while waiting:
            here = waiting.popleft()
            real = here.resolve()
            if real in seen:
                continue  # a link to a folder that was looked through
            seen.add(real)
            listing = self.of(here)
            found += [PurePosixPath((here / name).relative_to(folder).as_posix()) for name in listing.files]
            waiting += [here / name for name in listing.folders]
        return sorted(found)

    def find(self, folder: Path, parts: tuple[str, ...], *, photograph: bool) -> list[Path]:
        """Return the files below ``folder`` that a relative path names: one, or several that it might mean.

        The path itself goes first, then the same path in other case or normal form, then, for a photograph, the same
        name with the ending of another photograph, which is also what a name without ending stands for, and last the
        path that it is as a URL ("a%20b.png").
        """
        plain = tuple(unquote(part) for part in parts)
        escaped = plain != parts and not any("/" in part or "\\" in part or part in (".", "..") for part in plain)
        return self._find(folder, parts, photograph) or (self._find(folder, plain, photograph) if escaped else [])

    def _find(self, folder: Path, parts: tuple[str, ...], photograph: bool) -> list[Path]:
        folders = [folder]
        for part in parts[:-1]:
            folders = [each / name for each in folders for name in self._folders(each, part)]
        last = parts[-1]
        for level in (self._exact, self._same, self._stem) if photograph else (self._exact, self._same):
            if files := [each / name for each in folders for name in level(each, last)]:
                return files
        return []

    def file(self, folder: Path, name: str) -> Path | None:
        """Return the file of that name in ``folder``, in any case; None if there is none, or several."""
        files = self.find(folder, (name,), photograph=False)
        return files[0] if len(files) == 1 else None

    def _folders(self, folder: Path, name: str) -> list[str]:
        present = self.of(folder).folders
        return [name] if name in present else [each for each in present if folded(each) == folded(name)]

    def _exact(self, folder: Path, name: str) -> list[str]:
        return [name] if name in self.of(folder).by_name.get(folded(name), ()) else []

    def _same(self, folder: Path, name: str) -> list[str]:
        return self.of(folder).by_name.get(folded(name), [])

    def _stem(self, folder: Path, name: str) -> list[str]:
        by_stem = self.of(folder).by_stem
        stem = without_ending(name, (*PHOTOGRAPH_ENDINGS, *CONVERTED_ENDINGS))
        return by_stem.get(folded(name)) or by_stem.get(folded(stem), [])


def find_listed(names: Names, folder: Path, text: str, listing: Path) -> Path | None:
    """Return the file that the path ``text`` in ``listing`` names, read from ``folder``; None if there is none.

    Raises:
        BadScene: if the path leaves the scene folder and nothing by its end lies there, or may be one of several files.
    """
    entry = read_entry(text, listing)
    for dropped in range(len(entry.parts) if entry.leaves else 1):
        files = names.find(folder, entry.parts[dropped:], photograph=False)
        if len(files) > 1:
            raise ambiguous(text, files, listing)
        if files:
            return files[0]
    if entry.leaves:
        raise outside(text, listing)
    return None


def ambiguous(text: str, files: list[Path], listing: Path) -> BadScene:
    """Return the error for a listed path that may be any of several files."""
    return BadScene(
        f"{listing} lists {text!r}, which matches {' or '.join(str(file) for file in files[:4])}.",
        "Keep one of these files, or list its exact name.",
    )
