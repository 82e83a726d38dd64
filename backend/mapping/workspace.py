"""A COLMAP workspace of photographs or a video: ``images/``, ``sparse/0/*.bin`` and ``poses.json``."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec
from blake3 import blake3

from backend.lock import in_use
from backend.mapping.gather import Gathered, copy_name, gather
from backend.mapping.mapper import map_photographs
from backend.progress import Progress, Stopped, silent
from protocol.errors import BadArgument, BadScene
from protocol.lists import first_of
from protocol.unposed import FEWEST, Unposed, too_few
from protocol.whole_file import write_whole

FORMAT = 1
NOTE = "poses.json"
MODEL = Path("sparse") / "0"
WORK = "work"
"""Folder in an incomplete workspace: copies for feature detection, features and matches."""
BEGUN = "begun.json"


class _Note(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``poses.json``: which photographs the poses were computed from, and the warnings."""

    format: int
    source: str
    seed: int
    given: int
    photographs: dict[str, str | None]
    warnings: list[str]


class _Begun(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``begun.json``: what the work is of, and the photographs that were copied."""

    format: int
    source: str
    seed: int
    gathered: Gathered


@dataclass(frozen=True)
class Workspace:
    """A folder that :func:`backend.scene.load_scene` reads as COLMAP's.

    Attributes:
        folder: contains ``images`` and ``sparse/0``.
        origins: for each photograph below ``images`` its path below the user's folder; None for a video frame.
        given: number of input photographs.
        warnings: sentences for the user.
    """

    folder: Path
    origins: dict[str, str | None]
    given: int
    warnings: tuple[str, ...]


class KeptPoses(Protocol):
    """A cache of workspaces, by the hash of their photographs and the seed."""

    def restore(self, source: str, seed: int, folder: Path) -> None:
        """Copy the cached workspace to ``folder``, which does not exist yet; does nothing if it is not cached."""
        ...

    def keep(self, source: str, seed: int, folder: Path) -> None:
        """Add the workspace ``folder`` to the cache; the folder is not changed."""
        ...


def make_workspace(
    source: Unposed, folder: Path, seed: int = 0, progress: Progress = silent, kept: KeptPoses | None = None
) -> Workspace:
    """Return the workspace ``folder`` of these photographs; poses are computed unless they exist already.

    The same photographs and seed give the same poses. A workspace of other photographs in ``folder`` is replaced;
    nothing is written below ``source.root``. Until the poses are complete, the work is in a hidden folder next to
    ``folder``. If the process ends before, the next call continues there, after the last matched pairs.

    Args:
        source: photographs or a video.
        folder: the workspace.
        seed: random seed.
        progress: told under the stage "poses".
        kept: a cache of workspaces, or None.

    Raises:
        BadScene: if too few photographs can be read or get a pose, or a video cannot be read.
        BadArgument: if ``folder`` is inside the folder of the photographs, contains anything else, or is being written
            by another process.
        Cancelled: if ``progress`` raises it. In every case ``folder`` is unchanged.
    """
    check_place(source, folder)
    with in_use(folder):
        return _made(source, folder, seed, progress, kept)


def _made(source: Unposed, folder: Path, seed: int, progress: Progress, kept: KeptPoses | None) -> Workspace:
    digest = _digest(source, progress)
    if kept is not None and not folder.exists():
        kept.restore(digest, seed, folder)
    known = _read_note(folder)
    if known is not None and (known.source, known.seed) == (digest, seed):
        return _workspace(folder, known)
    if known is None and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadArgument(f"The output folder {folder} contains other files.", "Choose a new or empty folder.")
    part = folder.with_name(f".{folder.name.lstrip('.')}.part")
    try:
        note = _compute(source, part, digest, seed, progress)
    except Exception as error:
        if not isinstance(error, Stopped):
            shutil.rmtree(part, ignore_errors=True)
        raise
    shutil.rmtree(part / WORK)
    (part / NOTE).write_bytes(msgspec.json.format(msgspec.json.encode(note)))
    if folder.exists():
        shutil.rmtree(folder)
    part.rename(folder)
    if kept is not None:
        kept.keep(digest, seed, folder)
    return _workspace(folder, note)


def write_workspace(source: Unposed, folder: Path, seed: int = 0, progress: Progress = silent) -> Workspace:
    """As :func:`make_workspace`, with a copy of the masks, so that the capture is self-contained."""
    made = make_workspace(source, folder, seed, progress)
    if source.entries:
        for path in source.mask_files:
            target = folder / path.relative_to(source.root)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    elif source.masks is not None:
        shutil.rmtree(folder / "masks", ignore_errors=True)
        for path in sorted(source.masks.rglob("*")):
            if path.is_file() and path.resolve().is_relative_to(source.root.resolve()):
                target = folder / "masks" / path.relative_to(source.masks)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
    return made


def check_place(source: Unposed, folder: Path) -> None:
    """Refuse a workspace in the folder of the photographs.

    Raises:
        BadArgument: with both paths.
    """
    root = source.root.resolve()
    if root.is_dir() and folder.resolve().is_relative_to(root):
        raise BadArgument(
            f"The output {folder} is inside the folder of the photographs, {source.root}.",
            "Choose a folder outside it.",
        )


def is_current(source: Unposed, folder: Path, seed: int) -> bool:
    """Whether ``folder`` is the workspace of these photographs with this seed."""
    known = _read_note(folder)
    return known is not None and (known.source, known.seed) == (_digest(source, silent), seed)


def _workspace(folder: Path, note: _Note) -> Workspace:
    return Workspace(folder, note.photographs, note.given, tuple(note.warnings))


def _read_note(folder: Path) -> _Note | None:
    """Return the note of a complete workspace; None if it is missing or has another version."""
    file = folder / NOTE
    tables = [folder / MODEL / f"{table}.bin" for table in ("cameras", "images", "points3D")]
    if not file.is_file() or not all(table.is_file() for table in tables):
        return None
    try:
        note = msgspec.json.decode(file.read_bytes(), type=_Note)
    except msgspec.DecodeError:
        return None
    is_whole = note.format == FORMAT and all((folder / "images" / name).is_file() for name in note.photographs)
    return note if is_whole else None


def _digest(source: Unposed, progress: Progress) -> str:
    """Return a hash of the names and contents of the files that poses are computed from."""
    files = [source.video] if source.video is not None else [*source.photographs, *source.masks_beside]
    hasher = blake3()
    for file in files:
        progress("poses", 0.0, "reading the photographs")
        name = file.name if file == source.root else file.relative_to(source.root).as_posix()
        hasher.update(os.fsencode(name) + b"\0")
        try:
            hasher.update(blake3().update_mmap(file).digest())
        except OSError as error:
            raise BadScene(f"{file} cannot be read: {error.strerror}.", "Check its permissions.") from error
    return hasher.hexdigest()


def _left_in(part: Path, digest: str, seed: int) -> Gathered | None:
    """Return the photographs in ``part`` from unfinished work on the same photographs with the same seed, or None."""
    with suppress(OSError, msgspec.DecodeError):
        begun = msgspec.json.decode((part / WORK / BEGUN).read_bytes(), type=_Begun)
        photographs = begun.gathered.photographs
        files = [part / "images" / photograph.name for photograph in photographs]
        files += [part / WORK / copy_name(number) for number in range(len(photographs))]
        inside = part.resolve()
        # After a power cut a file may be there without its content.
        is_whole = all(file.resolve().is_relative_to(inside) and file.stat().st_size for file in files)
        if is_whole and (begun.format, begun.source, begun.seed) == (FORMAT, digest, seed):
            return begun.gathered
    return None


def _gathered(source: Unposed, part: Path, digest: str, seed: int, progress: Progress) -> Gathered:
    """Return the photographs in ``part``, copied now or by earlier unfinished work."""
    left = _left_in(part, digest, seed)
    if left is not None:
        return left
    if part.exists():
        shutil.rmtree(part)
    images, work = part / "images", part / WORK
    images.mkdir(parents=True)
    work.mkdir()
    gathered = gather(source, images, work, progress)
    write_whole(work / BEGUN, msgspec.json.encode(_Begun(FORMAT, digest, seed, gathered)))
    return gathered


def _compute(source: Unposed, folder: Path, digest: str, seed: int, progress: Progress) -> _Note:
    refusal = source.refusal()
    if refusal is not None:
        raise refusal
    gathered = _gathered(source, folder, digest, seed, progress)
    photographs, unreadable, warnings = gathered
    given = len(photographs) + len(unreadable)
    if len(photographs) < FEWEST:
        kind = "frames" if source.video is not None else "photographs"
        raise too_few(source.root, len(photographs), kind, [path for path, _ in unreadable])
    mapped = map_photographs(
        photographs, folder / WORK, what=source.root, video=source.video is not None, seed=seed, progress=progress
    )
    (folder / MODEL).mkdir(parents=True, exist_ok=True)
    mapped.model.write_binary(folder / MODEL)
    origins = {photograph.name: photograph.origin for photograph in photographs}
    said = [*warnings]
    if unreadable:
        first, reason = unreadable[0]
        said.append(
            f"{len(unreadable)} of {given} photographs cannot be read and were skipped: "
            f"{first_of([path for path, _ in unreadable], 5)} ({first}: {reason})."
        )
    if mapped.left_out:
        left = [origins[each] or each for each in mapped.left_out]
        rest = f"; separate groups: {', '.join(map(str, mapped.others))} photographs" if mapped.others else ""
        said.append(f"{len(left)} of {given} photographs got no pose and were skipped: {first_of(left, 5)}{rest}.")
    for each in mapped.left_out:
        (folder / "images" / each).unlink()
    kept = {each: origin for each, origin in origins.items() if each not in set(mapped.left_out)}
    progress("poses", 1.0, f"{len(kept)} of {given} photographs got a pose")
    return _Note(FORMAT, digest, seed, given, kept, said)
