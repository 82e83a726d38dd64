"""Names what is in a folder but is not read: cameras, pictures and masks in the formats of other programs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from backend.scene.images import LFS_POINTER
from protocol.endings import (
    ARCHIVE_ENDINGS,
    HEIF_ENDINGS,
    OTHER_PICTURE_ENDINGS,
    PANORAMA_ENDINGS,
    PHOTOGRAPH_ENDINGS,
    RAW_ENDINGS,
    is_one_of,
    without_ending,
)
from protocol.errors import BadScene
from protocol.folder_names import folded, says_masks
from protocol.lists import first_of
from protocol.splat_files import is_sog_part

CAMERAS = {
    "VisualSFM": r".*\.nvm",
    "MVSNet": r"(.*/)?cams?/[^/]*_cam\.txt",
    "Metashape": r"(.*/)?[^/]*(camera|blocks? ?exchange)[^/]*\.xml|.*\.psx|.*\.psz",
    "RealityScan": r".*\.rcproj|.*\.rsproj",
    "LLFF": r"(.*/)?poses_bounds\.npy",
    "Polycam": r"(.*/)?(corrected_)?cameras/\d+\.json",
    "Record3D": r"(.*/)?metadata|.*\.r3d",
    "Meshroom": r".*\.sfm",
    "OpenMVG": r"(.*/)?sfm_data[^/]*\.(json|bin)",
    "OpenSfM": r"(.*/)?reconstruction\.json",
    "Bundler": r"(.*/)?bundle[^/]*\.out",
    "NeuS": r"(.*/)?cameras_(sphere|large)\.npz",
    "3D Gaussian splatting": r"(.*/)?cameras\.json",
    "Postshot": r".*\.psht",
    "Stray Scanner": r"(.*/)?odometry\.csv",
    "a trajectory": r"(.*/)?(traj|traj_w_c|groundtruth|trajectory|odometry|poses?|camera_poses?)\.txt|.*\.traj"
    r"|.*\.pose\.txt|(.*/)?poses?/[^/]+\.txt",
    "nerfstudio or instant-ngp": r"(.*/)?transforms?\b[^/]*\.json|(.*/)?transforms?_[^/]*\.json",
    "COLMAP": r"(.*/)?(images|cameras)\.(bin|txt)(\.gz|\.zip)?",
}
"""Files with cameras that are not read there, by the program that writes them: patterns of paths in lower case."""
RENAMED = "nerfstudio or instant-ngp"
DEEP = "COLMAP"
_TABLE_OF_REALITYSCAN = re.compile(rb"#?\s*\"?(name|cameras)\"?[ ,]", re.IGNORECASE)
_ANNOTATIONS = re.compile(r"via|annotations?|coco|labels?|labelmap|instances_.*|project-.*|result")
_MASK_WORDS = re.compile(
    r"masks?|seg|segs|segments?|segmentations?|labels?|instances?|sam2?|objects?|panoptic|semantic|ann"
)
_SUPERVISELY = "ann"
"""Supervisely's name of the folder with one JSON file for each photograph."""
AS_COCO = "; export masks in it as COCO JSON"
"""What to do with annotations of CVAT (.xml), YOLO (.txt), VIA and Supervisely, as a part of a sentence."""
AS_MASK_FOLDER = "; if it contains masks, give it as the mask folder"
_MASK_FILES = (".json", ".xml", ".txt", ".zip", ".tar", ".gz", ".7z", ".rar", ".npy", ".npz", ".mp4", ".pkl", ".pt")
_CHECKPOINTS = (".ckpt", ".pt", ".pth")
_OTHER_SCENES = (".ksplat", *_CHECKPOINTS, ".usdz", ".usd", ".glb", ".gltf", ".obj", ".lcc", ".sogs")


def unread_cameras(root: Path, files: Iterable[PurePosixPath]) -> tuple[str, ...]:
    """Return a warning if a folder without readable cameras has some in another format; poses are then computed.

    Args:
        root: the folder.
        files: the paths of its files, relative to it.
    """
    for path in sorted(files, key=lambda path: (len(path.parts), path)):
        program = next((name for name, form in CAMERAS.items() if re.fullmatch(form, str(path).lower())), None)
        if program is None and path.suffix.lower() in (".csv", ".xmp") and _is_of_realityscan(root / path):
            program = "RealityScan"
        if program is None:
            continue
        file = root / path
        if program == RENAMED:
            return (
                f"{file} may contain cameras, but it does not have a name that is read, so poses are computed. To use "
                "its cameras, rename it to transforms.json.",
            )
        if program == DEEP:
            return (
                f"{file} may contain cameras, but no complete model was found there, so poses are computed. To use "
                "them, extract or complete the model, or give the folder above it.",
            )
        of = program if program.startswith("a ") else f"cameras of {program}"
        return (
            f"{file} looks like {of}, in a format that is not read, so poses are computed. To use these cameras, "
            "export them as a COLMAP model or transforms.json.",
        )
    return ()


def _is_of_realityscan(file: Path) -> bool:
    """Whether a table or a file next to a photograph has cameras; other programs write files with these endings."""
    try:
        with file.open("rb") as stream:
            head = stream.read(1024)
        return _TABLE_OF_REALITYSCAN.match(head) is not None or b"capturingreality" in head
    except OSError:
        return False


def unread_pictures(root: Path, files: Iterable[PurePosixPath], folder: Path) -> tuple[str, ...]:
    """Return a warning about pictures next to the photographs that are not read.

    Args:
        root: the folder that the user named.
        files: the paths of its files, relative to it.
        folder: the folder of the photographs.
    """
    near = [path for path in files if (root / path).is_relative_to(folder)]
    others = [path for path in near if is_one_of(path.name, (*RAW_ENDINGS, *OTHER_PICTURE_ENDINGS, *PANORAMA_ENDINGS))]
    if not others:
        return ()
    return (f"{len(others)} pictures in formats that are not read were skipped (first: {root / others[0]}).",)


def unread_masks(root: Path, files: Sequence[PurePosixPath], used: set[Path]) -> list[str]:
    """Return what may be masks but is not read, each as a part of a sentence.

    Args:
        root: the folder.
        files: the paths of its files, relative to it.
        used: the photographs, and files and folders that a warning already names.
    """
    stems = {(file.parent, folded(file.stem)) for file in used}
    found: list[str] = []
    folders: set[PurePosixPath] = set()
    beside: list[PurePosixPath] = []
    photographs = {parent for file in used for parent in (file, *file.parents)}
    for path in files:
        if root / path in used:
            continue
        stem = without_ending(path.name, _MASK_FILES)
        named = says_masks(stem.partition(".")[0]) or any(map(_ANNOTATIONS.fullmatch, re.split(r"[._]", stem.lower())))
        if named and stem != path.name:
            found.append(f"found the file {root / path}{_remedy(path)}")
        elif path.suffix.lower() in (".json", ".xml", ".txt") and ((root / path).parent, folded(path.stem)) in stems:
            beside.append(path)
        folder = next((up for up in path.parents[-2::-1] if _says_labels(up.name)), None)
        if folder is not None and root / folder not in photographs:
            folders.add(folder)
    if beside:
        said = (
            AS_COCO if beside[0].suffix.lower() != ".json" else "; if they are masks, move them to a folder named masks"
        )
        found.append(f"{len(beside)} files have the names of photographs (first: {root / beside[0]}){said}")
    texts = {
        folder
        for folder in folders
        if folded(folder.name) == _SUPERVISELY
        or any(path.suffix.lower() == ".txt" for path in files if folder in path.parents)
    }
    return found + [
        f"found the folder {root / folder}{AS_COCO if folder in texts else AS_MASK_FOLDER}"
        for folder in sorted(folders)
    ]


def _remedy(file: PurePosixPath) -> str:
    """Return what to do with a file that may contain masks of many photographs, as a part of a sentence."""
    ending = file.suffix.lower()
    if ending in ARCHIVE_ENDINGS:
        return "; extract it"
    if ending in (".json", ".xml", ".txt"):
        return AS_COCO
    return "; write one file for each photograph into a folder named masks"


def _says_labels(name: str) -> bool:
    if "anon" in re.split(r"[ ._\-]+", name.lower()):
        return False  # ScanNet++: pixels that are not anonymised
    return any(map(_MASK_WORDS.fullmatch, re.split(r"[ ._\-\d]+", name.lower()))) or says_masks(name)


def not_a_folder(path: Path) -> BadScene:
    """Return the error for a scene that is a file of a kind that is not read, with what to do."""
    with path.open("rb") as file:
        head = file.read(64)
    name = path.name.lower()
    kind, remedy = "a file, not a scene folder", "Give the folder that contains the photographs."
    if not head:
        kind, remedy = "empty", "Copy it again."
    elif head.startswith(LFS_POINTER):
        kind, remedy = "a pointer of Git LFS without the content", "Run git lfs pull in its repository."
    elif is_one_of(name, ARCHIVE_ENDINGS):
        kind, remedy = "an archive", "Extract it, and give the folder or the file with its content."
    elif name.endswith(".ply"):
        kind = "a PLY file without Gaussians" if head[:3] == b"ply" else "not a PLY file: it does not begin with 'ply'"
        remedy = "Give a PLY file written by a 3D Gaussian splatting trainer."
    elif is_one_of(name, _OTHER_SCENES):
        kind, remedy = "not a splat file that is read", "Convert it to .ply, .spz, .sog or .splat."
    elif is_one_of(name, PANORAMA_ENDINGS):
        kind, remedy = "from a camera with two fisheye lenses", "Export photographs with a perspective lens."
    elif is_one_of(name, (*PHOTOGRAPH_ENDINGS, *HEIF_ENDINGS, *RAW_ENDINGS, *OTHER_PICTURE_ENDINGS)):
        kind, remedy = "a single picture", "Give the folder that contains all photographs."
    return BadScene(f"{path} is {kind}.", remedy)


def unread_kinds(root: Path, files: Sequence[PurePosixPath]) -> tuple[str, str] | None:
    """Return what a folder without readable content contains, and what to do; None if that is unknown."""
    kinds = (
        (RAW_ENDINGS, "raw photographs", "Convert them to JPEG or PNG."),
        (PANORAMA_ENDINGS, "files of a camera with two fisheye lenses", "Export photographs with a perspective lens."),
        (OTHER_PICTURE_ENDINGS, "pictures in another format", "Convert them to JPEG or PNG."),
        (ARCHIVE_ENDINGS, "archives", "Extract them."),
        (_CHECKPOINTS, "checkpoints of a training", "Export its Gaussians as .ply."),
        (_OTHER_SCENES, "scenes in another format", "Convert them to .ply, .spz, .sog or .splat."),
    )
    if missing := placeholders(root):
        return (
            f"{root} contains {len(missing)} files that are not on this machine but in iCloud (first: "
            f"{missing[0].name}).",
            "Download them first.",
        )
    if sog := [path for path in files if is_sog_part(path.name)]:
        return (
            f"{root / sog[0].parent} contains images of an extracted SOG file, but not its meta.json.",
            "Extract the file again.",
        )
    for endings, what, remedy in kinds:
        names = [str(path) for path in files if path.suffix.lower() in endings]
        if names:
            return f"{root} contains {what}, which are not read: {first_of(names)}.", remedy
    return None


def placeholders(folder: Path) -> list[Path]:
    """Return the files in a folder that stand for photographs which iCloud has not downloaded, sorted."""
    return sorted(path for path in folder.iterdir() if path.name.startswith(".") and path.suffix.lower() == ".icloud")


def unread_placeholders(folder: Path) -> tuple[str, ...]:
    """Return a warning about photographs in a folder that iCloud has not downloaded."""
    missing = placeholders(folder)
    if not missing:
        return ()
    return (
        f"{len(missing)} files in {folder} are not on this machine but in iCloud, and were skipped (first: "
        f"{missing[0].name}). Download them first.",
    )
