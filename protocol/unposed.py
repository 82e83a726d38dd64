"""Photographs or a video without cameras: selects by name the files of a folder that poses are computed from.

The backend uses this before it computes anything, the add-on before it uploads anything, so both give the same errors.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from protocol.annotations import ONE_ENTRY_EACH, Annotated, Id, find_annotated, may_be_annotations
from protocol.capture_names import (
    HEIF_ENDINGS,
    MASK_ENDINGS,
    MASK_FOLDERS,
    ONE_MASK_EACH,
    PHOTOGRAPH_ENDINGS,
    PHOTOGRAPH_FOLDERS,
    TRUTH,
    VIDEO_ENDINGS,
    MaskMatch,
    folded,
    is_auxiliary,
    is_one_of,
    mask_folders,
    names_among,
    original_of,
    without_ending,
    without_sog,
)
from protocol.errors import BadMask, BadScene, Fault
from protocol.lists import first_of
from protocol.mask_folders import FolderMatch, assumptions, match_beside, search_folders

FEWEST = 5
"""Least number of photographs, and of photographs with a pose, for which poses are computed."""
HERE = PurePosixPath()
SPLITS = ("train", "training", "val", "valid", "validation", "test", "testing", "eval")
"""Folders of parts of one set of photographs, as Roboflow and many data sets have them."""
PREFERRED = (".jpg", ".jpeg", ".jfif", ".jpe", *HEIF_ENDINGS, ".webp", ".tif", ".tiff", ".png", ".bmp")
"""Endings of one photograph in several files, best first: a PNG next to a JPEG is a copy, a mask or a depth map."""


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
        broken: files that may have annotations, but are not complete JSON.
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
    broken: tuple[Path, ...] = ()
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
    found = {HERE: _photographs(paths, HERE, deep=False)}
    found |= {place: _photographs(paths, place, deep=True) for place in _places(names_among(usual, PHOTOGRAPH_FOLDERS))}
    videos = [path for path in paths if is_one_of(path.name, VIDEO_ENDINGS)]
    here = [path for path in videos if path.parent == HERE]
    if not any(found.values()) and not here:
        others = [name for name in present if name not in set(mask_folders(present, MASK_FOLDERS))]
        found = {place: taken for place in _places(others) if (taken := _photographs(paths, place, deep=True))}
        found = {place: taken for place, taken in found.items() if not is_auxiliary(place / "file")} or found
        if len(found) > 1 and all(folded(place.name) in SPLITS for place in found):
            said = f"The photographs in {first_of([root / place for place in found])} were used together."
            return _with_masks(root, paths, HERE, sorted(p for taken in found.values() for p in taken), [said])
        if len(found) > 1:
            listed = first_of(list(found))
            raise BadScene(
                f"{root} contains photographs in several folders: {listed}.",
                "Give one of them, or move the photographs of all into a folder named images.",
            )
        found = _inner(paths, found)
        here = [path for path in videos if len(path.parts) == 2]
    if not any(found.values()):
        return _video(root, paths, here)
    best = max(found, key=lambda place: len(found[place]))
    originals, said = _without_copies(root, found[best])
    pictures, of_formats = _one_of_each(root, originals)
    said += of_formats
    said += _not_photographs(root, paths, best)
    said += [
        f"{len(others)} photographs in {root / place} were skipped; those in {root / best} are used."
        for place, others in found.items()
        if others and place != best
    ]
    if here:
        said.append(f"{len(here)} videos in {root} were skipped; the photographs are used (first: {here[0]}).")
    return _with_masks(root, paths, best, pictures, said)


def _inner(
    paths: Sequence[PurePosixPath], found: dict[PurePosixPath, list[PurePosixPath]]
) -> dict[PurePosixPath, list[PurePosixPath]]:
    """Return the usual folders of photographs in the only folder that contains photographs, or that folder."""
    for place in found:
        inside = sorted({path.relative_to(place).parts[0] for path in found[place] if path.parent != place})
        usual = [name for name in inside if folded(name) in PHOTOGRAPH_FOLDERS]
        if usual:
            return {place / name: _photographs(paths, place / name, deep=True) for name in usual}
    return found


def _one_of_each(root: Path, pictures: Sequence[PurePosixPath]) -> tuple[list[PurePosixPath], list[str]]:
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


def _without_copies(root: Path, pictures: Sequence[PurePosixPath]) -> tuple[list[PurePosixPath], list[str]]:
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


def _not_photographs(root: Path, paths: Sequence[PurePosixPath], place: PurePosixPath) -> list[str]:
    """Return a warning about depth maps and similar pictures among the photographs."""
    inside = [path for path in paths if path.is_relative_to(place) and is_one_of(path.name, PREFERRED)]
    others = [path for path in inside if path.parent.is_relative_to(place) and is_auxiliary(path.relative_to(place))]
    near = [path for path in others if path.parent == place]
    if not near or len(near) == sum(path.parent == place for path in inside):
        return []
    return [f"{len(near)} depth maps among the photographs in {root / place} were skipped (first: {near[0].name})."]


def _places(names: Iterable[str]) -> list[PurePosixPath]:
    return [PurePosixPath(name) for name in names]


def _photographs(paths: Sequence[PurePosixPath], place: PurePosixPath, *, deep: bool) -> list[PurePosixPath]:
    """Return the photographs in ``place``; if ``deep``, also those in its subfolders other than mask folders."""
    inside = [path for path in paths if path.is_relative_to(place) and (deep or path.parent == place)]
    folders = {name for path in inside for name in path.relative_to(place).parts[:-1]}
    of_masks = set(mask_folders(sorted(folders), MASK_FOLDERS))
    endings = (*PHOTOGRAPH_ENDINGS, *HEIF_ENDINGS)
    found = [p for p in inside if is_one_of(p.name, endings) and not of_masks & set(p.relative_to(place).parts[:-1])]
    return [path for path in found if not is_auxiliary(path.relative_to(place))] or found


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


def _with_masks(
    root: Path,
    paths: Sequence[PurePosixPath],
    place: PurePosixPath,
    pictures: Sequence[PurePosixPath],
    said: Sequence[str],
) -> Unposed | None:
    """Separate masks next to photographs from photographs, and find the masks: in folders, beside them or in files."""
    taken, beside = _separate(root, paths, pictures)
    if not taken:
        return None
    plain = Unposed(root, tuple(root / path for path in taken), folder=root / place, warnings=tuple(said))
    plain = replace(plain, masks_of=((),) * len(taken))
    found = _mask_folders(paths, place, taken)
    chosen = next((each for each in found if each.holds_masks), None)
    annotated = _annotated(root, paths, place, taken)
    if chosen is None and not beside.rows:
        strays = [each.base / file for each in found for file in each.match.strays]
        return _in_annotations(_with_strays(plain, strays), annotated)
    masked = _beside(plain, beside) if chosen is None else _in_folders(plain, paths, chosen)
    unread = [root / folder for each in found if each.holds_masks and each is not chosen for folder in each.folders]
    if unread := [*unread, *annotated.files]:
        masked = _warned(masked, f"{first_of(unread)} also contains masks, which were not read.")
    return _unmasked(masked)


def _separate(
    root: Path, paths: Sequence[PurePosixPath], pictures: Sequence[PurePosixPath]
) -> tuple[list[PurePosixPath], MaskMatch]:
    """Return the photographs among ``pictures``, and the masks in their folders."""
    near = {path.parent for path in pictures}
    candidates = [str(path) for path in paths if path.parent in near and is_one_of(path.name, MASK_ENDINGS)]
    marked = match_beside(root, list(map(str, pictures)), candidates)
    is_mask = {file for files in marked.masks for file in files} | {f for c in marked.conflicts.values() for f in c}
    rows = [number for number, path in enumerate(pictures) if str(path) not in is_mask]
    conflicts = {row: marked.conflicts[number] for row, number in enumerate(rows) if number in marked.conflicts}
    return [pictures[row] for row in rows], MaskMatch([marked.masks[row] for row in rows], conflicts, [], [])


def _warned(found: Unposed, *said: str) -> Unposed:
    return replace(found, warnings=(*found.warnings, *said))


def _with_strays(found: Unposed, strays: Sequence[PurePosixPath]) -> Unposed:
    """Add the files in folders of masks of which none is the mask of a photograph."""
    if not strays:
        return found
    parent = found.root / strays[0].parent
    said = f"The folder {parent} contains no mask with the name of a photograph (first: {strays[0].name})."
    return _warned(replace(found, strays=tuple(found.root / path for path in strays)), said)


def _matched(found: Unposed, match: MaskMatch, base: PurePosixPath, where: Path) -> Unposed:
    """Add the masks of a match, whose files are relative to ``base``."""
    masks_of = tuple(tuple(found.root / base / file for file in files) for files in match.masks)
    rivals = next(iter(match.conflicts.values()), [])
    found = replace(
        found,
        masks_of=masks_of,
        masked=len(match.rows),
        rivals=tuple(found.root / base / file for file in rivals),
    )
    return _warned(found, *assumptions(match, found.root / base, where, found.photographs))


def _beside(found: Unposed, match: MaskMatch) -> Unposed:
    """Add masks in the folders of the photographs."""
    files = sorted({file for files in match.masks for file in files})
    found = replace(found, masks_beside=tuple(found.root / file for file in files))
    return _matched(found, match, HERE, found.folder or found.root)


def _in_folders(found: Unposed, paths: Sequence[PurePosixPath], chosen: FolderMatch) -> Unposed:
    """Add the masks in one folder, or in one folder for each camera."""
    root = found.root
    inside = [root / path for path in paths if set(chosen.folders) & set(path.parents)]
    first = root / chosen.folders[0]
    if len(chosen.folders) > 1:
        said = f"The masks were read from {len(chosen.folders)} folders, one for each camera (first: {first})."
        found = _warned(replace(found, masks_beside=tuple(inside)), said)
        return _matched(found, chosen.match, chosen.base, found.folder or root)
    files = tuple(path for path in inside if is_one_of(path.name, MASK_ENDINGS))
    return _matched(replace(found, masks=first, mask_files=files), chosen.match, chosen.base, first)


def _in_annotations(found: Unposed, annotated: Annotated) -> Unposed:
    """Add the masks in files of COCO's format, if there are any."""
    found = _warned(replace(found, broken=tuple(annotated.broken)), *annotated.warnings)
    if not annotated.files:
        return found
    masks_of = tuple(() if entry is None else (entry[0],) for entry in annotated.entries)
    found = replace(
        found,
        masks=annotated.files[0],
        mask_files=tuple(annotated.files),
        masks_of=masks_of,
        entries=tuple(None if entry is None else entry[1] for entry in annotated.entries),
        masked=sum(map(bool, masks_of)),
        unclear=tuple(annotated.rivals[:1]),
    )
    return _unmasked(_warned(found, f"The masks were read from {first_of(annotated.files)}."))


def _unmasked(found: Unposed) -> Unposed:
    """Add a warning if some photographs have no mask and others have one."""
    bare = [path for path, masks in zip(found.photographs, found.masks_of, strict=True) if not masks]
    if not bare or not any(found.masks_of):
        return found
    return _warned(found, f"{len(bare)} of {len(found.photographs)} photographs have no mask (first: {bare[0]}).")


def _annotated(
    root: Path, paths: Sequence[PurePosixPath], place: PurePosixPath, photographs: Sequence[PurePosixPath]
) -> Annotated:
    """Return the masks in files of COCO's format: the one with the most photographs, and others with other ones.

    A warning names files that were not read.
    """
    names = [str(path.relative_to(place)) for path in photographs]
    tried = [find_annotated(names, [root / path]) for path in paths if may_be_annotations(path)]
    joined = Annotated([None] * len(names), [], [])
    others: list[Path] = []
    for each in sorted(tried, key=lambda one: one.count, reverse=True):
        if joined.count and any(old and new for old, new in zip(joined.entries, each.entries, strict=True)):
            others += each.files
        else:
            entries = [old or new for old, new in zip(joined.entries, each.entries, strict=True)]
            joined = Annotated(
                entries,
                [*joined.rivals, *each.rivals],
                [*joined.warnings, *each.warnings],
                [*joined.broken, *each.broken],
            )
    said = [f"{first_of(others)} also contains masks, which were not read."] if others else []
    return replace(joined, warnings=[*joined.warnings, *said])


def _mask_folders(
    paths: Sequence[PurePosixPath], place: PurePosixPath, photographs: Sequence[PurePosixPath]
) -> list[FolderMatch]:
    """Return the masks of each folder of masks, in the order of preference."""
    above = sorted({up for path in photographs for up in path.parents}, key=lambda up: (up != HERE, up != place, up))
    return search_folders(photographs, [path for path in paths if is_one_of(path.name, MASK_ENDINGS)], above)
