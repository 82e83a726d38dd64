"""Finds the files that a capture lists, only inside the scene folder.

A list is often older than the folder: photographs were renamed or converted, or the list was written on another machine
or for another folder. So a listed path is searched exactly first, then ignoring case, Unicode normal form and the
ending of photographs, then without its leading folders. Names are compared with the contents of folders; listed paths
are never opened directly, and links out of the scene folder are not followed.
"""

from __future__ import annotations

import os
import re
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from protocol.endings import CONVERTED_ENDINGS, PHOTOGRAPH_ENDINGS, is_one_of, without_ending
from protocol.errors import BadScene
from protocol.folder_names import folded, is_passed_over

MAX_PART, MAX_PATH = 250, 1024
"""Most bytes of one name and of a path; for longer ones the system raises an error instead of reporting no file."""

_DRIVE = re.compile(r"[A-Za-z]:|file:")


@dataclass(frozen=True)
class Entry:
    """A path as written in a file.

    Attributes:
        text: as written.
        parts: its components after the last ``..``, without a drive; at least one.
        leaves: whether it is absolute or contains ``..``, so that ``parts`` is only a suffix.
    """

    text: str
    parts: tuple[str, ...]
    leaves: bool


def read_entry(text: str, listing: Path) -> Entry:
    """Parse the path ``text`` from the file ``listing``; backslashes count as slashes.

    Raises:
        BadScene: if it names no file, or is too long for a path.
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
    """Return the error for a listed path that matches nothing inside the scene folder."""
    return BadScene(
        f"{listing} lists the path {text[:MAX_PATH]!r}, which is not inside the scene folder.",
        "Use paths relative to the scene folder.",
    )


def from_inside(sentence: str, root: Path) -> str:
    """Return a sentence with paths relative to the scene folder ``root``."""
    return sentence.replace(f"{root}/", "").replace(str(root), "the scene folder")


def is_inside(path: Path, root: Path) -> bool:
    """Whether ``path`` exists and is below ``root`` after resolving all links."""
    try:
        return path.exists() and path.resolve().is_relative_to(root.resolve())
    except (OSError, ValueError, RuntimeError):
        return False


def is_file_inside(path: Path, root: Path) -> bool:
    """Whether ``path`` is a file below ``root`` after resolving all links."""
    return is_inside(path, root) and path.is_file()


@dataclass
class Listing:
    """The contents of one folder: names of files and folders, without those that are skipped.

    Attributes:
        outside: links out of the scene folder, which are not followed.
    """

    files: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)
    by_name: dict[str, list[str]] = field(default_factory=dict)
    by_stem: dict[str, list[str]] = field(default_factory=dict)


class Names:
    """The names below a scene folder; each folder is listed once, when needed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._real = root.resolve()
        self._listings: dict[Path, Listing] = {}

    def of(self, folder: Path) -> Listing:
        """Return the contents of ``folder``; empty if it is not a folder inside the scene folder.

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
        """Return the files below ``folder``, recursively, relative to it and sorted."""
        found: list[PurePosixPath] = []
        waiting, seen = deque([folder]), set()
        while waiting:
            here = waiting.popleft()
            real = here.resolve()
            if real in seen:
                continue  # a link to a folder that was listed already
            seen.add(real)
            listing = self.of(here)
            found += [PurePosixPath((here / name).relative_to(folder).as_posix()) for name in listing.files]
            waiting += [here / name for name in listing.folders]
        return sorted(found)

    def find(self, folder: Path, parts: tuple[str, ...], *, photograph: bool) -> list[Path]:
        """Return the files below ``folder`` that match a relative path: one, or several candidates.

        Matches in order: the path itself; the path in another case or normal form; for a photograph, the same name with
        another photograph ending, also if the name has no ending; the path decoded from a URL ("a%20b.png").
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
        """Return the file with that name in ``folder``, ignoring case; None if there is none, or several."""
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
    """Return the file that the path ``text`` in ``listing`` names, relative to ``folder``; None if there is none.

    Raises:
        BadScene: if the path leaves the scene folder and no suffix of it exists there, or if it matches several files.
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
    """Return the error for a listed path that matches several files."""
    return BadScene(
        f"{listing} lists {text!r}, which matches {' or '.join(str(file) for file in files[:4])}.",
        "Keep one of these files, or list its exact name.",
    )
