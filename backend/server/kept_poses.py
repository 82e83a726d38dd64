"""A cache of computed poses in the server's store, for later jobs with the same photographs.

The files of a workspace are stored by content, like those of scenes and results, so existing photographs take no
additional space. The store may evict them; then poses are computed again.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from protocol.coroutines import finish
from protocol.errors import Fault
from protocol.manifest import pack_manifest, scan
from protocol.store import Store, read_manifest
from protocol.whole_file import write_whole

FOLDER = "poses"
"""Folder next to the store: one file per workspace with the hash of its manifest."""


class KeptPoses:
    """Workspaces by the hash of their photographs and the seed; see :class:`backend.mapping.KeptPoses`."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.folder = store.root.parent / FOLDER

    def restore(self, source: str, seed: int, folder: Path) -> None:
        """Copy a cached workspace to ``folder``; does nothing if it is not cached, or a part of it was evicted."""
        note = self._note(source, seed)
        if not note.is_file():
            return
        try:
            self.store.checkout(read_manifest(self.store, note.read_text()), folder)
        except Fault:
            shutil.rmtree(folder, ignore_errors=True)
            note.unlink(missing_ok=True)

    def keep(self, source: str, seed: int, folder: Path) -> None:
        """Store a workspace.

        Raises:
            BadScene: if a file of it cannot be read.
        """
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        entries = finish(scan(folder, files))
        for path, entry in zip(files, entries, strict=True):
            self.store.adopt(path, entry.digest)
        manifest = self.store.put(pack_manifest(entries))
        note = self._note(source, seed)
        note.parent.mkdir(exist_ok=True)
        write_whole(note, manifest.encode())

    def _note(self, source: str, seed: int) -> Path:
        return self.folder / f"{source}-{seed}"
