"""Records with strace how a program and its child processes change the files below a folder, and what they send.

:func:`record` runs a program under strace, and :func:`operations` reads its log as operations of
:mod:`bench.disk_model`. Writes to mapped memory are not recorded. Of SQLite's files only ``-shm`` is mapped, and SQLite
does not use its content after a power cut.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from bench.disk_model import Disk, Link, Make, Operation, Remove, Rename, Sync, Told, Truncate, Write

CALLS = (
    "open,openat,creat,write,writev,pwrite64,pwritev,pwritev2,lseek,ftruncate,truncate,fallocate,fsync,fdatasync,"
    "sync_file_range,sync,syncfs,rename,renameat,renameat2,link,linkat,symlink,symlinkat,unlink,unlinkat,rmdir,mkdir,"
    "mkdirat,copy_file_range,sendfile,sendto,sendmsg"
)
"""The recorded system calls: those that change files or folders, move the offset of an open file, or send data."""
_SPLIT = re.compile(rb"(\d+) +(.*)", re.DOTALL)
_UNFINISHED = b" <unfinished ...>"
_RESUMED = re.compile(rb"<\.\.\. \w+ resumed>(.*)", re.DOTALL)
_CALL = re.compile(rb"(\w+)\((.*)\) += (-?\d+)(?:<([^>]*)>)?", re.DOTALL)
_ARGUMENT = re.compile(rb'\s*("(?:[^"\\]|\\.)*"(?:\.\.\.)?|\[[^\]]*\]|[^,"<]*<[^>]*>|[^,]*)\s*(?:,|$)', re.DOTALL)
_VECTOR = re.compile(rb'iov_base="((?:[^"\\]|\\.)*)"')
_HEX = re.compile(rb"\\x([0-9a-f]{2})")
_DELETED = "(deleted)"


def record(command: Sequence[str], log: Path) -> int:
    """Run a program under strace until it exits; return its exit status.

    Args:
        command: the program and its arguments.
        log: the file for the log of strace.

    Raises:
        FileNotFoundError: if strace is not installed.
    """
    strace = ["strace", "-f", "-y", "-xx", "-s", str(4 << 20), "--seccomp-bpf", "-e", f"trace={CALLS}"]
    return subprocess.run([*strace, "-o", str(log), *command], check=False).returncode


def operations(lines: Sequence[bytes], root: str, told: Callable[[bytes], list[dict]]) -> Iterator[Operation]:
    """Yield the operations on files below ``root``, in the order in which they ended.

    Args:
        lines: of a log of strace.
        root: an absolute path; the paths of the operations are relative to it.
        told: returns the messages in the text of a call that sends data, as a client decodes them.

    Raises:
        ValueError: if a call changes a followed file in a way that is not supported.
    """
    reader = _Reader(root.rstrip("/") + "/")
    begun: dict[bytes, tuple[bytes, int]] = {}
    for line in lines:
        split = _SPLIT.match(line.rstrip(b"\n"))
        if split is None:
            continue
        thread, text = split[1], split[2]
        at = reader.disk.count
        if text.endswith(_UNFINISHED):
            text = text.removesuffix(_UNFINISHED)
            if text.startswith((b"sendto(", b"sendmsg(")):
                # The data may arrive before the call ends.
                yield from reader.sent(text, told)
            begun[thread] = text, at
            continue
        if (resumed := _RESUMED.match(text)) is not None:
            first, at = begun.pop(thread, (b"", at))
            if first.startswith((b"sendto(", b"sendmsg(")):
                continue
            text = first + resumed[1]
        if text.startswith((b"sendto(", b"sendmsg(")):
            yield from reader.sent(text, told)
        elif (call := _CALL.match(text)) is not None and int(call[3]) >= 0:
            yield from reader.done(call, at)


class _Reader:
    """Keeps a :class:`Disk` up to date, because after a rename a name belongs to another file."""

    def __init__(self, root: str) -> None:
        self.disk = Disk()
        self._root = root
        self._offsets: dict[tuple[int, bytes], int] = {}

    def sent(self, text: bytes, told: Callable[[bytes], list[dict]]) -> Iterator[Operation]:
        for what in told(_plain(text)):
            yield self._do(Told(what))

    def done(self, call: re.Match[bytes], at: int) -> Iterator[Operation]:
        """Yield the operations of a successful call.

        Args:
            at: number of operations before the call began.
        """
        name, result = call[1].decode(), int(call[3])
        arguments = [each[1] for each in _ARGUMENT.finditer(call[2])]
        for operation in self._operations(name, arguments, result, call[4], at):
            yield self._do(operation)

    def _do(self, operation: Operation) -> Operation:
        self.disk.apply(operation)
        return operation

    def _operations(
        self, name: str, arguments: list[bytes], result: int, opened: bytes | None, at: int
    ) -> Iterator[Operation]:
        match name:
            case "open" | "openat" | "creat":
                yield from self._open(name, arguments, result)
            case "mkdir" | "mkdirat":
                if (path := self._named(arguments, name == "mkdirat")) is not None:
                    yield Make(path, folder=True)
            case "unlink" | "rmdir" | "unlinkat":
                if (path := self._named(arguments, name == "unlinkat")) is not None:
                    yield Remove(path)
            case "rename" | "renameat" | "renameat2" | "link" | "linkat":
                yield from self._two_names(name, arguments)
            case "write" | "pwrite64" | "writev" | "ftruncate" | "fsync" | "fdatasync" | "lseek":
                if (path := self._held(arguments[0])) is not None:
                    yield from self._to_open_file(name, path, arguments, result, at)
            case "truncate":
                if (path := self._named(arguments, False)) is not None:
                    yield Truncate(path, int(arguments[1]))
            case _:
                if any(self._held(each) is not None for each in arguments) or "symlink" in name or name == "sync":
                    raise ValueError(f"{name} of a followed file")

    def _open(self, name: str, arguments: list[bytes], result: int) -> Iterator[Operation]:
        path = self._named(arguments, name == "openat")
        if path is None:
            return
        flags = arguments[2 if name == "openat" else 1].split(b"|") if name != "creat" else [b"O_CREAT", b"O_TRUNC"]
        if not self.disk.exists(path):
            if b"O_CREAT" not in flags:
                raise ValueError(f"{path} was opened but never made")
            yield Make(path)
        elif b"O_TRUNC" in flags:
            yield Truncate(path, 0)
        number = str(result).encode()
        self._offsets[id(self.disk.find(path)), number] = -1 if b"O_APPEND" in flags else 0

    def _two_names(self, name: str, arguments: list[bytes]) -> Iterator[Operation]:
        at = "at" in name
        old = self._named(arguments, at)
        new = self._named(arguments[2:] if at else arguments[1:], at)
        if old is None and new is None:
            return
        if old is None or new is None:
            raise ValueError(f"{name} into or out of the folder that is followed")
        yield Link(old, new) if name.startswith("link") else Rename(old, new)

    def _to_open_file(self, name: str, path: str, arguments: list[bytes], result: int, at: int) -> Iterator[Operation]:
        node = self.disk.find(path)
        key = (id(node), arguments[0].partition(b"<")[0])
        if name in ("fsync", "fdatasync"):
            yield Sync(path, at)
        elif name == "lseek":
            if self._offsets.get(key) != -1:
                self._offsets[key] = result
        elif name == "ftruncate":
            yield Truncate(path, int(arguments[1]))
        elif name == "pwrite64":
            yield Write(path, int(arguments[3]), _plain(arguments[1])[1:-1][:result])
        else:
            data = (
                _plain(arguments[1])[1:-1] if name == "write" else b"".join(map(_plain, _VECTOR.findall(arguments[1])))
            )
            offset = self._offsets.get(key, -1)
            if offset == -1:
                offset = len(getattr(node, "live", b""))
            else:
                self._offsets[key] = offset + result
            yield Write(path, offset, data[:result])

    def _named(self, arguments: list[bytes], at: bool) -> str | None:
        """Return the path in the first arguments, relative to the root; None if it is outside.

        Args:
            at: whether the first argument is a folder, as in ``openat``.
        """
        text = _plain(arguments[1 if at else 0])[1:-1].decode(errors="surrogateescape")
        if at and not text.startswith("/"):
            folder = _plain(arguments[0]).decode(errors="surrogateescape")
            text = f"{folder.partition('<')[2].rstrip('>')}/{text}"
        return self._below(text)

    def _held(self, argument: bytes) -> str | None:
        """Return the path of an open file, relative to the root; None if it is outside or deleted."""
        text = _plain(argument).decode(errors="surrogateescape").partition("<")[2].rstrip(">")
        return None if text.endswith(_DELETED) else self._below(text)

    def _below(self, path: str) -> str | None:
        """Return an absolute path relative to the root; None if it is outside."""
        path = path.rstrip("/") + "/"
        return path.removeprefix(self._root).rstrip("/") if path.startswith(self._root) else None


def _plain(text: bytes) -> bytes:
    """Return text of strace with its hexadecimal numbers as bytes."""
    return _HEX.sub(lambda found: bytes.fromhex(found[1].decode()), text)
