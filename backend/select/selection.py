"""Selects the object of a Gaussian or a pixel of a result.

This is the object selection of Contrastive Gaussian Clustering (section 4.2): all Gaussians whose feature has a cosine
of at least 0.7 with the clicked one, and all pixels whose rendered feature does (eq. 6). Without an embedding,
everything with the label of the clicked Gaussian is selected, and the selection says so.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.lift.label_maps import label_map
from backend.objects.result import read_views
from backend.render import Renderer
from backend.scene.lens import Lens
from backend.scene.types import Camera
from backend.scene.wide_pinhole import WidePinhole, wide_pinhole
from backend.select.hull import inside_hull
from protocol.errors import BadArgument, NotFound
from protocol.lists import first_of
from protocol.result.embedding import read_embedding
from protocol.result.gaussians import read_splats
from protocol.result.names import LABEL
from protocol.result.table import read_table
from protocol.splats import Splats

STRONGEST = 32
"""Gaussians of a pixel that tell its label or embedding."""
THRESHOLD = 0.7
"""The threshold t of the paper, a cosine."""


@dataclass(frozen=True)
class Opened:
    """A result prepared for repeated selections.

    Attributes:
        splats: N Gaussians.
        labels: (N,) int32; 0 is background.
        embedding: (N, d) float32, or None if the method trained none.
        cameras: undistorted, of the views, by name, at the size of the result's label maps.
        lenses: lens distortion of the photographs, by view name; views without distortion have no entry.
        up: up direction in the frame of the capture.
        method: the method that computed the labels.
        device: "auto", "cuda" or "cpu"; for rendering.
    """

    splats: Splats
    labels: NDArray[np.int32]
    embedding: NDArray[np.float32] | None
    cameras: dict[str, Camera]
    method: str
    device: str = "cpu"
    lenses: dict[str, Lens] = field(default_factory=dict)
    up: tuple[float, float, float] = (0.0, -1.0, 0.0)

    @cached_property
    def lengths(self) -> NDArray[np.float32]:
        """(N,) float32, norms of the embeddings."""
        assert self.embedding is not None
        return np.linalg.norm(self.embedding, axis=1)

    @cached_property
    def renderer(self) -> Renderer:
        """A renderer of the Gaussians."""
        return Renderer(self.splats, self.device)

    def camera(self, view: str) -> Camera:
        """Return the camera of a view.

        Raises:
            NotFound: if there is no such view.
        """
        if view not in self.cameras:
            raise NotFound(f"The result has no view {view!r}.", f"Its views: {first_of(list(self.cameras), 5)}.")
        return self.cameras[view]

    def wide(self, view: str) -> WidePinhole | None:
        """Return the camera to render a photograph with lens distortion with; None for one without distortion."""
        return wide_pinhole(self.lenses[view], self.camera(view)) if view in self.lenses else None


@dataclass(frozen=True)
class Selection:
    """A selection.

    Attributes:
        gaussians: (N,) bool.
        feature: (d,) float32, the feature that was compared; None if labels were used.
        threshold: of the cosine.
        objects: the selected labels, if labels were used; else empty.
    """

    gaussians: NDArray[np.bool_]
    feature: NDArray[np.float32] | None = None
    threshold: float = THRESHOLD
    objects: tuple[int, ...] = ()

    @property
    def label(self) -> int | None:
        """The selected label if there is exactly one, else None."""
        return self.objects[0] if len(self.objects) == 1 else None


def open_result(folder: Path, device: str = "cpu") -> Opened:
    """Read the files of a result folder that selections need.

    Raises:
        BadResult: if it is not a result, or a file is missing or broken. BadSplats: if its splat file is broken.
    """
    table = read_table(folder)
    splats = read_splats(folder)
    labels = splats.extra[LABEL].astype(np.int32)
    stored = read_embedding(folder, len(splats))
    embedding = None if stored is None else stored.astype(np.float32)
    views = read_views(folder)
    cameras = {name: camera for name, (camera, _) in views.items()}
    lenses = {name: lens for name, (_, lens) in views.items() if lens is not None}
    return Opened(splats.without_columns(), labels, embedding, cameras, table.method, device, lenses, table.up)


def select_gaussian(opened: Opened, gaussian: int, threshold: float = THRESHOLD, hull: bool = True) -> Selection:
    """Select the Gaussians that are similar to one Gaussian.

    Args:
        opened: the result.
        gaussian: 0 to N - 1, its row in ``splats.ply``.
        threshold: least cosine similarity of the embeddings.
        hull: whether to select all Gaussians inside the convex hull of the similar ones.

    Raises:
        BadArgument: if there is no such Gaussian, or it belongs to no object.
    """
    if not 0 <= gaussian < len(opened.labels):
        raise BadArgument(
            f"The Gaussian {gaussian} does not exist.", f"Choose a row from 0 to {len(opened.labels) - 1}."
        )
    if opened.embedding is None:
        return _by_label(opened, int(opened.labels[gaussian]), f"Gaussian {gaussian}")
    return _by_feature(opened, opened.embedding[gaussian], f"Gaussian {gaussian}", threshold, hull)


def select_pixel(
    opened: Opened, view: str, x: int, y: int, threshold: float = THRESHOLD, hull: bool = True
) -> Selection:
    """Select the Gaussians that are similar to the one at a pixel.

    The pixel is column ``x``, row ``y`` of the view's label map, which has the distortion of the photograph; (0, 0) is
    at the top left.

    Raises:
        NotFound: if there is no such view.
        BadArgument: if the pixel is outside the view, or shows no Gaussian or only background.
    """
    camera = opened.camera(view)
    if not (0 <= x < camera.width and 0 <= y < camera.height):
        raise BadArgument(
            f"Pixel {x} {y} is outside view {view}.", f"The view has {camera.width} columns and {camera.height} rows."
        )
    what = f"Pixel {x} {y} of view {view}"
    row, column = y, x
    if (whole := opened.wide(view)) is not None:
        camera, row, column = whole.camera, int(whole.rows[y, x]), int(whole.columns[y, x])
    found = opened.renderer.contributions(camera, np.array([row * camera.width + column], np.int64), STRONGEST)
    if found.weights.max() <= 0:
        raise BadArgument(f"{what} does not show a Gaussian.", "Choose a pixel on an object.")
    if opened.embedding is None:
        return _by_label(opened, int(label_map(found, opened.labels, camera)[row, column]), what)
    return _by_feature(opened, found.weights[0] @ opened.embedding[found.ids[0]], what, threshold, hull)


def view_mask(opened: Opened, selection: Selection, view: str) -> NDArray[np.bool_]:
    """Return the (H, W) pixels of a photograph that show the selection: by eq. (6), or by label.

    Raises:
        NotFound: if there is no such view.
    """
    whole = opened.wide(view)
    camera = opened.camera(view) if whole is None else whole.camera
    if selection.feature is None or opened.embedding is None:
        mask = np.isin(label_map(opened.renderer, opened.labels, camera), selection.objects)
    else:
        rendered = opened.renderer.image(camera, opened.embedding)
        mask = alike(rendered, np.linalg.norm(rendered, axis=-1), selection.feature, selection.threshold)
    return mask if whole is None else mask[whole.rows, whole.columns]


def alike(
    features: NDArray[np.float32], lengths: NDArray[np.float32], feature: NDArray[np.float32], threshold: float
) -> NDArray[np.bool_]:
    """Return where ``features`` (..., d) with norms ``lengths`` (...) above 0 have at least this cosine with one
    (d,)."""
    least = np.float32(threshold * np.linalg.norm(feature))
    return (features @ feature >= least * lengths) & (lengths > 0)


def _by_feature(opened: Opened, feature: NDArray[np.float32], what: str, threshold: float, hull: bool) -> Selection:
    assert opened.embedding is not None
    if not np.linalg.norm(feature) > 0:
        raise BadArgument(f"{what} has no embedding.", "Choose a Gaussian that the views show.")
    gaussians = alike(opened.embedding, opened.lengths, feature, threshold)
    return Selection(inside_hull(opened.splats.means, gaussians) if hull else gaussians, feature, threshold)


def _by_label(opened: Opened, label: int, what: str) -> Selection:
    if label == 0:
        raise BadArgument(f"{what} is background.", "Choose a Gaussian or a pixel of an object.")
    return select_objects(opened, (label,))


def select_objects(opened: Opened, objects: tuple[int, ...]) -> Selection:
    """Select the Gaussians of some objects."""
    return Selection(np.isin(opened.labels, objects), objects=objects)
