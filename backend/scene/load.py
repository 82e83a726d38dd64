"""`load_scene`: detects a folder's layout, reads it, names its views and finds their masks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from backend.scene.capture import Capture
from backend.scene.colmap import MODEL_FOLDER, find_models, found_in_part, read_colmap
from backend.scene.files import Names
from backend.scene.mask_check import check_masks
from backend.scene.mask_fit import fit_masks
from backend.scene.masks import find_masks
from backend.scene.messy_rooms import FOLDER, read_messy_rooms
from backend.scene.messy_rooms import LIST as METADATA
from backend.scene.names import view_names
from backend.scene.nerf_synthetic import TEST, TRAIN, read_nerf_synthetic
from backend.scene.panoptic_lifting import INTRINSIC, read_panoptic_lifting
from backend.scene.photographs import NoPhotographs
from backend.scene.transforms import LIST as TRANSFORMS
from backend.scene.transforms import read_transforms
from backend.scene.transparency import with_transparency
from backend.scene.types import MaskIds, Scene, View
from backend.scene.unread import not_a_folder, unread_kinds
from protocol.errors import BadScene, readable
from protocol.folder_names import TRUTH, folded
from protocol.lists import first_of
from protocol.natural_order import natural_key

READERS = {
    "colmap": read_colmap,
    "transforms": read_transforms,
    "nerf-synthetic": read_nerf_synthetic,
    "messy-rooms": read_messy_rooms,
    "panoptic-lifting": read_panoptic_lifting,
}
DEPTH = 3
"""Levels of subfolders that are searched for a capture: COLMAP writes one to dense/0."""
MOST_CAPTURES = 20
"""Most captures in subfolders that are tried; with more, the user has to name one."""
NEAR = 1e-9
"""Largest distance between camera positions, relative to their coordinates, that counts as none."""
FOUND_MOST = 3
"""Most findings that one sentence lists."""


def load_scene(root: Path, masks: Path | Sequence[Path] | None = None, mask_ids: MaskIds | None = None) -> Scene:
    """Return the capture in the folder ``root``; reads headers, and the pixels of a few masks and photographs.

    The first matching layout is used: COLMAP, nerfstudio and instant-ngp, NeRF-synthetic, Messy-Rooms, ScanNet and
    Replica as prepared for Panoptic-Lifting. If none matches, or its photographs are missing, the only capture in the
    nearest subfolders is used. Input with only one interpretation is read, with a warning about the assumption. Nothing
    outside ``root`` and ``masks`` is read.

    Args:
        root: the folder.
        masks: the folder of the masks, or one or several files in COCO's format; None for the usual places of the
            layout.
        mask_ids: ids that are not objects.

    Raises:
        BadScene: if no layout matches, a file is damaged, a camera or pose is not usable, no photograph exists, or a
            path or a capture is ambiguous.
        BadMask: if a mask cannot be read, does not fit its photograph, ``masks`` contains no mask, or several files may
            be the mask of one photograph.
        BadArgument: if ``masks`` is not a folder.
    """
    if not root.is_dir():
        if root.is_file():
            raise not_a_folder(root)
        raise BadScene(f"The scene folder {root} does not exist.", "Check the path.")
    names = Names(root)
    layout, place, capture = _read(names)
    view_titles = view_names([shot.path for shot in capture.shots])
    found = find_masks(names, place, capture, view_titles, masks)
    entries = found.entries or [None] * len(capture.shots)
    views = [
        View(
            title,
            shot.camera,
            shot.file,
            files[0] if files else None,
            shot.lens,
            shot.held_out,
            files if len(files) > 1 else (),
            entry,
            mask_ids=mask_ids or MaskIds(),
        )
        for title, shot, files, entry in zip(view_titles, capture.shots, found.files, entries, strict=True)
    ]
    views.sort(key=lambda view: natural_key(view.name))
    views, turned = fit_masks(views)
    views, transparent = with_transparency(views, capture.points, "empty" if capture.cut_out else None)
    warnings = (
        *capture.warnings,
        *_unlisted(capture, {file for files in found.files for file in files}),
        *transparent,
        *_at_one_place(views),
        *found.warnings,
        *turned,
        *check_masks(views),
    )
    said = tuple(readable(warning) for warning in warnings)
    return Scene(
        root,
        layout,
        tuple(views),
        capture.points,
        capture.colours,
        said,
        capture.matched,
        masks_from=found.source,
        without_masks=found.without,
    )


def holds_cameras(names: Names) -> bool:
    """Whether a known layout, a part of one, or a link to one is in the folder or its subfolders."""
    if {folded(name) for name in names.of(names.root).outside} & {MODEL_FOLDER, TRANSFORMS, TRAIN}:
        return True
    places = [place for level in ([names.root], *_below(names)) for place in level]
    return any(_layouts(names, place) or found_in_part(names, place) for place in places)


def describe_scene(scene: Scene) -> str:
    """Return one line for the user: "colmap scene, 80 views of 400 x 400, 80 masks, 8,000 points"."""
    sizes = sorted({(view.camera.width, view.camera.height) for view in scene.views})
    (w, h), (W, H) = sizes[0], sizes[-1]
    size = f"{w} x {h}" if len(sizes) == 1 else f"{w} x {h} to {W} x {H}"
    masks = sum(view.mask_path is not None for view in scene.views)
    return f"{scene.layout} scene, {len(scene.views)} views of {size}, {masks} masks, {len(scene.points):,} points"


def _layouts(names: Names, place: Path) -> list[str]:
    """Return the layouts whose camera files are in ``place``, in order of preference."""
    here = names.of(place)
    folder, _, file = INTRINSIC.partition("/")
    is_there = {
        "colmap": bool(find_models(names, place)),
        "transforms": names.file(place, TRANSFORMS) is not None,
        "nerf-synthetic": any(names.file(place, name) for name in (TRAIN, TEST)),
        "messy-rooms": FOLDER in here.folders and METADATA in here.files,
        "panoptic-lifting": FOLDER in here.folders and file in names.of(place / folder).files,
    }
    return [layout for layout in READERS if is_there[layout]]


Reading = tuple[str, Path, Capture]


def _read(names: Names) -> Reading:
    """Return layout, folder and capture: of the scene folder itself, else of its only subfolder with one."""
    failure: BadScene | None = None
    for level in ([names.root], *_below(names)):
        found = [(place, layouts) for place in level if (layouts := _layouts(names, place))]
        if len(found) > MOST_CAPTURES:
            raise _several(names, [place for place, _ in found])
        read: list[Reading] = []
        for place, layouts in found:
            try:
                read.append(_read_place(names, place, layouts))
            except NoPhotographs as error:
                failure = failure or error
        if read:
            return _chosen(names, read)
    raise failure or _unknown(names)


def _read_place(names: Names, place: Path, layouts: Sequence[str]) -> Reading:
    """Read the folder in the first of several layouts that has photographs; a warning names the others.

    Raises:
        NoPhotographs: if none of the layouts has photographs.
    """
    failure: NoPhotographs | None = None
    for layout in layouts:
        try:
            capture = READERS[layout](names, place)
        except NoPhotographs as error:
            failure = failure or error
            continue
        others = " and ".join(other for other in layouts if other != layout)
        said = (
            (f"{place} was read in the layout {layout}; it also contains cameras in the layout {others}.",)
            if others
            else ()
        )
        return layout, place, replace(capture, warnings=(*said, *capture.warnings))
    assert failure is not None
    raise failure


def _below(names: Names) -> Iterator[list[Path]]:
    """Yield the folders one level below, two levels below and so on that may contain a capture."""
    level = [names.root]
    for _ in range(DEPTH):
        level = [
            place / name
            for place in level
            for name in sorted(names.of(place).folders, key=natural_key)
            if folded(name) not in (MODEL_FOLDER, TRUTH)
        ]
        yield level


def _chosen(names: Names, read: Sequence[Reading]) -> Reading:
    """Return the only capture, or the largest of numbered ones, which are COLMAP models of the same photographs.

    Raises:
        BadScene: if there are several captures of any other kind.
    """
    places = [place for _, place, _ in read]
    numbered = all(place.name.isdecimal() for place in places) and len({place.parent for place in places}) == 1
    if len(read) > 1 and not numbered:
        raise _several(names, places)
    layout, place, capture = max(read, key=lambda each: len(each[2].shots))
    if place == names.root:
        return layout, place, capture
    said = f"The capture was read from {place}."
    if len(read) > 1:
        others = ", ".join(f"{other} with {len(each.shots)}" for _, other, each in read if other != place)
        said = (
            f"The capture was read from {place}, which has the most photographs, {len(capture.shots)}; "
            f"not read: {others}."
        )
    return layout, place, replace(capture, warnings=(said, *capture.warnings))


def _several(names: Names, places: Sequence[Path]) -> BadScene:
    listed = first_of([place.relative_to(names.root).as_posix() for place in places], 5)
    return BadScene(f"{names.root} contains several captures: {listed}.", "Give the folder of one of them.")


def _unknown(names: Names) -> BadScene:
    """Return the error with what was expected and what was found."""
    parts = [
        each for level in ([names.root], *_below(names)) for place in level for each in found_in_part(names, place)
    ]
    links = [
        f"{names.root / name} leads out of the scene folder and was ignored" for name in names.of(names.root).outside
    ]
    here = names.of(names.root)
    below = names.below(names.root)
    unread = None if parts or links else unread_kinds(names.root, below)
    if unread is not None:
        return BadScene(*unread)
    entries = [*(f"{name}/" for name in here.folders), *here.files]
    if not entries and not links:
        return BadScene(f"{names.root} is empty.", "Copy the photographs into it.")
    listed = [f"found {first_of(entries)}"] if entries else []
    there = "".join(f"; {each}" for each in (parts or listed)[:FOUND_MOST] + links[:1])
    remedy = "Run COLMAP on the photographs, or give the folder with its result."
    if links and not parts:
        remedy = "Copy the files into the scene folder, because nothing outside it is read."
    return BadScene(
        f"{names.root} is not a readable scene folder: expected cameras, images and points3D (.bin or .txt) in "
        f"sparse/0, sparse or the folder itself, or {TRANSFORMS}, or {TRAIN}, or {METADATA} with {FOLDER}/, "
        f"or {INTRINSIC} with {FOLDER}/, in this folder or in its subfolders{there}.",
        remedy,
    )


def _unlisted(capture: Capture, masks: set[Path]) -> tuple[str, ...]:
    others = [file for file in capture.others if file not in masks]
    if not others:
        return ()
    total = len(others) + len(capture.shots)
    return (
        f"{len(others)} of {total} photographs have no pose in {capture.listing} and were skipped (first: "
        f"{others[0]}).",
    )


def _at_one_place(views: Sequence[View]) -> tuple[str, ...]:
    """Warn if all cameras have the same position, from which no depth can be seen."""
    centres = np.array([np.linalg.inv(view.camera.viewmat)[:3, 3] for view in views])
    if len(views) < 2 or np.ptp(centres, 0).max() > NEAR * max(1.0, np.abs(centres).max()):
        return ()
    return (
        f"All {len(views)} cameras have the same position, so the depth of the scene cannot be reconstructed. Check "
        "the poses.",
    )
