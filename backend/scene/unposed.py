"""Photographs or a video without cameras: what is there to compute poses from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from backend.scene.files import Names
from backend.scene.load import holds_cameras
from backend.scene.masks import no_mask
from backend.scene.names import natural_key
from protocol.capture_names import (
    HEIF_ENDINGS,
    MASK_ENDINGS,
    MASK_FOLDERS,
    PHOTOGRAPH_ENDINGS,
    PHOTOGRAPH_FOLDERS,
    VIDEO_ENDINGS,
    customary,
    folded,
    is_one_of,
    mask_folders,
    match_masks,
)
from protocol.errors import BadMask, BadScene


@dataclass(frozen=True)
class Unposed:
    """Photographs or a video without cameras.

    Attributes:
        root: the folder or the video file that the user named.
        photographs: sorted by name, numbers by value; empty for a video.
        video: the video file, or None.
        masks: the folder of masks named after the photographs, or None.
        masks_beside: masks in the photographs' own folder, named as masks.
        masked: how many photographs have a mask.
        warnings: sentences for the user.
    """

    root: Path
    photographs: tuple[Path, ...] = ()
    video: Path | None = None
    masks: Path | None = None
    masks_beside: tuple[Path, ...] = ()
    masked: int = 0
    warnings: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """What a result calls the capture."""
        whole = self.root.resolve()
        return whole.stem if whole.is_file() else whole.name

    def path_below_root(self, photograph: Path) -> str:
        """Return the path of a photograph below the folder, with forward slashes."""
        return photograph.relative_to(self.root).as_posix()

    def no_mask(self) -> BadMask:
        """Return the error for a segmentation without masks."""
        if self.video is not None:
            return BadMask(
                f"The video {self.video} has no instance masks.",
                f"Run backend poses {self.root} --out FOLDER, put masks of FOLDER/images into FOLDER/masks, and "
                "segment FOLDER.",
            )
        return no_mask(len(self.photographs), self.root, f": looked in folders such as {', '.join(MASK_FOLDERS[:4])}")


def find_unposed(root: Path) -> Unposed | None:
    """Return the photographs or the video at ``root``; None where it is neither, or holds cameras.

    Photographs lie in the folder itself or in a customary folder such as ``images``. A folder without photographs may
    hold one video. Names alone are read.

    Raises:
        BadScene: if the folder holds several videos and no photographs, or cannot be read.
    """
    if root.is_file():
        return Unposed(root, video=root) if is_one_of(root.name, VIDEO_ENDINGS) else None
    if not root.is_dir():
        return None
    names = Names(root)
    if holds_cameras(names):
        return None
    usual = [name for name in names.of(root).folders if folded(name) in PHOTOGRAPH_FOLDERS]
    folders = [root, *(root / name for name in customary(usual, PHOTOGRAPH_FOLDERS))]
    found = {folder: _photographs(names, folder, deep=folder != root) for folder in folders}
    best = max(folders, key=lambda folder: len(found[folder]))
    photographs = found[best]
    videos = [name for name in names.of(root).files if is_one_of(name, VIDEO_ENDINGS)]
    if not photographs:
        if len(videos) > 1:
            raise BadScene(f"{root} holds {len(videos)} videos (first: {videos[0]}).", "Name one of them.")
        return Unposed(root, video=root / videos[0]) if videos else None
    beside = _beside(names, root, photographs)
    taken = tuple(file for file in photographs if file not in set(beside))
    said = [
        f"{len(others)} photographs in {folder} were left out; those in {best} are used."
        for folder, others in found.items()
        if others and folder != best
    ]
    if videos:
        said.append(f"{len(videos)} videos in {root} were left out; the photographs are used (first: {videos[0]}).")
    links = names.of(best).outside
    if links:
        said.append(f"{len(links)} links lead out of the scene folder and were not followed (first: {links[0]}).")
    masks, masked = _masks(names, best, taken)
    return Unposed(root, taken, None, masks, beside, masked, tuple(said)) if taken else None


def _photographs(names: Names, folder: Path, *, deep: bool) -> list[Path]:
    within = set(mask_folders(names.of(folder).folders, MASK_FOLDERS))
    files = names.below(folder) if deep else names.of(folder).files
    paths = [folder / file for file in files]
    endings = (*PHOTOGRAPH_ENDINGS, *HEIF_ENDINGS)
    taken = [p for p in paths if is_one_of(p.name, endings) and p.relative_to(folder).parts[0] not in within]
    return sorted(taken, key=lambda path: natural_key(path.relative_to(folder).as_posix()))


def _beside(names: Names, root: Path, photographs: list[Path]) -> tuple[Path, ...]:
    """Return the files in the photographs' folders that are masks of the photographs by their names."""
    files = [folder / name for folder in sorted({p.parent for p in photographs}) for name in names.of(folder).files]
    paths = [file.relative_to(root).as_posix() for file in files if is_one_of(file.name, MASK_ENDINGS)]
    match = match_masks([p.relative_to(root).as_posix() for p in photographs], paths, marked=True)
    return tuple(sorted(root / file for files in match.masks for file in files))


def _masks(names: Names, folder: Path, photographs: tuple[Path, ...]) -> tuple[Path | None, int]:
    """Return the folder of masks, and how many photographs have one."""
    paths = [path.relative_to(folder).as_posix() for path in photographs]
    for up in dict.fromkeys((names.root, folder)):
        for name in mask_folders(names.of(up).folders, MASK_FOLDERS):
            files = [file.as_posix() for file in names.below(up / name)]
            match = match_masks(paths, [file for file in files if is_one_of(file, MASK_ENDINGS)])
            if any(match.masks) or match.conflicts:
                return up / name, sum(map(bool, match.masks))
    return None, 0
