"""Finds the files that a capture lists, inside its folder and nowhere else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath

from protocol.errors import BadScene

PHOTOGRAPH_ENDINGS = (".png", ".jpg", ".jpeg", ".PNG", ".JPG", ".JPEG")
MAX_PART, MAX_PATH = 250, 1024
"""Bytes of one name and of a path: over longer ones the system raises instead of saying that nothing is there."""


def inner_path(entry: str, listing: Path) -> PurePosixPath:
    """Return the relative path that ``entry`` of the file ``listing`` names; backslashes count as slashes.

    Raises:
        BadScene: if it is empty, absolute, leaves its folder, or is too long for a path.
    """
    path = PurePosixPath(entry.replace("\\", "/"))
    leaves = path.is_absolute() or PureWindowsPath(entry).drive or ".." in path.parts
    sizes = [len(part.encode("utf-8", "surrogatepass")) for part in path.parts]
    if leaves or not sizes or max(sizes) > MAX_PART or sum(sizes) > MAX_PATH:
        raise BadScene(
            f"{listing} names the file {entry[:MAX_PATH]!r}, which is no path inside the scene folder.",
            "Make its paths relative to the scene folder.",
        )
    return path


def find_photographs(
    folders: Sequence[Path], entries: Iterable[str], listing: Path
) -> tuple[dict[str, Path], tuple[str, ...]]:
    """Return where each listed photograph lies, and at most one warning, which counts those that are missing.

    Args:
        folders: where to look; the first folder that holds any of the photographs is used.
        entries: paths below that folder, as listed; an ending may be left out.
        listing: the file that lists them, for error sentences.

    Raises:
        BadScene: if an entry leaves its folder, or no photograph is found.
    """
    paths = {entry: inner_path(entry, listing) for entry in entries}
    looked = " or ".join(str(folder) for folder in folders)
    for folder in folders:
        found = {entry: file for entry, path in paths.items() if (file := _photograph(folder, path))}
        if found:
            return found, _missing([entry for entry in paths if entry not in found], len(paths), folder)
    if not paths:
        raise BadScene(f"{listing} lists no photograph with a pose.", "Check that the capture was registered.")
    raise BadScene(
        f"None of the {len(paths)} photographs that {listing} lists is in {looked} "
        f"(the first is {next(iter(paths))!r}).",
        "Put the photographs there.",
    )


def _photograph(folder: Path, path: PurePosixPath) -> Path | None:
    file = folder / path
    candidates = [file, *(file.with_name(file.name + ending) for ending in PHOTOGRAPH_ENDINGS)]
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def _missing(entries: list[str], listed: int, folder: Path) -> tuple[str, ...]:
    if not entries:
        return ()
    return (
        f"{len(entries)} of {listed} listed photographs are not in {folder} and were left out (first: {entries[0]!r}).",
    )
