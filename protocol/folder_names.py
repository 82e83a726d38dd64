"""Common names of the folders of a capture.

The backend uses these names when it reads a folder, the add-on when it shows what a folder contains. Only names are
compared; no file is opened. Names are compared without case and in one Unicode normal form, because Windows file
systems ignore case and macOS file systems change the normal form.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath

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
MASK_FOLDERS_OF_ROOMS = ("detic_instance", "masks")
MASK_FOLDERS_OF_SCANS = ("m2f_instance", "masks")
"""Mask folders of Messy-Rooms, and of ScanNet and Replica as prepared for Panoptic-Lifting, next to ground truth."""
_PHOTOGRAPH_WORD = re.compile(r"images?|imgs?|rgb|photos?|pictures?|frames?|colou?r")
_PHOTOGRAPH_FOLDER_WORD = re.compile(
    rf"{_PHOTOGRAPH_WORD.pattern}|resized|undistorted|undist|rectified|corrected|original|orig|full|cropped|dslr|raw|"
    r"input|source|jpe?g|png|all"
)
"""Words allowed in the name of a folder of photographs; at least one of them must be a :data:`_PHOTOGRAPH_WORD`."""
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
_SCALED = re.compile(r"(.+)_(\d+)")
_BETWEEN_WORDS = re.compile(r"[ ._\-\d]+")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def folded(name: str) -> str:
    """Return ``name`` without case and in Unicode normal form C, which file systems treat differently."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


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
    words = words_of(name)
    return any(map(_MASK_WORD.fullmatch, words)) and all(map(_FOLDER_WORD.fullmatch, words))


def other_mask_folders(folders: Callable[[PurePosixPath], Sequence[str]]) -> list[PurePosixPath]:
    """Return folders that are searched for masks if the usual ones have none: "labels", "output/masks", "sam2_out".

    Args:
        folders: returns the names of the subfolders of a relative path; the empty path is where masks are searched.
    """
    here = sorted(folders(PurePosixPath()))
    # A folder that may contain masks itself is searched as a whole: its subfolders may be of objects or photographs.
    whole = [PurePosixPath(name) for name in here if _says_labels(name)]
    outputs = [name for name in here if not _says_labels(name) and _all(name, _OUTPUT_WORD)]
    inside = [PurePosixPath(out, name) for out in outputs for name in sorted(folders(PurePosixPath(out)))]
    return whole + [path for path in inside if says_masks(path.name) or _says_labels(path.name)]


def _says_labels(name: str) -> bool:
    words = words_of(name)
    return any(map(_LABEL_WORD.fullmatch, words)) and all(
        _LABEL_WORD.fullmatch(word) or _FOLDER_WORD.fullmatch(word) for word in words
    )


def _all(name: str, form: re.Pattern[str]) -> bool:
    words = words_of(name)
    return bool(words) and all(map(form.fullmatch, words))


def says_photographs(name: str) -> bool:
    """Whether a folder's name means photographs: "resized_images", "undistorted_images", "rgb_full"."""
    words = words_of(name)
    return any(map(_PHOTOGRAPH_WORD.fullmatch, words)) and all(map(_PHOTOGRAPH_FOLDER_WORD.fullmatch, words))


def words_of(name: str) -> list[str]:
    """Return the words of a name, in lower case, without numbers: "SamMasks_2" has "sam" and "masks"."""
    return [word for word in _BETWEEN_WORDS.split(_HUMP.sub("_", name).casefold()) if word]


def is_passed_over(name: str) -> bool:
    """Whether a file or folder is hidden or created by the operating system, so that readers skip it."""
    return name.startswith(".") or folded(name) in LITTER
