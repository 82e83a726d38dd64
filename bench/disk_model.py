"""A disk that loses power: what is synced stays, and of the rest any part may be there afterwards.

A :class:`Disk` takes the operations of :mod:`bench.disk_trace` one after the other. :meth:`Disk.cut` gives one of the
folders that a power cut at this moment may leave. Where a file system promises nothing, this disk is as bad as the
promise allows:

- Data that were written after the last sync of their file are lost, or there in part: the first of the writes, the last
  of these cut anywhere; or any of their sectors of 512 bytes. The rest of the file's length is zeros, or is missing.
- Names that were made, renamed or removed after the last sync of their folder are, for each folder by itself, as they
  were after any of the changes. So a new name may be there without the data, and one folder be ahead of another. A
  rename may leave both names, but never none. This is the kind "strict".
- The kind "journal" keeps the changes of all folders in order, and a sync of any file or folder writes all earlier
  ones, as ext4 and XFS do. Data are treated as above.
"""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Literal, NamedTuple

SECTOR = 512

Kind = Literal["strict", "journal"]
KINDS: tuple[Kind, ...] = ("strict", "journal")


class Make(NamedTuple):
    """A new file or folder gets a name."""

    path: str
    folder: bool = False


class Link(NamedTuple):
    """A file gets another name."""

    old: str
    new: str


class Rename(NamedTuple):
    """A file or folder gets another name in place of its old one; a file of that name goes."""

    old: str
    new: str


class Remove(NamedTuple):
    """A name goes."""

    path: str


class Write(NamedTuple):
    path: str
    offset: int
    data: bytes


class Truncate(NamedTuple):
    path: str
    size: int


class Sync(NamedTuple):
    """A sync of a file or folder has ended; it covers the operations before the one numbered ``begun``."""

    path: str
    begun: int


class Told(NamedTuple):
    """A client is about to be told something, which has to be true from now on."""

    what: dict


Operation = Make | Link | Rename | Remove | Write | Truncate | Sync | Told


@dataclass(eq=False)
class File:
    """Contents as programs see it, as it was at the last sync, and the changes since."""

    live: bytearray = field(default_factory=bytearray)
    synced: bytearray = field(default_factory=bytearray)
    changes: list[tuple[int, Write | Truncate]] = field(default_factory=list)


@dataclass(eq=False)
class Change:
    """Of a folder: a name gets a file or folder, or loses it.

    Attributes:
        number: of the operation.
        with_: of a removal by a rename to another folder, the change there.
    """

    number: int
    name: str
    node: File | Folder | None
    with_: tuple[Folder, Change] | None = None


@dataclass(eq=False)
class Folder:
    """Names as programs see them, as they were at the last sync, and the changes since."""

    live: dict[str, File | Folder] = field(default_factory=dict)
    synced: dict[str, File | Folder] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)


class Disk:
    """The files below one folder, which exists and is empty at first. Paths are relative to it, with slashes.

    Attributes:
        count: operations so far.
    """

    def __init__(self) -> None:
        self.root = Folder()
        self.count = 0
        self._journal_until = 0

    def apply(self, operation: Operation) -> None:
        """Do one operation.

        Raises:
            KeyError: if it names a file or folder that is not there.
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
        """Return what has this path now.

        Raises:
            KeyError: if nothing has.
        """
        node: File | Folder = self.root
        for name in path.split("/") if path else ():
            if not isinstance(node, Folder):
                raise KeyError(path)
            node = node.live[name]
        return node

    def exists(self, path: str) -> bool:
        try:
            self.find(path)
        except KeyError:
            return False
        return True

    def cut(self, target: Path, kind: Kind, rng: random.Random) -> None:
        """Write what is left by a power cut into the new folder ``target``."""
        keep = rng.choice((0.0, 1.0, rng.random()))
        """How much of the unsynced is kept, on the average."""
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
        """Write what programs see into the new folder ``target``."""

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
        """Return, by the id of each folder, the names in it that are on the disk."""
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
    """Whether a file that was renamed to another folder has its name there after a cut."""
    return id(arrival) in there or arrival not in target.changes


def _folders(folder: Folder) -> list[Folder]:
    """Return a folder and all below it that may be there after a cut."""
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
    """Return what of a file is on the disk after a cut."""
    changes = [change for _, change in file.changes]
    if keep == 0.0 or not changes:
        return bytes(file.synced)
    if keep == 1.0:
        return bytes(file.live)
    left = bytearray(file.synced)
    if rng.random() < 0.5:
        # In order, the last one torn.
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
    end = write.offset + len(write.data)
    edges = [write.offset, *range((write.offset // SECTOR + 1) * SECTOR, end, SECTOR), end]
    return [(begin, write.data[begin - write.offset : until - write.offset]) for begin, until in pairwise(edges)]
