"""The folder of masks that a model makes: one file per photograph, and a hidden note about their origin.

A file appears under its name when it is complete. The note records the model, the settings and the photographs, so that
the same command resumes, and a different one is refused.
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
from blake3 import blake3

from backend.scene.rle import read_rle
from backend.segmenter.mask_records import MaskRecord
from backend.segmenter.prepare import Size
from protocol.errors import BadArgument, BadMask, Unavailable
from protocol.whole_file import write_whole

NOTE = ".made-by-model.json"
"""Hidden, so that readers of masks skip it."""
FORMAT = 1
MAX_NOTE = 16 << 20


class Maker(msgspec.Struct, frozen=True):
    """The origin of masks; equal values make equal masks.

    Attributes:
        model: its name.
        bytes: of its weights.
        per_side: points along a side.
    """

    model: str
    bytes: int
    per_side: int


class _Note(msgspec.Struct):
    """``digests`` are hashes of the photographs' files, by view name."""

    format: int
    maker: Maker
    licence: str
    digests: dict[str, str] = {}


@dataclass
class MaskFolder:
    """A folder to write masks into, returned by :func:`open_folder`."""

    path: Path
    note: _Note

    def file(self, view: str) -> Path:
        return self.path / f"{view}.json"

    def is_done(self, view: str, photograph: str, size: Size) -> bool:
        """Whether the file of a view is complete, for this photograph and masks of this height and width."""
        if self.note.digests.get(view) != photograph or not self.file(view).is_file():
            return False
        try:
            masks = read_rle(self.file(view))
        except (BadMask, ValueError, OSError):
            return False
        return all((mask.height, mask.width) == size for mask in masks)

    def write(self, view: str, photograph: str, masks: Sequence[MaskRecord]) -> None:
        """Write the masks of a view.

        Args:
            view: its name.
            photograph: the hash of the photograph's file.
            masks: may be empty.

            Raises:
                Unavailable: if the disk is full or fails; earlier files are kept.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            write_whole(self.file(view), msgspec.json.encode(list(masks)))
            self.note.digests[view] = photograph
            write_whole(self.path / NOTE, msgspec.json.encode(self.note))
        except OSError as error:
            self.note.digests.pop(view, None)
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            raise Unavailable(
                f"The masks of {view} cannot be written to {self.path}: "
                f"{'no space is left on the disk' if full else error.strerror}.",
                "Free some space and run the same command again; finished masks are kept."
                if full
                else "Check its permissions, or choose another folder with --out.",
            ) from error


def open_folder(path: Path, maker: Maker, licence: str) -> MaskFolder:
    """Return the folder to write into; nothing is written yet.

    Raises:
        BadArgument: if it is a file, or contains anything else, or masks of another model or other settings.
    """
    if path.exists() and not path.is_dir():
        raise BadArgument(f"The mask folder {path} is a file.", "Choose another folder with --out.")
    note = read_note(path)
    if note is not None and note.maker == maker:
        return MaskFolder(path, note)
    if note is not None:
        raise BadArgument(
            f"The masks in {path} were made by {note.maker.model} with {note.maker.per_side} points per side.",
            "Choose another folder with --out, or delete this one.",
        )
    if path.is_dir() and any(path.iterdir()):
        raise BadArgument(
            f"The folder {path} contains files that were not written by backend masks.",
            "Choose another folder with --out, or delete this one.",
        )
    return MaskFolder(path, _Note(FORMAT, maker, licence))


def continue_in(working: Path, earlier: Path, maker: Maker) -> None:
    """Prepare ``working`` for resuming: keep it if ``maker`` made it, else copy ``earlier``, else make it empty.

    Args:
        working: an internal folder; files of another maker are removed.
        earlier: masks of an earlier result, which are not changed.
        maker: of the masks to make.
    """
    note = read_note(working)
    if note is not None and note.maker == maker:
        return
    if working.exists():
        shutil.rmtree(working)
    before = read_note(earlier)
    if before is not None and before.maker == maker:
        shutil.copytree(earlier, working)


def read_note(path: Path) -> _Note | None:
    """Return the note of a folder of masks; None if there is no readable one."""
    file = path / NOTE
    if not file.is_file() or file.stat().st_size > MAX_NOTE:
        return None
    try:
        note = msgspec.json.decode(file.read_bytes(), type=_Note)
    except (msgspec.DecodeError, OSError):
        return None
    return note if note.format == FORMAT else None


def digest_of(photograph: Path) -> str:
    """Return a hash of a photograph's file.

    Raises:
        OSError: if it cannot be read.
    """
    return blake3(photograph.read_bytes()).hexdigest()
