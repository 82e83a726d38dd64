"""Common names of folders and files in a capture, and matching of masks to photographs by name.

The backend uses these names when it reads a folder, the add-on when it shows what a folder contains. Only names are
compared; no file is opened. Names are compared without case and in one Unicode normal form, because Windows file
systems ignore case and macOS file systems change the normal form.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from protocol.natural_order import natural_key
from protocol.object_names import is_object, split_objects

PHOTOGRAPH_ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".jfif", ".jpe")
"""Endings of photographs that can be read."""
CONVERTED_ENDINGS = (".heic", ".heif", ".avif", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".raw", ".mov", ".mp4")
"""Endings that a list of photographs may name where the folder has a copy with one of :data:`PHOTOGRAPH_ENDINGS`."""
HEIF_ENDINGS = (".heic", ".heif", ".avif")
"""Endings of photographs that are converted when poses are computed."""
VIDEO_ENDINGS = (".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".mts", ".m2ts", ".3gp", ".wmv")
RAW_ENDINGS = (".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf", ".srw", ".pef", ".raw")
"""Endings of a camera's raw data, which are not read."""
OTHER_PICTURE_ENDINGS = (".gif", ".exr", ".hdr", ".jxl", ".jp2", ".psd", ".svg", ".ppm", ".pgm", ".tga")
"""Endings of other pictures that are not read."""
PANORAMA_ENDINGS = (".insp", ".insv", ".360")
"""Endings of pictures and videos of cameras with two fisheye lenses, which are not read."""
ARCHIVE_ENDINGS = (".zip", ".tar", ".tgz", ".gz", ".7z", ".rar", ".bz2", ".xz")
PHOTOGRAPH_FOLDERS = (
    "images",
    "input",
    "image",
    "imgs",
    "img",
    "rgb",
    "color",
    "colour",
    "frames",
    "photos",
    "photographs",
    "pictures",
)
"""Usual names of the folder of photographs."""

ARRAY_ENDINGS = (".npy", ".npz")
PICTURE_ENDINGS = PHOTOGRAPH_ENDINGS
RLE_ENDING = ".json"
MASK_ENDINGS = (".png", *ARRAY_ENDINGS, *PICTURE_ENDINGS[1:], RLE_ENDING)
MASK_FOLDERS = (
    "masks",
    "mask",
    "instance_masks",
    "seg_masks",
    "object_mask",
    "object_masks",
    "sam_mask",
    "sam_masks",
    "entityseg_mask",
    "instance",
    "instances",
    "id_masks",
    "mask_data",
    "annotations",
)
"""Usual names of the folder of masks, best first."""

TRUTH = "gt"
"""Name of folders with ground truth for scoring. Jobs never read them."""
LITTER = frozenset({"__macosx", "@eadir", "#recycle", "$recycle.bin", "system volume information", "lost+found"})
"""Folders that operating systems and network drives create, with copies and thumbnails of the files next to them."""
MASK_SCORES = "metadata.csv"
"""Name of a table with scores of the masks next to it, as written by SAM's ``amg.py``."""
ONE_MASK_EACH = "Keep one of them per photograph, or number those of one instance each: a_0.png, a_1.png."
"""What to do if several files match one photograph as its mask."""
SPLAT_ENDINGS = (".ply", ".spz", ".sog", ".splat")

SOG_PARTS = ("means_l.webp", "means_u.webp")
"""Images of the positions in an unpacked SOG file."""
_SOG_FILES = (*SOG_PARTS, "scales.webp", "quats.webp", "sh0.webp", "shN_centroids.webp", "shN_labels.webp")

MASK_FOLDERS_OF_ROOMS = ("detic_instance", "masks")
MASK_FOLDERS_OF_SCANS = ("m2f_instance", "masks")
"""Mask folders of Messy-Rooms, and of ScanNet and Replica as prepared for Panoptic-Lifting, next to ground truth."""

_PHOTOGRAPH_WORD = re.compile(r"images?|imgs?|rgb|photos?|pictures?|frames?|colou?r")
_PHOTOGRAPH_FOLDER_WORD = re.compile(
    rf"{_PHOTOGRAPH_WORD.pattern}|resized|undistorted|undist|rectified|corrected|original|orig|full|cropped|dslr|raw|"
    r"input|source|jpe?g|png|all"
)
"""Words allowed in the name of a folder of photographs; at least one of them must be a :data:`_PHOTOGRAPH_WORD`."""
_DEPTH_WORD = re.compile(r"depths?|disparity|disparities|confidences?")
_AUXILIARY_WORD = re.compile(rf"{_DEPTH_WORD.pattern}|normals?|flow|thumbs?|thumbnails?|previews?")
"""Words in the names of folders with pictures that are not photographs of the scene; in the names of files, fewer."""
_COPY_WORD = r"masked|thumb|thumbnail|preview"
_COPY = re.compile(rf"(?:{_COPY_WORD})[ ._\-]+(?P<after>.+)|(?P<before>.+?)[ ._\-]+(?:{_COPY_WORD})")
"""Names of small or masked copies, which some tools write next to the photographs."""
_MASK_WORD = re.compile(r"masks?|segs?|segmentation|instances?")
_FOLDER_WORD = re.compile(
    rf"{_MASK_WORD.pattern}|ids?|labels?|obj|objects?|panoptic|sam|entity|images?|photos?|frames?|rgb|png|np[yz]|json|rle|"
    r"raw|maps?|out|outputs?|pred|predictions?|results?"
)
"""Words allowed in the name of a mask folder; at least one of them must be a :data:`_MASK_WORD`."""
_OUTPUT_WORD = re.compile(r"out|outputs?|results?|preds?|predictions?|exports?|exported|inference|sam|annotations?")
"""Words in the names of folders that programs write their results to."""
_LABEL_WORD = re.compile(r"labels?|anns?|annotations?|panoptic|objs?|objects?|ids?|sam|segments?|preds?|predictions?")
"""Words in the names of folders that often contain masks, and often something else."""
_SEPARATOR = r"[ ._\-]+"
_WORD = r"(?:masks?|segs?|segments?|segmentations?|inst|instances?|ids?|labels?|objs?|objects?|panoptic|sam2?)"
_FLAGS = re.IGNORECASE | re.ASCII
_NUMBERED = re.compile(rf"(.+?){_SEPARATOR}({_WORD}(?:{_SEPARATOR})?)?(\d{{1,5}})", _FLAGS)
_MARKED = (
    re.compile(rf"(.+?)(?:{_SEPARATOR}{_WORD})+", _FLAGS),
    re.compile(rf"(?:{_WORD}{_SEPARATOR})+(.+)", _FLAGS),
)
_SCALED = re.compile(r"(.+)_(\d+)")
_DIGITS = re.compile(r"[0-9]{1,18}")
_FRAME_NUMBER = re.compile(r"[0-9]{4,9}")
_BETWEEN_WORDS = re.compile(r"[ ._\-\d]+")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_OF_OBJECT = re.compile(rf"(?:{_WORD}(?:{_SEPARATOR})?)?(\d{{1,5}})", _FLAGS)


def folded(name: str) -> str:
    """Return ``name`` without case and in Unicode normal form C, which file systems treat differently."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def without_ending(name: str, endings: Sequence[str]) -> str:
    """Return ``name`` without its ending if that is one of ``endings``, ignoring case."""
    stem, dot, ending = name.rpartition(".")
    return stem if dot and stem and f".{ending.lower()}" in endings else name


def is_one_of(name: str, endings: Sequence[str]) -> bool:
    """Whether ``name`` has one of ``endings``, ignoring case."""
    return without_ending(name, endings) != name


def names_among(present: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """Return the folders of ``present`` that are in ``wanted``, in that order, then scaled copies such as "masks_4"."""
    by_name: dict[str, list[str]] = {}
    scaled: list[tuple[int, int, str]] = []
    for name in sorted(present):
        by_name.setdefault(folded(name), []).append(name)
        match = _SCALED.fullmatch(folded(name))
        if match and match[1] in wanted and folded(name) not in wanted and len(match[2]) < 5:
            scaled.append((wanted.index(match[1]), int(match[2]), name))
    return [name for each in wanted for name in by_name.get(each, [])] + [name for *_, name in sorted(scaled)]


def mask_folders(present: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """Return the folders of :func:`names_among`, then, unless names are fixed, others whose names mean masks."""
    known = names_among(present, wanted)
    if wanted != MASK_FOLDERS:
        return known
    return known + [name for name in sorted(present) if name not in known and says_masks(name)]


def says_masks(name: str) -> bool:
    """Whether a folder's name means masks: "sam2_masks", "masks_png", "InstanceSegmentation".

    "segmentations" does not: 3D-OVS uses that name for the ground truth of held-out photographs.
    """
    words = _words(name)
    return any(map(_MASK_WORD.fullmatch, words)) and all(map(_FOLDER_WORD.fullmatch, words))


def other_mask_folders(folders: Callable[[PurePosixPath], Sequence[str]]) -> list[PurePosixPath]:
    """Return folders that are searched for masks if the usual ones have none: "labels", "output/masks", "sam2_out".

    Args:
        folders: returns the names of the subfolders of a relative path; the empty path is where masks are searched.
    """
    here = sorted(folders(PurePosixPath()))
    inside = [(out, name) for out in here if _all(out, _OUTPUT_WORD) for name in sorted(folders(PurePosixPath(out)))]
    found = [PurePosixPath(out, name) for out, name in inside if folded(name) in MASK_FOLDERS or says_masks(name)]
    found += [PurePosixPath(name) for name in here if _says_labels(name)]
    return found + [PurePosixPath(out, name) for out, name in inside if _says_labels(name)]


def _says_labels(name: str) -> bool:
    words = _words(name)
    return any(map(_LABEL_WORD.fullmatch, words)) and all(
        _LABEL_WORD.fullmatch(word) or _FOLDER_WORD.fullmatch(word) for word in words
    )


def _all(name: str, form: re.Pattern[str]) -> bool:
    words = _words(name)
    return bool(words) and all(map(form.fullmatch, words))


def says_photographs(name: str) -> bool:
    """Whether a folder's name means photographs: "resized_images", "undistorted_images", "rgb_full"."""
    words = _words(name)
    return any(map(_PHOTOGRAPH_WORD.fullmatch, words)) and all(map(_PHOTOGRAPH_FOLDER_WORD.fullmatch, words))


def original_of(stem: str) -> str | None:
    """Return the name of the photograph that a thumbnail or masked copy shows ("thumb_7", "7_masked"), or None."""
    found = _COPY.fullmatch(stem)
    return found and (found["after"] or found["before"])


def without_sog(paths: Sequence[PurePosixPath]) -> list[PurePosixPath]:
    """Return the paths without the images of unpacked SOG files."""
    folders = {path.parent for path in paths if path.name in SOG_PARTS}
    return [path for path in paths if path.parent not in folders or path.name not in _SOG_FILES]


def is_auxiliary(path: PurePosixPath) -> bool:
    """Whether a picture is a depth map, a thumbnail or similar, by the words in its name and those of its folders."""
    of_folders = (word for folder in path.parts[:-1] for word in _words(folder))
    return any(map(_AUXILIARY_WORD.fullmatch, of_folders)) or any(map(_DEPTH_WORD.fullmatch, _words(path.stem)))


def _words(name: str) -> list[str]:
    return [word for word in _BETWEEN_WORDS.split(_HUMP.sub("_", name).casefold()) if word]


def is_sog_part(name: str) -> bool:
    """Whether a file is an image of Gaussians, as in an unpacked SOG file; these are no photographs."""
    return name in SOG_PARTS


def latest(paths: Sequence[PurePosixPath]) -> PurePosixPath | None:
    """Return the last of several states of one training, or None if the paths do not differ in one number only.

    3D Gaussian splatting writes point_cloud/iteration_7000/point_cloud.ply and so on.
    """
    forms = {_DIGITS.sub("#", str(path)) for path in paths}
    numbers = [[int(number) for number in _DIGITS.findall(str(path))] for path in paths]
    varying = [values for values in zip(*numbers, strict=False) if len(set(values)) > 1]
    if len(forms) != 1 or len(varying) != 1 or len(set(varying[0])) < len(paths):
        return None
    return paths[varying[0].index(max(varying[0]))]


def is_passed_over(name: str) -> bool:
    """Whether a file or folder is hidden or created by the operating system, so that readers skip it."""
    return name.startswith(".") or folded(name) in LITTER


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


SEVERAL = -1
"""Used instead of a photograph's number if a key matches several photographs."""
Finder = Callable[[str], int | None]


def photograph_finder(photographs: Sequence[str], names: Sequence[str] = (), others: Sequence[str] = ()) -> Finder:
    """Return a function from a key to the number of a photograph; ``others`` are numbered after ``photographs``."""
    exact: dict[str, int] = {}
    loose: dict[str, int] = {}
    start = 0
    for group, named in ((photographs, names), (others, ())):
        paths = [PurePosixPath(path) for path in group]
        bare = [without_ending(str(path), PHOTOGRAPH_ENDINGS) for path in paths]
        # Longer paths take precedence over shorter ones.
        depth = max((len(path.parts) for path in paths), default=0)
        both = ([str(path) for path in paths], bare)
        ends = [_ends(each, kept) for kept in range(depth, 0, -1) for each in both]
        joined = [[end.replace("/", glue) for end in each] for glue in ("_", "-", "__") for each in ends]
        levels = [*both, named, *ends, *joined]
        for level in levels:
            for table, form in ((exact, str), (loose, folded)):
                fresh: dict[str, int] = {}
                for number, key in enumerate(level, start):
                    key = form(key)
                    # The number among the others does not matter.
                    fresh[key] = number if start or fresh.get(key, number) == number else SEVERAL
                for key, number in fresh.items():
                    table.setdefault(key, number)
        start += len(group)

    def find(key: str) -> int | None:
        number = exact.get(key)
        return loose.get(folded(key)) if number is None else number

    return find


def _ends(paths: Sequence[str], kept: int) -> list[str]:
    """Return the last ``kept`` names of each path."""
    return ["/".join(path.split("/")[-kept:]) for path in paths]


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
