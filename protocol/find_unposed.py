"""Finds photographs or a video without cameras in a folder, by name.

The backend uses this before it computes anything, the add-on before it uploads anything, so both give the same errors.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from protocol.endings import VIDEO_ENDINGS, is_one_of
from protocol.errors import BadScene
from protocol.folder_names import MASK_FOLDERS, PHOTOGRAPH_FOLDERS, TRUTH, folded, mask_folders, names_among
from protocol.lists import first_of
from protocol.other_pictures import is_auxiliary
from protocol.splat_files import without_sog
from protocol.unposed import Unposed
from protocol.unposed_masks import with_masks
from protocol.unposed_photographs import (
    HERE,
    SPLITS,
    not_photographs,
    one_of_each,
    photographs_in,
    usual_folders_inside,
    without_copies,
)


def find_in(root: Path, files: Iterable[PurePosixPath]) -> Unposed | None:
    """Return the photographs or the video among ``files``; None if there are neither.

    Photographs are searched in the folder itself and in folders with usual names such as ``images``; then, in this
    order: a video in the folder, the only subfolder with photographs, the only video in a subfolder.

    Args:
        root: the folder.
        files: all files below it, as relative paths, without hidden files.

    Raises:
        BadScene: if several folders or videos are possible.
    """
    paths = without_sog(sorted(path for path in files if TRUTH not in path.parts))
    present = sorted({path.parts[0] for path in paths if len(path.parts) > 1})
    usual = [name for name in present if folded(name) in PHOTOGRAPH_FOLDERS]
    found = {HERE: photographs_in(paths, HERE, deep=False)}
    found |= {
        place: photographs_in(paths, place, deep=True) for place in _paths(names_among(usual, PHOTOGRAPH_FOLDERS))
    }
    videos = [path for path in paths if is_one_of(path.name, VIDEO_ENDINGS)]
    here = [path for path in videos if path.parent == HERE]
    if not any(found.values()) and not here:
        others = [name for name in present if name not in set(mask_folders(present, MASK_FOLDERS))]
        found = {place: taken for place in _paths(others) if (taken := photographs_in(paths, place, deep=True))}
        found = {place: taken for place, taken in found.items() if not is_auxiliary(place / "file")} or found
        if len(found) > 1 and all(folded(place.name) in SPLITS for place in found):
            said = f"The photographs in {first_of([root / place for place in found])} were used together."
            return with_masks(root, paths, HERE, sorted(p for taken in found.values() for p in taken), [said])
        if len(found) > 1:
            listed = first_of(list(found))
            raise BadScene(
                f"{root} contains photographs in several folders: {listed}.",
                "Give one of them, or move the photographs of all into a folder named images.",
            )
        found = usual_folders_inside(paths, found)
        here = [path for path in videos if len(path.parts) == 2]
    if not any(found.values()):
        return _video(root, paths, here)
    best = max(found, key=lambda place: len(found[place]))
    originals, said = without_copies(root, found[best])
    pictures, of_formats = one_of_each(root, originals)
    said += of_formats
    said += not_photographs(root, paths, best)
    said += [
        f"{len(others)} photographs in {root / place} were skipped; those in {root / best} are used."
        for place, others in found.items()
        if others and place != best
    ]
    if here:
        said.append(f"{len(here)} videos in {root} were skipped; the photographs are used (first: {here[0]}).")
    return with_masks(root, paths, best, pictures, said)


def _video(root: Path, paths: Sequence[PurePosixPath], videos: Sequence[PurePosixPath]) -> Unposed | None:
    if len(videos) > 1:
        raise BadScene(f"{root} holds {len(videos)} videos (first: {videos[0]}).", "Give one of them.")
    if not videos:
        return None
    present = sorted({path.parts[0] for path in paths if len(path.parts) > 1})
    of_masks = [name for name in mask_folders(present, MASK_FOLDERS) if PurePosixPath(name) != videos[0].parent]
    said = tuple(
        f"The masks in {root / name} were skipped because the frames of the video have no names yet. Run backend "
        "poses to write the frames."
        for name in of_masks
    )
    return Unposed(root, video=root / videos[0], warnings=said)


def _paths(names: Iterable[str]) -> list[PurePosixPath]:
    return [PurePosixPath(name) for name in names]
