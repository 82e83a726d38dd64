"""Annotations of many photographs in one file of COCO's format: which photographs have masks in it.

CVAT writes ``annotations/instances_default.json``, Roboflow ``_annotations.coco.json``, Label Studio ``result.json``.
The backend reads the masks, the add-on only counts them.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import msgspec

from protocol.endings import CONVERTED_ENDINGS, PHOTOGRAPH_ENDINGS, without_ending
from protocol.photograph_names import SEVERAL, photograph_finder

MAX_BYTES = 1 << 28
"""Largest file that is read."""
ONE_ENTRY_EACH = "Keep one of them, or give one file with --masks."
"""What to do if a photograph has several entries."""
EMPTY = (b"", b"null", b"[]", b"{}", b"[[]]")
"""Values of ``segmentation`` in annotations that are only boxes."""

_NAME = re.compile(r"annotations?|annos?|coco|instances?|labels?|masks?|segmentations?|result|export|dataset")
_WORDS = re.compile(r"[^a-z]+")
_ROBOFLOW = re.compile(r"(.+)_(?:jpe?g|png|webp|bmp|tiff?|heic)\.rf\.[0-9a-zA-Z]{8,}")
"""Names of Roboflow's copies: ``IMG_1_jpg.rf.0123456789abcdef.jpg`` of ``IMG_1.jpg``."""
_LABEL_STUDIO = re.compile(r"[0-9a-f]{8}-(.+)")
"""Names of Label Studio's copies: ``0a1b2c3d-IMG_1.jpg``."""

_OF_MASKS = re.compile(rb'"(shapes|segmentation)"\s*:')
HEAD = 4096

Id = int | str


class _Extra(msgspec.Struct):
    name: str | None = None


class Picture(msgspec.Struct):
    """A photograph in the list ``images``: its name and, if known, its width and height."""

    id: Id
    file_name: str
    width: float | None = None
    height: float | None = None
    extra: _Extra | None = None


class Annotation(msgspec.Struct):
    """An entry of the list ``annotations``: one mask; ``segmentation`` and ``score`` are not decoded."""

    image_id: Id
    segmentation: msgspec.Raw = msgspec.Raw()
    score: msgspec.Raw = msgspec.Raw()

    @property
    def is_mask(self) -> bool:
        """Whether it has an outline or run lengths, not only a box."""
        return bytes(self.segmentation).translate(None, b" \t\r\n") not in EMPTY


class _Coco(msgspec.Struct):
    images: list[Picture]
    annotations: list[Annotation]


@dataclass(frozen=True)
class Annotations:
    """The content of a file.

    Attributes:
        pictures: the listed photographs, by id.
        masks: the annotations with a mask of each photograph that has any, by the photograph's id.
        boxes: number of annotations without a mask.
        repeated: an id that several photographs have, or None.
    """

    pictures: dict[Id, Picture]
    masks: dict[Id, list[Annotation]]
    boxes: int
    repeated: Id | None


@dataclass(frozen=True)
class AnnotationMatch:
    """Which photographs have masks in a file.

    Attributes:
        ids: for each photograph the id of its entry, or None.
        rivals: file names of entries that match the same photograph as another one.
        strays: file names of entries with masks that match no photograph, or several.
    """

    ids: list[Id | None]
    rivals: list[str]
    strays: list[str]


def may_be_annotations(path: PurePosixPath) -> bool:
    """Whether a file may contain annotations of many photographs, by its name."""
    words = _WORDS.split(path.stem.lower())
    return path.suffix.lower() == ".json" and any(map(_NAME.fullmatch, words))


class _BrokenFile(Exception):
    """The file is not complete JSON."""


def describes_masks(file: Path) -> bool:
    """Whether a JSON file that is named after a photograph contains masks of it: shapes of LabelMe, or run lengths.

    Only its beginning is read: both name their masks before anything long.
    """
    try:
        with file.open("rb") as stream:
            return _OF_MASKS.search(stream.read(HEAD)) is not None
    except OSError:
        return False


def read_annotations(file: Path) -> Annotations | None:
    """Return the content of a file; None if it does not have COCO's format, is too large or cannot be read."""
    try:
        return _read(file)
    except _BrokenFile:
        return None


def _read(file: Path) -> Annotations | None:
    """As :func:`read_annotations`.

    Raises:
        _BrokenFile: if it is not complete JSON.
    """
    try:
        if file.stat().st_size > MAX_BYTES:
            return None
        content = msgspec.json.decode(file.read_bytes(), type=_Coco)
    except (OSError, msgspec.ValidationError, RecursionError):
        return None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _BrokenFile from error
    pictures: dict[Id, Picture] = {}
    repeated = None
    for picture in content.images:
        repeated = picture.id if picture.id in pictures else repeated
        pictures[picture.id] = picture
    masks: dict[Id, list[Annotation]] = defaultdict(list)
    for each in content.annotations:
        if each.is_mask:
            masks[each.image_id].append(each)
    boxes = len(content.annotations) - sum(map(len, masks.values()))
    return Annotations(pictures, dict(masks), boxes, repeated)


def match_annotations(photographs: Sequence[str], found: Annotations) -> AnnotationMatch:
    """Match the entries of a file with masks to photographs by name.

    A listed path is tried unchanged, then without its leading folders, without its ending, and as the copy that
    Roboflow or Label Studio makes of a photograph.

    Args:
        photographs: paths with forward slashes and endings.
        found: the content of the file.
    """
    find = photograph_finder(photographs)
    ids: list[Id | None] = [None] * len(photographs)
    rivals: list[str] = []
    strays: list[str] = []
    for number, picture in found.pictures.items():
        if number not in found.masks:
            continue
        row = next((row for name in _names(picture) if (row := find(name)) is not None), None)
        if row is None or row == SEVERAL:
            strays.append(picture.file_name)
        elif ids[row] is not None:
            rivals.append(picture.file_name)
        else:
            ids[row] = number
    return AnnotationMatch(ids, rivals, strays)


@dataclass(frozen=True)
class Annotated:
    """The masks of photographs in one or several files.

    Attributes:
        entries: for each photograph the file with its masks and the id of its entry there, or None.
        rivals: sentences about photographs for which there are several entries; this is refused.
        warnings: sentences about entries without a photograph, annotations without a mask, and broken files.
        named: the files that a warning names.
    """

    entries: list[tuple[Path, Id] | None]
    rivals: list[str]
    warnings: list[str]
    named: list[Path] = field(default_factory=list)

    @property
    def count(self) -> int:
        """Number of photographs with masks."""
        return sum(entry is not None for entry in self.entries)

    @property
    def files(self) -> list[Path]:
        """The files with masks of photographs."""
        return list(dict.fromkeys(entry[0] for entry in self.entries if entry is not None))


def find_annotated(photographs: Sequence[str], files: Sequence[Path]) -> Annotated:
    """Return the masks of photographs in files of COCO's format; other files are skipped, broken ones with a warning.

    A file in a folder of the name of one that contains some of the photographs, such as ``train``, only has masks of
    these, because those of the others may have the same names.

    Args:
        photographs: paths with forward slashes and endings.
        files: to read.
    """
    entries: list[tuple[Path, Id] | None] = [None] * len(photographs)
    rivals: list[str] = []
    said: list[str] = []
    named: list[Path] = []
    for file in files:
        try:
            found = _read(file)
        except _BrokenFile:
            named.append(file)
            said.append(f"{file} is not complete JSON, so no masks were read from it. Copy or export it again.")
            continue
        if found is None:
            continue
        if found.repeated is not None:
            rivals.append(f"{file} lists several photographs with the id {found.repeated!r}")
        rows = [row for row, path in enumerate(photographs) if file.parent.name in PurePosixPath(path).parts[:-1]]
        rows = rows or list(range(len(photographs)))
        match = match_annotations([photographs[row] for row in rows], found)
        rivals += [f"{file} contains several entries for one photograph, such as {name!r}" for name in match.rivals[:1]]
        for row, number in zip(rows, match.ids, strict=True):
            if number is None:
                continue
            if (before := entries[row]) is not None:
                rivals.append(f"{before[0]} and {file} both contain masks of {photographs[row]}")
            entries[row] = file, number
        if match.strays or found.boxes:
            named.append(file)
        if match.strays:
            said.append(
                f"{len(match.strays)} of {len(found.masks)} photographs with masks in {file} do not match any "
                f"photograph and were skipped (first: {match.strays[0]!r})."
            )
        if found.boxes:
            said.append(
                f"{found.boxes} annotations in {file} have a box but no outline, and were skipped. Export polygons or "
                "masks."
            )
    return Annotated(entries, rivals, said, named)


def _names(picture: Picture) -> list[str]:
    """Return the names of a listed photograph to search, in order."""
    named = [picture.file_name, picture.extra.name if picture.extra is not None else None]
    paths = [name.replace("\\", "/") for name in named if name]
    for form in (_ROBOFLOW, _LABEL_STUDIO):
        match = form.fullmatch(without_ending(PurePosixPath(paths[0]).name, PHOTOGRAPH_ENDINGS)) if paths else None
        paths += [match[1]] if match else []
    found: list[str] = []
    for path in paths:
        parts = [part for part in path.split("/") if part not in ("", ".", "..")]
        for dropped in range(len(parts)):
            whole = "/".join(parts[dropped:])
            found += [whole, without_ending(whole, (*PHOTOGRAPH_ENDINGS, *CONVERTED_ENDINGS))]
    return list(dict.fromkeys(found))
