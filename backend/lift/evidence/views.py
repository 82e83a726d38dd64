"""The views that lifting reads: cameras at the size of their masks, with one mask in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.scene.types import VOID, Camera, View
from protocol.errors import BadMask


@dataclass(frozen=True)
class MaskedView:
    """A camera and the instance mask seen through it.

    Attributes:
        name: of the view.
        camera: the camera, at the mask's size.
        mask: (H, W) int32, instance ids that are only valid in this view; 0 is background, or unlabelled if the
            segmenter does not distinguish these; :data:`~backend.scene.types.VOID` is unlabelled.
    """

    name: str
    camera: Camera
    mask: NDArray[np.int32]


@dataclass(frozen=True)
class LayeredView:
    """A camera with masks that may overlap.

    Attributes:
        name: of the view.
        camera: the camera, at the masks' size.
        layers, scores: as in :class:`backend.scene.mask_sets.MaskSet`.
    """

    name: str
    camera: Camera
    layers: NDArray[np.int32]
    scores: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class ChosenView:
    """A view with overlapping masks, some of which are selected.

    Attributes:
        view: on disk or in memory.
        numbers: (N + 1,) int32, the id that mask 1 to N gets; 0 if it is not used. Entry 0 is ignored.
    """

    view: View | MaskedView | LayeredView
    numbers: NDArray[np.int32]

    @property
    def name(self) -> str:
        """Name of the view."""
        return self.view.name


AnyView = View | MaskedView | LayeredView | ChosenView
"""The types of views with masks that lifting accepts."""


def layered_view(view: View | MaskedView | LayeredView) -> LayeredView | None:
    """Return a view with all its masks, read from disk if necessary; None if it has none."""
    if isinstance(view, LayeredView):
        return view
    if isinstance(view, MaskedView):
        return LayeredView(view.name, view.camera, view.mask[None])
    # Imported here because only masks on disk need the readers.
    from backend.scene.mask_sets import read_mask_set

    found = read_mask_set(view)
    if found is None:
        return None
    height, width = found.layers.shape[1:]
    return LayeredView(view.name, view.camera.resized(width, height), found.layers, found.scores)


def masked_views(views: Sequence[AnyView]) -> Iterator[MaskedView]:
    """Yield the views that have a mask, reading each only when it is requested.

    Ids are renumbered 1, 2, ... within their view, so any int32 ids are accepted; ids below 0 become ``VOID``.

    Raises:
        BadMask: if a mask has no pixels or is not a map of integers.
    """
    for view in views:
        if isinstance(view, MaskedView):
            mask, camera = view.mask, view.camera
        elif isinstance(view, LayeredView | ChosenView):
            mask, camera = _flat(view)
        else:
            if view.mask_path is None:
                continue
            # Imported here because only masks on disk need the readers.
            from backend.scene import read_mask

            mask, camera = read_mask(view), view.camera
        if mask is None:
            continue
        if mask.ndim != 2 or 0 in mask.shape or not np.issubdtype(mask.dtype, np.integer):
            raise BadMask(
                f"The mask of view {view.name} has shape {mask.shape} and dtype {mask.dtype}; "
                "a 2D map of integer ids is expected."
            )
        height, width = mask.shape
        yield MaskedView(view.name, camera.resized(width, height), compact(mask))


def _flat(view: LayeredView | ChosenView) -> tuple[NDArray[np.int32], Camera]:
    from backend.scene.mask_sets import flattened

    whole = view if isinstance(view, LayeredView) else layered_view(view.view)
    if whole is None:
        raise BadMask(f"The view {view.name} no longer has a mask.")
    if isinstance(view, ChosenView):
        return flattened(whole.layers, view.numbers), whole.camera
    return flattened(whole.layers, np.arange(int(whole.layers.max(initial=0)) + 1, dtype=np.int32)), whole.camera


def compact(mask: NDArray[np.integer]) -> NDArray[np.int32]:
    """Return ``mask`` with ids above 0 renumbered 1, 2, ... in ascending order and ids below 0 set to ``VOID``."""
    named = np.maximum(mask, 0)
    top = int(named.max(initial=0))
    if top > 4 * mask.size:
        ids, inverse = np.unique(named, return_inverse=True)
        numbers = inverse.reshape(mask.shape) + (ids[0] > 0)
    else:
        present = np.bincount(named.ravel(), minlength=top + 1) > 0
        present[0] = False
        numbers = np.where(present, np.cumsum(present), 0)[named]
    return np.where(mask < 0, VOID, numbers).astype(np.int32)
