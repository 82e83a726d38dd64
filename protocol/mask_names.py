"""Matches mask files to photographs by name, as the backend and the add-on do; no file is opened."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from protocol.endings import CONVERTED_ENDINGS, MASK_ENDINGS, PHOTOGRAPH_ENDINGS, RLE_ENDING, is_one_of, without_ending
from protocol.folder_names import folded
from protocol.natural_order import natural_key
from protocol.object_names import is_object, split_objects
from protocol.photograph_names import SEVERAL, Finder, photograph_finder

MASK_SCORES = "metadata.csv"
"""Name of a table with scores of the masks next to it, as written by SAM's ``amg.py``."""
ONE_MASK_EACH = "Keep one of them per photograph, or number those of one instance each: a_0.png, a_1.png."
"""What to do if several files match one photograph as its mask."""
_SEPARATOR = r"[ ._\-]+"
_WORD = r"(?:masks?|segs?|segments?|segmentations?|inst|instances?|ids?|labels?|objs?|objects?|panoptic|sam2?)"
_FLAGS = re.IGNORECASE | re.ASCII
_NUMBERED = re.compile(rf"(.+?){_SEPARATOR}({_WORD}(?:{_SEPARATOR})?)?(\d{{1,5}})", _FLAGS)
_MARKED = (
    re.compile(rf"(.+?)(?:{_SEPARATOR}{_WORD})+", _FLAGS),
    re.compile(rf"(?:{_WORD}{_SEPARATOR})+(.+)", _FLAGS),
)
_DIGITS = re.compile(r"[0-9]{1,18}")
_FRAME_NUMBER = re.compile(r"[0-9]{4,9}")
_OF_OBJECT = re.compile(rf"(?:{_WORD}(?:{_SEPARATOR})?)?(\d{{1,5}})", _FLAGS)


@dataclass(frozen=True)
class MaskMatch:
    """Which mask files belong to which photograph.

    Attributes:
        masks: for each photograph its mask files: none, one id map, or one file per instance in order.
        conflicts: by the number of the photograph, several files that each may be its mask.
        strays: files that match no photograph.
        shared: files that match several photographs.
        by_number: whether the match uses only the numbers in the names.
        by_order: whether the match uses only the order of the names.
    """

    masks: list[tuple[str, ...]]
    conflicts: dict[int, list[str]]
    strays: list[str]
    shared: list[str]
    by_number: bool = False
    by_order: bool = False

    @property
    def rows(self) -> list[int]:
        """The numbers of the photographs with a mask, or with several files that may be the mask."""
        return [row for row, files in enumerate(self.masks) if files or row in self.conflicts]


@dataclass(frozen=True)
class _Reading:
    """One interpretation of a mask's name.

    Attributes:
        key: names the photograph.
        family: the kind of interpretation; several files of one photograph must all be of one family.
        part: the number of the instance where there is one file per instance, or None.
        says: whether the name contains a word for masks.
    """

    key: str
    family: str
    part: str | None = None
    says: bool = False


def match_masks(
    photographs: Sequence[str],
    files: Sequence[str],
    names: Sequence[str] = (),
    others: Sequence[str] = (),
    *,
    marked: bool = False,
) -> MaskMatch:
    """Match mask files to photographs by name.

    The mask of a photograph ``left/a.jpg`` is ``left/a`` or ``left_a``, or ``a`` or ``a.jpg`` if no other photograph
    has that name, with one of :data:`MASK_ENDINGS`. The name may also contain a word such as ``mask``
    (``a.jpg.mask.png``, ``mask_a.npy``). A file with a number (``a_0.png``, ``a_mask_1.png``), or in a folder named
    after the photograph (``a/0.png``) or the instance (``0/a.png``, ``object_1/a.png``), is one of several masks, each
    of one instance. So are files in several folders named after objects (``chair/a.png``, ``table/a.png``). If no file
    matches otherwise, the name of an object may follow that of the photograph (``a_chair.png``).

    If no file matches by name, the last numbers in the names are compared (``rgb_0001.jpg``, ``mask0001.png``). They
    count only if files and photographs match one to one, because the numbers may have different starts. Files that are
    numbered from 0 or 1 without gaps (``00000.png``), as SAM 2 numbers frames, then match photographs in natural order
    if there are equally many.

    Args:
        photographs: paths with forward slashes and endings.
        files: paths of files in the folder of masks; files with an ending other than a mask's are strays.
        names: an alternative name of each photograph.
        others: photographs that get no mask here; a file with the name of one of them is the mask of that one.
        marked: whether only names with a word for masks count, as in the folder of the photographs.
    """
    find = photograph_finder(photographs, names, others)
    hits: list[list[tuple[_Reading, str]]] = [[] for _ in photographs]
    strays, shared = [], []
    for file in files:
        found = _owner(file, find, marked)
        if found is None:
            strays.append(file)
        elif found[0] == SEVERAL:
            shared.append(file)
        elif found[0] < len(photographs):
            hits[found[0]].append((found[1], file))
    masks: list[tuple[str, ...]] = []
    conflicts: dict[int, list[str]] = {}
    for number, candidates in enumerate(hits):
        settled = _settled(candidates)
        if settled is None:
            conflicts[number] = sorted(file for _, file in candidates)
        masks.append(settled or ())
    if not (marked or shared or any(hits)) and (named := _match_objects(files, find, len(photographs))):
        return named
    if not (marked or shared or any(hits)) and (numbered := _match_numbers(photographs, files, others)):
        return MaskMatch(numbered, {}, [], [], by_number=True)
    if not (marked or shared or any(hits)) and (ordered := _match_order(photographs, files, others)):
        return MaskMatch(ordered, {}, [], [], by_order=True)
    return MaskMatch(masks, conflicts, strays, shared)


def _match_objects(files: Sequence[str], find: Finder, count: int) -> MaskMatch | None:
    """Return the masks whose names are those of a photograph and an object, or None if there are none."""
    masks: list[list[str]] = [[] for _ in range(count)]
    strays: list[str] = []
    for file in files:
        *folders, core = without_ending(file, MASK_ENDINGS).split("/")
        keys = ("/".join([*folders, photograph]) for photograph, _ in split_objects(core))
        owner = next((row for key in keys if (row := find(key)) is not None), None)
        if owner is None or not 0 <= owner < count or not is_one_of(file, MASK_ENDINGS):
            strays.append(file)
        else:
            masks[owner].append(file)
    return MaskMatch([tuple(sorted(each)) for each in masks], {}, strays, []) if any(masks) else None


def _match_numbers(photographs: Sequence[str], files: Sequence[str], others: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the masks by the last numbers of all names; empty if these do not match one to one."""
    asked, unasked = ([_last_number(path, PHOTOGRAPH_ENDINGS) for path in paths] for paths in (photographs, others))
    owners = {_last_number(path, MASK_ENDINGS): path for path in files}
    known = {*asked, *unasked}
    are_masks = all(is_one_of(path, MASK_ENDINGS) for path in files)
    is_one_to_one = are_masks and len(known) == len(asked) + len(unasked) and len(owners) == len(files)
    if None in known | owners.keys() or not is_one_to_one or not set(asked) <= owners.keys() <= known:
        return []
    return [(owners[number],) for number in asked]


def _match_order(photographs: Sequence[str], files: Sequence[str], others: Sequence[str]) -> list[tuple[str, ...]]:
    """Return masks numbered without gaps in the order of all photographs; empty if the counts differ."""
    stems = {without_ending(PurePosixPath(file).name, MASK_ENDINGS): file for file in files}
    numbered = {int(stem): file for stem, file in stems.items() if _FRAME_NUMBER.fullmatch(stem)}
    whole = [*photographs, *others]
    start = min(numbered, default=0)
    if (
        len(numbered) != len(files)
        or len(files) != len(whole)
        or start > 1
        or max(numbered, default=0) - start >= len(files)
    ):
        return []
    order = sorted(range(len(whole)), key=lambda row: natural_key(folded(whole[row])))
    masks: list[tuple[str, ...]] = [()] * len(whole)
    for number, row in enumerate(order, start):
        masks[row] = (numbered[number],)
    return masks[: len(photographs)]


def _last_number(path: str, endings: Sequence[str]) -> int | None:
    stem = PurePosixPath(path).name
    while stem != (shorter := without_ending(stem, endings)):
        stem = shorter
    digits = _DIGITS.findall(stem)
    return int(digits[-1]) if digits else None


def _owner(file: str, find: Finder, marked: bool) -> tuple[int, _Reading] | None:
    """Return whose mask a file is and the interpretation of its name, the most literal one that names a photograph.

    The number is :data:`SEVERAL` if every interpretation matches several photographs.
    """
    several = None
    if not is_one_of(file, MASK_ENDINGS):
        return None
    *folders, core = without_ending(file, MASK_ENDINGS).split("/")
    for reading in _readings(core, folders[-1] if folders else None):
        if marked and not reading.says:
            continue
        above = folders[:-1] if reading.family == "folder" else folders
        for dropped in range(len(above) + 1):
            key = "/".join([*above[dropped:], reading.key])
            for each in (key, without_ending(key, (*PHOTOGRAPH_ENDINGS, *CONVERTED_ENDINGS))):
                if (number := find(each)) is None:
                    continue
                if number == SEVERAL:
                    several = several or (number, reading)
                elif dropped and reading.part is None and (thing := _object_of(above[dropped - 1])):
                    return number, replace(reading, family="/".join(["object", *above[dropped:]]), part=thing)
                else:
                    return number, replace(reading, family="/".join([reading.family, *folders]))
    return several


def _object_of(folder: str) -> str | None:
    """Return the number or the name of the object that a folder of masks is named after, or None."""
    match = _OF_OBJECT.fullmatch(folder)
    return match[1] if match else folder if is_object(folder) else None


def _readings(core: str, folder: str | None) -> Iterator[_Reading]:
    """Yield the interpretations of a name without its ending, the most literal first."""
    yield _Reading(core, "literal")
    marked = _unmarked(core)
    yield from (_Reading(each, "marked", says=True) for each in marked)
    if folder is not None:
        yield from (_Reading(each, "folder", core) for each in (folder, *_unmarked(folder)))
    for each in (core, *marked):
        if match := _NUMBERED.fullmatch(each):
            yield _Reading(match[1], "numbered", match[3], says=each != core or match[2] is not None)


def _unmarked(name: str) -> list[str]:
    return [match[1] for pattern in _MARKED if (match := pattern.fullmatch(name))]


def _settled(hits: Sequence[tuple[_Reading, str]]) -> tuple[str, ...] | None:
    """Return the mask files of one photograph, or None if they contradict each other."""
    # An RLE text next to an image of the same name describes that image.
    plain = [hit for hit in hits if not is_one_of(hit[1], (RLE_ENDING,))] or list(hits)
    if len(plain) <= 1:
        return tuple(file for _, file in plain)
    families = {reading.family for reading, _ in plain}
    parts = [reading.part for reading, _ in plain]
    if len(families) > 1 or None in parts or len(set(parts)) < len(parts):
        return None
    return tuple(file for _, file in sorted(plain, key=lambda hit: (len(hit[0].part or ""), hit[0].part or "")))
