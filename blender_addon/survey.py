"""What a scene folder holds, told from the names of its files before anything is sent.

The backend's readers decide what a folder is; this only tells a person what they will most likely find.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import msgspec

from .scene_files import SceneFiles, find_files

PICTURES = frozenset({".png", ".jpg", ".jpeg"})
MASKS = frozenset({".png", ".npy", ".npz"})
MASK_FOLDERS = (
    "masks",
    "instance_masks",
    "seg_masks",
    "object_mask",
    "sam_mask",
    "entityseg_mask",
    "m2f_instance",
    "detic_instance",
    "instance",
)
"""Where masks customarily are."""
LAYOUTS = (
    ("COLMAP", ("sparse/0/cameras.bin", "sparse/0/cameras.txt", "sparse/cameras.bin", "sparse/cameras.txt")),
    ("COLMAP", ("cameras.bin", "cameras.txt")),
    ("Nerfstudio or Instant-NGP", ("transforms.json",)),
    ("NeRF-synthetic", ("transforms_train.json", "transforms_test.json")),
    ("ScanNet or Replica", ("intrinsic/intrinsic_color.txt",)),
    ("Messy-Rooms", ("metadata.json",)),
)
"""What a layout is called, and the files by any of which it is known."""
LISTS = ("transforms.json", "transforms_train.json", "transforms_test.json")
CLIMB = 3
"""How many folders above a file its scene folder is looked for."""

_HEADER = 4096
_MAX_LIST = 64 << 20


class _List(msgspec.Struct):
    frames: list[msgspec.Raw] = []


_list = msgspec.json.Decoder(_List)


@dataclass(frozen=True)
class Survey:
    """What was found.

    Attributes:
        folder: the scene folder.
        layout: what its layout is called, or None where it is none that is known.
        photographs: how many there are.
        masks: how many there are in :attr:`mask_folder`, which is None where there is none.
        splats: a file of Gaussians, relative to the folder, or None.
        files, bytes: what would be sent.
    """

    folder: Path
    layout: str | None
    photographs: int
    masks: int
    mask_folder: str | None
    splats: str | None
    files: int
    bytes: int


def survey(folder: Path) -> Generator[int, None, Survey]:
    """Look through a scene folder a few names at a time: yields how many files were found; returns the survey.

    Raises:
        BadScene: as :func:`.scene_files.find_files`.
    """
    found: SceneFiles = yield from find_files(folder)
    paths = [PurePosixPath(path.relative_to(folder).as_posix()) for path in found.files]
    names = {str(path) for path in paths}
    layout = next((title for title, marks in LAYOUTS if names.intersection(marks)), None)
    mask_folder = next((each for each in MASK_FOLDERS if any(_in(each, path, MASKS) for path in paths)), None)
    masks = sum(_in(mask_folder, path, MASKS) for path in paths) if mask_folder else 0
    splats = None
    for path in paths:
        if path.suffix.lower() == ".ply" and splats is None and _is_splats(folder / path):
            splats = str(path)
        yield len(paths)
    listed = sum(_frames(folder / name) for name in LISTS if name in names)
    photographs = listed or _photographs(paths)
    return Survey(folder, layout, photographs, masks, mask_folder, splats, len(paths), found.bytes)


def scene_of(path: Path) -> Path:
    """Return the folder of the scene that a file or folder belongs to.

    That is the outermost of the few above it that has a known layout, as COLMAP's tables may lie in a folder of their
    own; where there is none, the folder itself or the file's own.
    """
    start = path if path.is_dir() else path.parent
    near = (start, *start.parents[:CLIMB])
    known = [folder for folder in near if any((folder / mark).is_file() for _, marks in LAYOUTS for mark in marks)]
    return known[-1] if known else start


def _in(folder: str, path: PurePosixPath, endings: frozenset[str]) -> bool:
    return path.parts[0] == folder and len(path.parts) > 1 and path.suffix.lower() in endings


def _photographs(paths: list[PurePosixPath]) -> int:
    """How many pictures there are outside of folders of masks, in the folder that has most of them.

    Folders such as ``images_2`` hold the same photographs at another size.
    """
    pictures = [p for p in paths if p.suffix.lower() in PICTURES and p.parts[0] not in MASK_FOLDERS]
    folders = Counter(path.parts[0] if len(path.parts) > 1 else "" for path in pictures)
    if "images" in folders or "color" in folders:
        return folders["images"] or folders["color"]
    return max(folders.values(), default=0)


def _frames(path: Path) -> int:
    """How many photographs a list of them names; 0 where it cannot be read, which the server will say better."""
    try:
        if path.stat().st_size > _MAX_LIST:
            return 0
        return len(_list.decode(path.read_bytes()).frames)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return 0


def _is_splats(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return b" f_dc_0" in file.read(_HEADER)
    except OSError:
        return False
