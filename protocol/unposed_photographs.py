"""Selects, by name, the photographs of a folder without cameras: one file of each, and no copies or depth maps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from protocol.endings import HEIF_ENDINGS, PHOTOGRAPH_ENDINGS, is_one_of, without_ending
from protocol.folder_names import MASK_FOLDERS, PHOTOGRAPH_FOLDERS, folded, mask_folders
from protocol.other_pictures import is_auxiliary, original_of

HERE = PurePosixPath()
SPLITS = ("train", "training", "val", "valid", "validation", "test", "testing", "eval")
"""Folders of parts of one set of photographs, as Roboflow and many data sets have them."""
PREFERRED = (".jpg", ".jpeg", ".jfif", ".jpe", *HEIF_ENDINGS, ".webp", ".tif", ".tiff", ".png", ".bmp")
"""Endings of one photograph in several files, best first: a PNG next to a JPEG is a copy, a mask or a depth map."""


def photographs_in(paths: Sequence[PurePosixPath], place: PurePosixPath, *, deep: bool) -> list[PurePosixPath]:
    """Return the photographs in ``place``; if ``deep``, also those in its subfolders other than mask folders."""
    inside = [path for path in paths if path.is_relative_to(place) and (deep or path.parent == place)]
    folders = {name for path in inside for name in path.relative_to(place).parts[:-1]}
    of_masks = set(mask_folders(sorted(folders), MASK_FOLDERS))
    endings = (*PHOTOGRAPH_ENDINGS, *HEIF_ENDINGS)
    found = [p for p in inside if is_one_of(p.name, endings) and not of_masks & set(p.relative_to(place).parts[:-1])]
    return [path for path in found if not is_auxiliary(path.relative_to(place))] or found


def usual_folders_inside(
    paths: Sequence[PurePosixPath], found: dict[PurePosixPath, list[PurePosixPath]]
) -> dict[PurePosixPath, list[PurePosixPath]]:
    """Return the usual folders of photographs in the only folder that contains photographs, or that folder."""
    for place in found:
        inside = sorted({path.relative_to(place).parts[0] for path in found[place] if path.parent != place})
        usual = [name for name in inside if folded(name) in PHOTOGRAPH_FOLDERS]
        if usual:
            return {place / name: photographs_in(paths, place / name, deep=True) for name in usual}
    return found


def one_of_each(root: Path, pictures: Sequence[PurePosixPath]) -> tuple[list[PurePosixPath], list[str]]:
    """Return one file of each photograph, and a warning if others have the same name with another ending."""
    endings = Counter(path.suffix.lower() for path in pictures)

    def rank(path: PurePosixPath) -> tuple[int, int]:
        return -endings[path.suffix.lower()], PREFERRED.index(path.suffix.lower())

    best: dict[tuple[PurePosixPath, str], PurePosixPath] = {}
    for path in sorted(pictures, key=rank):
        best.setdefault((path.parent, folded(without_ending(path.name, PREFERRED))), path)
    kept = sorted(best.values())
    if len(kept) == len(pictures):
        return kept, []
    chosen = set(kept)
    first = next(path for path in sorted(pictures) if path not in chosen)
    used = best[first.parent, folded(without_ending(first.name, PREFERRED))]
    return kept, [
        f"{len(pictures) - len(kept)} photographs in {root} have the name of another one with a different ending and "
        f"were skipped (first: {first}; {used.name} is used)."
    ]


def without_copies(root: Path, pictures: Sequence[PurePosixPath]) -> tuple[list[PurePosixPath], list[str]]:
    """Return the pictures without thumbnails and masked copies of others, and a warning about these."""
    names = {(path.parent, folded(without_ending(path.name, PREFERRED))) for path in pictures}

    def is_copy(path: PurePosixPath) -> bool:
        original = original_of(folded(without_ending(path.name, PREFERRED)))
        return original is not None and (path.parent, original) in names

    copies = [path for path in pictures if is_copy(path)]
    if not copies:
        return list(pictures), []
    kept = [path for path in pictures if not is_copy(path)]
    return kept, [
        f"{len(copies)} pictures in {root} are thumbnails or masked copies of photographs and were skipped "
        f"(first: {copies[0]})."
    ]


def not_photographs(root: Path, paths: Sequence[PurePosixPath], place: PurePosixPath) -> list[str]:
    """Return a warning about depth maps and similar pictures among the photographs."""
    inside = [path for path in paths if path.is_relative_to(place) and is_one_of(path.name, PREFERRED)]
    others = [path for path in inside if path.parent.is_relative_to(place) and is_auxiliary(path.relative_to(place))]
    near = [path for path in others if path.parent == place]
    if not near or len(near) == sum(path.parent == place for path in inside):
        return []
    return [f"{len(near)} depth maps among the photographs in {root / place} were skipped (first: {near[0].name})."]
