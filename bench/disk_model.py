"""A model of a disk that loses power: synced data stay, and any part of the other data may be left.

A :class:`Disk` applies the operations of :mod:`bench.disk_trace` in order. :meth:`Disk.cut` writes one of the folders
that a power cut at this moment may leave. Where file systems guarantee nothing, the model assumes the worst:

- Data that were written after the last sync of their file are lost or kept in part: either the first writes, with the
  last of them cut at any byte, or any sectors of 512 bytes. The rest of the file is zeros or missing.
- Names that were made, renamed or removed after the last sync of their folder are in the state after any of these
  changes, for each folder separately. So a new name may exist without its data, and one folder may be ahead of another.
  A rename may leave both names, but always leaves one. This is the kind "strict".
- The kind "journal" keeps the changes of all folders in order, and a sync of any file or folder writes all earlier
  changes, as ext4 and XFS do. Data are treated as in "strict".
"""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Literal, NamedTuple

SECTOR = 512
"""Bytes that a disk writes completely or not at all."""

Kind = Literal["strict", "journal"]
KINDS: tuple[Kind, ...] = ("strict", "journal")


class Make(NamedTuple):
    """A file or folder is made. All paths of operations are as for :class:`Disk`."""

    path: str
    folder: bool = False


class Link(NamedTuple):
    """A file gets a second name: a hard link."""

    old: str
    new: str


class Rename(NamedTuple):
    """A file or folder changes its name, and replaces a file that has the new name."""

    old: str
    new: str


class Remove(NamedTuple):
    """A file, a name of a file, or an empty folder is removed."""

    path: str


class Write(NamedTuple):
    """Bytes are written to a file; a gap before ``offset`` is filled with zeros."""

    path: str
    offset: int
    data: bytes


class Truncate(NamedTuple):
    """A file is cut or extended with zeros to ``size`` bytes."""

    path: str
    size: int


class Sync(NamedTuple):
    """A sync of a file or folder has ended. It covers the operations with numbers below ``begun``."""

    path: str
    begun: int


class Told(NamedTuple):
    """The server sends a client a message, whose content must hold after any later power cut."""

    what: dict


Operation = Make | Link | Rename | Remove | Write | Truncate | Sync | Told


@dataclass(eq=False)
class File:
    """The content of a file.

    Attributes:
        live: as programs see it.
        synced: as of the last sync.
        changes: those since the last sync, each with the number of its operation.
    """

    live: bytearray = field(default_factory=bytearray)
    synced: bytearray = field(default_factory=bytearray)
    changes: list[tuple[int, Write | Truncate]] = field(default_factory=list)


@dataclass(eq=False)
class Change:
    """A change of one name in a folder.

    Attributes:
        number: of the operation.
        name: the name.
        node: the file or folder that has the name afterwards; None if it was removed.
        with_: for a removal by a rename to another folder, that folder and the change there.
    """

    number: int
    name: str
    node: File | Folder | None
    with_: tuple[Folder, Change] | None = None


@dataclass(eq=False)
class Folder:
    """The names in a folder.

    Attributes:
        live: as programs see them.
        synced: as of the last sync.
        changes: those since the last sync, oldest first.
    """

    live: dict[str, File | Folder] = field(default_factory=dict)
    synced: dict[str, File | Folder] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)


class Disk:
    """The files below one folder, which is empty at first. Paths are relative to it, with forward slashes.

    Attributes:
        root: the folder.
        count: number of applied operations.
    """

    def __init__(self) -> None:
        self.root = Folder()
        self.count = 0
        self._journal_until = 0

    def apply(self, operation: Operation) -> None:
        """Apply one operation.

        Raises:
            KeyError: if it names a file or folder that does not exist.
        """
        match operation:
            case Make(path, folder):
                self._set(path, Folder() if folder else File())
            case Link(old, new):
                self._set(new, self.find(old))
            case Rename(old, new):
                self._rename(old, new)
            case Remove(path):
                parent, name = self._place(path)
                del parent.live[name]
                parent.changes.append(Change(self.count, name, None))
            case Write(path):
                file = self._file(path)
                _write(file.live, operation)
                file.changes.append((self.count, operation))
            case Truncate(path):
                file = self._file(path)
                _write(file.live, operation)
                file.changes.append((self.count, operation))
            case Sync(path, begun):
                self._sync(self.find(path), begun)
            case Told():
                pass
        self.count += 1

    def find(self, path: str) -> File | Folder:
        """Return the file or folder that programs see at this path.

        Raises:
            KeyError: if there is none.
        """
        node: File | Folder = self.root
        for name in path.split("/") if path else ():
            if not isinstance(node, Folder):
                raise KeyError(path)
            node = node.live[name]
        return node

    def exists(self, path: str) -> bool:
        """Whether programs see a file or folder at this path."""
        try:
            self.find(path)
        except KeyError:
            return False
        return True

    def cut(self, target: Path, kind: Kind, rng: random.Random) -> None:
        """Write a folder that a power cut now may leave.

        Args:
            target: the folder to make; its parent exists.
            kind: of the file system.
            rng: chooses which changes are kept.
        """
        keep = rng.choice((0.0, 1.0, rng.random()))  # mean share of the unsynced changes that are kept
        last = rng.randint(self._journal_until, self.count) if kind == "journal" else 0
        if kind == "journal" and keep in (0.0, 1.0):
            last = self.count if keep else self._journal_until
        folders = self._names_after_cut(kind, last, keep, rng)
        contents: dict[int, Path] = {}

        def lay_out(folder: Folder, place: Path) -> None:
            place.mkdir(mode=0o700)
            for name, node in sorted(folders[id(folder)].items()):
                if isinstance(node, Folder):
                    lay_out(node, place / name)
                elif id(node) in contents:
                    os.link(contents[id(node)], place / name)
                else:
                    contents[id(node)] = place / name
                    (place / name).write_bytes(_after_cut(node, keep, rng))
                    (place / name).chmod(0o600)

        lay_out(self.root, target)

    def whole(self, target: Path) -> None:
        """Write what programs see into ``target``, a folder to make."""

        def lay_out(folder: Folder, place: Path) -> None:
            place.mkdir()
            for name, node in folder.live.items():
                if isinstance(node, Folder):
                    lay_out(node, place / name)
                else:
                    (place / name).write_bytes(node.live)

        lay_out(self.root, target)

    def _names_after_cut(
        self, kind: Kind, last: int, keep: float, rng: random.Random
    ) -> dict[int, dict[str, File | Folder]]:
        """Return the names on the disk after a cut, for each folder by its Python id; arguments as of :meth:`cut`.

        Args:
            last: for "journal", the number of the first operation that is lost.
            keep: mean share of the unsynced changes that are kept.
        """
        folders = list(_folders(self.root))
        kept: dict[int, int] = {}
        for folder in folders:
            if kind == "journal":
                kept[id(folder)] = sum(change.number < last for change in folder.changes)
            else:
                most = len(folder.changes)
                kept[id(folder)] = round(keep * most) if keep in (0.0, 1.0) else rng.randint(0, most)
        there = {id(change) for folder in folders for change in folder.changes[: kept[id(folder)]]}
        names: dict[int, dict[str, File | Folder]] = {}
        for folder in folders:
            names[id(folder)] = after = dict(folder.synced)
            for change in folder.changes[: kept[id(folder)]]:
                if change.node is not None:
                    after[change.name] = change.node
                elif change.with_ is None or _arrived(*change.with_, there):
                    after.pop(change.name, None)
        return names

    def _set(self, path: str, node: File | Folder) -> Change:
        parent, name = self._place(path)
        parent.live[name] = node
        change = Change(self.count, name, node)
        parent.changes.append(change)
        return change

    def _rename(self, old: str, new: str) -> None:
        node = self.find(old)
        source, name = self._place(old)
        target, _ = self._place(new)
        if target.live.get(new.rpartition("/")[2]) is node:
            return  # two names of one file: POSIX does nothing
        arrival = self._set(new, node)
        del source.live[name]
        leaving = Change(self.count, name, None)
        if target is not source:
            leaving.with_ = (target, arrival)
        source.changes.append(leaving)

    def _place(self, path: str) -> tuple[Folder, str]:
        above, _, name = path.rpartition("/")
        parent = self.find(above)
        if not isinstance(parent, Folder):
            raise KeyError(path)
        return parent, name

    def _file(self, path: str) -> File:
        file = self.find(path)
        if not isinstance(file, File):
            raise KeyError(path)
        return file

    def _sync(self, node: File | Folder, begun: int) -> None:
        self._journal_until = max(self._journal_until, begun)
        if isinstance(node, File):
            for number, change in node.changes:
                if number < begun:
                    _write(node.synced, change)
            node.changes = [each for each in node.changes if each[0] >= begun]
        else:
            self._sync_names(node, begun)

    def _sync_names(self, folder: Folder, begun: int) -> None:
        due = [change for change in folder.changes if change.number < begun]
        folder.changes = folder.changes[len(due) :]
        for change in due:
            if change.node is not None:
                folder.synced[change.name] = change.node
                continue
            folder.synced.pop(change.name, None)
            if change.with_ is not None:
                target, arrival = change.with_
                if arrival in target.changes:  # no file system loses a file by a rename
                    self._sync_names(target, arrival.number + 1)


def _arrived(target: Folder, arrival: Change, there: set[int]) -> bool:
    """Whether a file that was renamed to another folder has its new name after a cut.

    Args:
        there: ids of the unsynced changes that are kept.
    """
    return id(arrival) in there or arrival not in target.changes


def _folders(folder: Folder) -> list[Folder]:
    """Return a folder and all folders below it that may exist after a cut."""
    below = [*folder.synced.values(), *(change.node for change in folder.changes)]
    found = {id(each): each for each in below if isinstance(each, Folder)}
    return [folder, *(deeper for each in found.values() for deeper in _folders(each))]


def _write(content: bytearray, change: Write | Truncate) -> None:
    size = change.size if isinstance(change, Truncate) else change.offset
    if len(content) < size:
        content.extend(bytes(size - len(content)))
    if isinstance(change, Truncate):
        del content[size:]
    else:
        content[size : size + len(change.data)] = change.data


def _after_cut(file: File, keep: float, rng: random.Random) -> bytes:
    """Return the content of a file after a cut; ``keep`` is the mean share of the unsynced changes that are kept."""
    changes = [change for _, change in file.changes]
    if keep == 0.0 or not changes:
        return bytes(file.synced)
    if keep == 1.0:
        return bytes(file.live)
    left = bytearray(file.synced)
    if rng.random() < 0.5:
        # The first changes are kept, the last of them in part.
        count = rng.randint(0, len(changes) - 1)
        for change in changes[:count]:
            _write(left, change)
        torn = changes[count]
        if isinstance(torn, Write):
            _write(left, torn._replace(data=torn.data[: rng.randint(0, len(torn.data))]))
        return bytes(left)
    for change in changes:
        if isinstance(change, Truncate):
            if rng.random() < keep:
                _write(left, change)
            continue
        for offset, data in _sectors(change):
            if rng.random() < keep:
                _write(left, Write("", offset, data))
    if rng.random() < 0.5:
        _write(left, Truncate("", max(len(left), len(file.live))))  # the length was kept, and zeros for the rest
    return bytes(left)


def _sectors(write: Write) -> list[tuple[int, bytes]]:
    """Return the offset and the bytes of each sector of a write."""
    end = write.offset + len(write.data)
    edges = [write.offset, *range((write.offset // SECTOR + 1) * SECTOR, end, SECTOR), end]
    return [(begin, write.data[begin - write.offset : until - write.offset]) for begin, until in pairwise(edges)]
