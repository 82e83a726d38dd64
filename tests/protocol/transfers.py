"""Contents of files, and the two sides of a transfer, for the tests."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path

from blake3 import blake3

from protocol.coroutines import finish
from protocol.messages import FileEntry, Get
from protocol.pull import WINDOW, Pull, Receiver
from protocol.store import Store


def hash_of(data: bytes) -> str:
    return blake3(data).hexdigest()


def entry(data: bytes, path: str = "a.bin") -> FileEntry:
    return FileEntry(path, len(data), hash_of(data))


def noise(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)


class Sender:
    """The other side: answers ranges, and counts the bytes it was asked for."""

    def __init__(self, *files: bytes) -> None:
        self.files = {hash_of(data): data for data in files}
        self.asked: list[Get] = []

    def chunk(self, get: Get) -> bytes:
        self.asked.append(get)
        return self.files[get.digest][get.offset : get.offset + get.length]

    @property
    def bytes_sent(self) -> int:
        return sum(get.length for get in self.asked)


def pulling(store: Receiver, entries: Iterable[FileEntry], window: int = WINDOW) -> Pull:
    """Make a pull of what the store lacks of ``entries``."""
    return finish(Pull.preparing(store, entries, window))


def run(pull: Pull, sender: Sender, chunks: int = 10**9) -> None:
    """Move ``pull`` on until it is done, or that many chunks have arrived."""
    waiting: list[Get] = []
    while not pull.done:
        waiting += pull.requests()
        assert len(waiting) <= pull.window
        assert waiting or pull.done, "the pull neither asks for anything nor is done"
        for get in waiting:
            if not chunks:
                return
            pull.accept(get.digest, get.offset, sender.chunk(get))
            chunks -= 1
        waiting = []


def names(store: Store) -> set[str]:
    """Every file of the store, whole or not."""
    return {path.name for path in store.root.rglob("*") if path.is_file()}


def lay(folder: Path, files: Iterable[tuple[str, bytes]]) -> list[Path]:
    paths = [folder / name for name, _ in files]
    for path, (_, data) in zip(paths, files, strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return paths
