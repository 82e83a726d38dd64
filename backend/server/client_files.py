"""The store as one client sees it: files of other clients do not exist in it."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from backend.server.owners import Owners
from protocol.store import Store

_DIGITS = 64
"""Characters of a hash."""


class ClientFiles:
    """The store as one client sees it; a :class:`protocol.pull.Receiver`.

    Partial files are separate for each client. Otherwise a client could complete another's file, and so own it, without
    knowing all of its content.
    """

    def __init__(self, store: Store, owners: Owners, client: str) -> None:
        self.root = store.root
        self.durable = store.durable
        self.writers = store.writers
        self.client = client
        self._store = store
        self._owners = owners

    def has(self, digest: str, size: int | None = None) -> bool:
        return self._owners.has(self.client, digest) and self._store.has(digest, size)

    def part(self, digest: str) -> Path:
        return self.root / f"{self._store.path(digest).name}.{self.client}.part"

    def complete(self, digest: str) -> None:
        part = self.part(digest)
        size = part.stat().st_size
        self._store.complete(digest, part)
        self._owners.add(self.client, digest, size)

    def trim_parts(self, room: int, kept: Collection[str]) -> int:
        """Remove partial files of interrupted uploads, the oldest first, until all partial files fit into ``room``.

        Args:
            room: bytes.
            kept: hashes of files that will be uploaded now; their partial files stay and are not counted.

        Returns:
            The bytes of the remaining partial files.
        """
        parts = []
        for path in self.root.glob(f"{'?' * _DIGITS}.{self.client}.part"):
            with suppress(FileNotFoundError):
                if path.name[:_DIGITS] not in kept:
                    status = path.stat()
                    parts.append((status.st_mtime, status.st_size, path))
        held = sum(size for _, size, _ in parts)
        for _, size, path in sorted(parts):
            if held <= room:
                break
            if path.stem not in self.writers:
                path.unlink(missing_ok=True)
                held -= size
        return held

    def free_bytes(self) -> int:
        return self._store.free_bytes()
