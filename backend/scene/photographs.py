"""Finds the photographs of a capture: their folder, and in it the file of each listed path."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from backend.scene.files import Entry, Names, ambiguous, outside, read_entry
from protocol.endings import ARCHIVE_ENDINGS, CONVERTED_ENDINGS, PHOTOGRAPH_ENDINGS, is_one_of, without_ending
from protocol.errors import BadScene
from protocol.folder_names import PHOTOGRAPH_FOLDERS, folded, names_among, says_masks, says_photographs


class NoPhotographs(BadScene):
    """The photographs of the cameras do not exist."""


@dataclass(frozen=True)
class Found:
    """The files of the listed photographs.

    Attributes:
        files: by listed path.
        others: unlisted photographs in the same folder.
        absent: names of missing photographs.
        warnings: sentences about missing photographs and other names.
    """

    files: dict[str, Path]
    others: tuple[Path, ...]
    absent: tuple[str, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class _Match:
    """The candidate files of an entry, and whether they match exactly."""

    files: list[Path]
    literal: bool


def find_photographs(names: Names, place: Path, entries: Iterable[str], listing: Path, *, here: bool) -> Found:
    """Return the file of each listed photograph.

    The usual folders of photographs (``images``, ``input``) are searched, else scaled copies (``images_4``), next to
    the cameras and then in each folder above up to the scene folder. Among equal folders the one with the most of them
    is used; all photographs come from one folder.

    Args:
        names: of the scene folder.
        place: the folder of the cameras, the scene folder or a subfolder.
        entries: listed paths; an ending may be missing.
        listing: the file that lists them, for error messages.
        here: whether the paths are relative to ``place``, not to the folder of photographs.

    Raises:
        NoPhotographs: if none is found.
        BadScene: if a path matches several files, or nothing inside the scene folder.
    """
    paths = {text: read_entry(text, listing) for text in entries}
    if not paths:
        raise BadScene(f"{listing} lists no photograph with a pose.", "Check that the capture was registered.")
    looked: list[Path] = []
    for group in _folders(names, place, here):
        looked += group
        tried = [_in_folder(names, folder, paths, deep=not _is_above(folder, place)) for folder in group]
        best = max(range(len(group)), key=lambda i: _merit(tried[i]), default=None)
        if best is not None and tried[best]:
            return _settled(names, group[best], tried[best], paths, listing, place, here)
    raise _none(names, paths, looked, listing, place)


def _merit(found: dict[str, _Match]) -> tuple[int, int]:
    return len(found), sum(match.literal for match in found.values())


def _is_above(folder: Path, place: Path) -> bool:
    """Whether ``folder`` is ``place`` or contains it, at any depth."""
    return folder == place or folder in place.parents


def _folders(names: Names, place: Path, here: bool) -> Iterator[list[Path]]:
    """Yield the folders to search, in groups; in a group the folder with the most photographs is used."""
    for up in (place, *place.parents):
        present = names.of(up).folders
        known = names_among(present, PHOTOGRAPH_FOLDERS)
        usual = [name for name in known if folded(name) in PHOTOGRAPH_FOLDERS]
        unknown = [name for name in present if name not in known]
        others = [name for name in unknown if folded(name).startswith("images_") or says_photographs(name)]
        scaled = [name for name in known if name not in usual] + others
        if here and up == place:
            yield [up]
            yield [up / name for name in usual]
        else:
            yield [*(up / name for name in usual), up]
        yield from ([up / name] for name in scaled)
        if up == names.root:
            return


def _in_folder(names: Names, folder: Path, paths: dict[str, Entry], *, deep: bool) -> dict[str, _Match]:
    """Return the matches of each path in ``folder``.

    A path and a file match if one of them is a suffix of the other: the list may contain folders that do not exist, and
    a folder of photographs (``deep``) may contain folders that the list does not mention.
    """
    ends = _by_end(names, folder) if deep else {}
    found: dict[str, _Match] = {}
    for text, entry in paths.items():
        for dropped in range(len(entry.parts)):
            parts = entry.parts[dropped:]
            if files := names.find(folder, parts, photograph=True):
                literal = not (dropped or entry.leaves) and all(_is_as_listed(file, parts) for file in files)
                found[text] = _Match(files, literal)
                break
        else:
            if files := ends.get(_end(_below(entry.parts, folder.name))):
                found[text] = _Match(files, literal=False)
    return found


def _below(parts: tuple[str, ...], folder: str) -> tuple[str, ...]:
    """Return the part of a path below the folder with that name, or the whole path if it does not contain it."""
    named = [i for i, part in enumerate(parts[:-1]) if folded(part) == folded(folder)]
    return parts[named[-1] + 1 :] if named else parts


def _is_as_listed(file: Path, parts: Sequence[str]) -> bool:
    """Whether ``file`` is the listed path itself, or the path plus an ending."""
    names = file.parts[-len(parts) :]
    return names[:-1] == tuple(parts[:-1]) and parts[-1] in (names[-1], without_ending(names[-1], PHOTOGRAPH_ENDINGS))


def _by_end(names: Names, folder: Path) -> dict[tuple[str, ...], list[Path]]:
    """Return the photographs in subfolders of ``folder``, by each suffix of their path."""
    result: dict[tuple[str, ...], list[Path]] = {}
    for path in names.below(folder):
        # Masks may have the same names as photographs.
        is_mask = any(map(says_masks, path.parts[:-1]))
        if len(path.parts) > 1 and is_one_of(path.name, PHOTOGRAPH_ENDINGS) and not is_mask:
            for start in range(1, len(path.parts)):
                result.setdefault(_end(path.parts[start:]), []).append(folder / path)
    return result


def _end(parts: Sequence[str]) -> tuple[str, ...]:
    stem = without_ending(parts[-1], (*PHOTOGRAPH_ENDINGS, *CONVERTED_ENDINGS))
    return (*map(folded, parts[:-1]), folded(stem))


def _settled(
    names: Names,
    folder: Path,
    found: dict[str, _Match],
    paths: dict[str, Entry],
    listing: Path,
    place: Path,
    here: bool,
) -> Found:
    """Assign each file to one path: exact matches first, then similar names."""
    taken = {match.files[0] for match in found.values() if match.literal and len(match.files) == 1}
    files: dict[str, Path] = {}
    for text, match in found.items():
        left = match.files if match.literal else [file for file in match.files if file not in taken]
        if len(left) > 1:
            raise ambiguous(text, left, listing)
        if left:
            files[text] = left[0]
    claims = Counter(file for text, file in files.items() if not found[text].literal)
    for file, count in claims.items():
        if count > 1:
            first, second = [text for text in files if files[text] == file][:2]
            raise BadScene(
                f"{listing} lists {first!r} and {second!r}, which both match {file}.",
                "Put the photographs into the listed folders.",
            )
    missing = [text for text in paths if text not in files]
    strangers = [text for text in missing if paths[text].leaves]
    if strangers and not any(paths[text].leaves for text in files):
        raise outside(strangers[0], listing)
    other = [text for text in files if not found[text].literal]
    ordered = {text: files[text] for text in paths if text in files}
    expected = [place] if here else [place / name for name in names_among([folder.name], PHOTOGRAPH_FOLDERS[:1])]
    warnings = (
        *_missing(missing, len(paths), folder),
        *(_renamed(other, len(paths), files, listing) or _elsewhere(folder, expected)),
        *_links(names, folder, {file.parent for file in files.values()}),
    )
    absent = tuple(paths[text].parts[-1] for text in missing)
    return Found(ordered, _others(names, folder, files.values(), place), absent, warnings)


def _elsewhere(folder: Path, expected: Sequence[Path]) -> tuple[str, ...]:
    return () if folder in expected else (f"The photographs were read from {folder}.",)


def _missing(entries: Sequence[str], listed: int, folder: Path) -> tuple[str, ...]:
    if not entries:
        return ()
    return (
        f"{len(entries)} of {listed} listed photographs are not in {folder} and were skipped (first: {entries[0]!r}).",
    )


def _renamed(entries: Sequence[str], listed: int, files: dict[str, Path], listing: Path) -> tuple[str, ...]:
    if not entries:
        return ()
    first, file = entries[0], files[entries[0]]
    # Names that differ only in Unicode normal form look the same.
    alike = any(_nfc(text) != text for text in (first, str(file)))
    shown = f"{first!a} is {str(file)!a}" if alike else f"{first!r} is {file}"
    return (
        f"{len(entries)} of {listed} photographs that {listing} lists were matched to files with another name or "
        f"folder (first: {shown}).",
    )


def _nfc(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _links(names: Names, folder: Path, used: set[Path]) -> tuple[str, ...]:
    links = [each / name for each in sorted({folder, *used}) for name in names.of(each).outside]
    if not links:
        return ()
    return (f"{len(links)} links lead out of the scene folder and were ignored (first: {links[0]}).",)


def _others(names: Names, folder: Path, files: Iterable[Path], place: Path) -> tuple[Path, ...]:
    used = set(files)
    if _is_above(folder, place):
        near = [each / name for each in sorted({file.parent for file in used}) for name in names.of(each).files]
    else:
        near = [folder / path for path in names.below(folder)]
    return tuple(file for file in near if file not in used and is_one_of(file.name, PHOTOGRAPH_ENDINGS))


def _none(names: Names, paths: dict[str, Entry], looked: Sequence[Path], listing: Path, place: Path) -> NoPhotographs:
    """Return the error with what was searched, where, and what was found instead."""
    first = next(iter(paths))
    links = [str(up / name) for up in dict.fromkeys([*looked, place, names.root]) for name in names.of(up).outside]
    there = [PurePosixPath(name) for folder in looked for name in names.of(folder).files]
    pictures = [path.name for path in there if is_one_of(path.name, PHOTOGRAPH_ENDINGS)]
    archives = [name for name in names.of(names.root).files if is_one_of(name, ARCHIVE_ENDINGS)]
    packed = [name for name in archives if names_among([name.partition(".")[0]], PHOTOGRAPH_FOLDERS)]
    lies = f"; {pictures[0]} and {len(pictures) - 1} more are there" if pictures else ""
    lies += f"; found the file {names.root / packed[0]}" if packed else ""
    led = f"; {links[0]} leads out of the scene folder and was ignored" if links else ""
    return NoPhotographs(
        f"None of the {len(paths)} photographs that {listing} lists is in "
        f"{' or '.join(str(folder) for folder in looked)} (the first is {first!r}){lies}{led}.",
        "Put the photographs there, with the names in the list, or give the folder that contains both.",
    )
