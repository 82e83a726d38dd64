"""`Unposed`: photographs or a video without cameras, for which poses are computed, and their masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from protocol.annotations import ONE_ENTRY_EACH, Id
from protocol.errors import BadMask, BadScene, Fault
from protocol.lists import first_of
from protocol.mask_names import ONE_MASK_EACH

FEWEST = 5
"""Least number of photographs, and of photographs with a pose, for which poses are computed."""


@dataclass(frozen=True)
class Unposed:
    """Photographs or a video without cameras. All paths are below ``root``, or equal to it if it is a video file.

    Attributes:
        root: the folder or the video file that the user named.
        photographs: sorted by name; empty for a video.
        video: the video file, or None.
        folder: the folder with the photographs.
        masks: the folder of masks named after the photographs, a file in COCO's format, the first of several, or None.
        masks_beside: masks in the folder of the photographs, or in a folder of masks for each camera inside it; empty
            if there is one folder of masks.
        mask_files: the files in ``masks``, or all files in COCO's format.
        masks_of: for each photograph its mask: no file, one, or one per instance.
        entries: for each photograph the id of its entry in its file of COCO's format; empty if there are no such files.
        masked: number of photographs with a mask.
        rivals: several files that each may be the mask of one photograph; this is refused.
        unclear: a sentence about a photograph with several entries in a file of masks; this is refused.
        strays: files in mask folders that match no photograph, if no photograph has a mask.
        named: files of annotations that a warning names.
        warnings: sentences for the user.
    """

    root: Path
    photographs: tuple[Path, ...] = ()
    video: Path | None = None
    folder: Path | None = None
    masks: Path | None = None
    masks_beside: tuple[Path, ...] = ()
    mask_files: tuple[Path, ...] = ()
    masks_of: tuple[tuple[Path, ...], ...] = ()
    entries: tuple[Id | None, ...] = ()
    masked: int = 0
    rivals: tuple[Path, ...] = ()
    unclear: tuple[str, ...] = ()
    strays: tuple[Path, ...] = ()
    named: tuple[Path, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Name of the capture in a result."""
        whole = self.root.resolve()
        return whole.stem if whole.is_file() else whole.name

    @property
    def masks_from(self) -> Path | None:
        """The folder or file that contains the masks, or None if there are none."""
        return self.masks or (self.folder if self.masks_beside else None)

    @property
    def files(self) -> tuple[Path, ...]:
        """All files that a segmentation reads."""
        video = () if self.video is None else (self.video,)
        return (*video, *self.photographs, *self.masks_beside, *self.mask_files)

    def path_below_root(self, photograph: Path) -> str:
        """Return the path of a photograph below the folder, with forward slashes."""
        return photograph.relative_to(self.root).as_posix()

    def refusal(self) -> Fault | None:
        """Return why the folder is refused: too few photographs or ambiguous masks; None if it is accepted."""
        if self.rivals:
            return BadMask(
                f"Several files match one photograph as its mask: {first_of(self.rivals)}.",
                ONE_MASK_EACH,
            )
        if self.unclear:
            return BadMask(f"{self.unclear[0]}.", ONE_ENTRY_EACH)
        if self.video is None and len(self.photographs) < FEWEST:
            return too_few(self.root, len(self.photographs), "photographs")
        return None


def too_few(root: Path, count: int, kind: str, unreadable: Sequence[str] = ()) -> BadScene:
    """Return the error for too few photographs or frames to compute poses from.

    Args:
        root: the path that the user gave.
        count: number of readable ones.
        kind: "photographs" or "frames".
        unreadable: names of the unreadable ones.
    """
    bad = f" that are readable ({first_of(unreadable)} are not)" if unreadable else ""
    remedy = "Take 30 or more photographs, all around the scene."
    if count + len(unreadable) >= FEWEST:
        remedy = "Copy the unreadable files again, or save them as JPEG or PNG."
    return BadScene(f"{root} holds {count} {kind}{bad}; poses need at least {FEWEST}.", remedy)


def splats_not_read(file: Path) -> str:
    """Return a warning about a file of Gaussians next to photographs without cameras."""
    return (
        f"The Gaussians in {file} were not read because their cameras are missing. To segment them without "
        "photographs, give that file."
    )
