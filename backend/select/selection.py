"""From a Gaussian or a pixel of a result to the object it is part of.

Object selection of Contrastive Gaussian Clustering (section 4.2): all Gaussians whose feature has a cosine of at least
0.7 with the feature that was hit, and all pixels whose rendered feature has (eq. 6). A result whose method trained no
embedding has labels only; what shares the label of what was hit is selected then, and the selection says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.lift.label_maps import STRONGEST, label_map
from backend.objects.result import read_cameras
from backend.render import Renderer
from backend.scene.types import Camera
from backend.select.hull import inside_hull
from protocol.errors import BadArgument, NotFound
from protocol.lists import first_of
from protocol.result.embedding import read_embedding
from protocol.result.gaussians import read_splats
from protocol.result.names import LABEL
from protocol.result.table import read_table
from protocol.splats import Splats

THRESHOLD = 0.7
"""The paper's t, a cosine."""


@dataclass(frozen=True)
class Opened:
    """A result ready for selecting, any number of times.

    Attributes:
        splats: N Gaussians.
        labels: (N,) int32; 0 is background.
        embedding: (N, d) float32, or None where the method trained none.
        cameras: of the views, by name, at the size of the result's label maps.
        method: that made the labels.
        device: "auto", "cuda" or "cpu"; where pixels are drawn.
    """

    splats: Splats
    labels: NDArray[np.int32]
    embedding: NDArray[np.float32] | None
    cameras: dict[str, Camera]
    method: str
    device: str = "cpu"

    @cached_property
    def lengths(self) -> NDArray[np.float32]:
        """(N,) float32, of the embeddings."""
        assert self.embedding is not None
        return np.linalg.norm(self.embedding, axis=1)

    @cached_property
    def renderer(self) -> Renderer:
        """Of the Gaussians."""
        return Renderer(self.splats, self.device)

    def camera(self, view: str) -> Camera:
        """Return the camera of a view.

        Raises:
            NotFound: if there is no such view.
        """
        if view not in self.cameras:
            raise NotFound(f"The result has no view {view!r}.", f"Its views: {first_of(list(self.cameras), 5)}.")
        return self.cameras[view]


@dataclass(frozen=True)
class Selection:
    """What was selected.

    Attributes:
        gaussians: (N,) bool.
        feature: (d,) float32, what others were compared with; None where the label decided.
        threshold: of the cosine.
        label: of what was hit, where the label decided; None otherwise.
    """

    gaussians: NDArray[np.bool_]
    feature: NDArray[np.float32] | None = None
    threshold: float = THRESHOLD
    label: int | None = None


def open_result(folder: Path, device: str = "cpu") -> Opened:
    """Read what selecting needs of a result folder.

    Raises:
        BadResult: if it is none, or a file of it is missing or broken. BadSplats: if its splat file is broken.
    """
    method = read_table(folder).method
    splats = read_splats(folder)
    labels = splats.extra[LABEL].astype(np.int32)
    stored = read_embedding(folder, len(splats))
    embedding = None if stored is None else stored.astype(np.float32)
    return Opened(splats.without_columns(), labels, embedding, read_cameras(folder), method, device)


def select_gaussian(opened: Opened, gaussian: int, threshold: float = THRESHOLD, hull: bool = True) -> Selection:
    """Select what is like a Gaussian.

    Args:
        opened: the result.
        gaussian: 0 to N - 1, its row in ``splats.ply``.
        threshold: cosine that a Gaussian's embedding has with that one, at least.
        hull: whether all Gaussians inside the convex hull of these are taken in place of them.

    Raises:
        BadArgument: if there is no such Gaussian, or it belongs to nothing.
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
    """Select what is like a pixel: column ``x``, row ``y`` of the view's label map, (0, 0) at the top left.

    Raises:
        NotFound: if there is no such view.
        BadArgument: if the pixel lies outside the view, or shows no Gaussian or only background.
    """
    camera = opened.camera(view)
    if not (0 <= x < camera.width and 0 <= y < camera.height):
        raise BadArgument(
            f"Pixel {x} {y} lies outside view {view}.", f"The view has {camera.width} columns and {camera.height} rows."
        )
    what = f"Pixel {x} {y} of view {view}"
    found = opened.renderer.contributions(camera, np.array([y * camera.width + x], np.int64), STRONGEST)
    if found.weights.max() <= 0:
        raise BadArgument(f"{what} does not show a Gaussian.", "Choose a pixel on an object.")
    if opened.embedding is None:
        return _by_label(opened, int(label_map(found, opened.labels, camera)[y, x]), what)
    return _by_feature(opened, found.weights[0] @ opened.embedding[found.ids[0]], what, threshold, hull)


def view_mask(opened: Opened, selection: Selection, view: str) -> NDArray[np.bool_]:
    """Return the (H, W) pixels of a view that show what was selected: eq. (6), or those that carry its label.

    Raises:
        NotFound: if there is no such view.
    """
    camera = opened.camera(view)
    if selection.feature is None or opened.embedding is None:
        return label_map(opened.renderer, opened.labels, camera) == selection.label
    rendered = opened.renderer.image(camera, opened.embedding)
    return alike(rendered, np.linalg.norm(rendered, axis=-1), selection.feature, selection.threshold)


def alike(
    features: NDArray[np.float32], lengths: NDArray[np.float32], feature: NDArray[np.float32], threshold: float
) -> NDArray[np.bool_]:
    """Return where (..., d) ``features`` of (...) ``lengths`` above 0 have at least this cosine with a (d,) one."""
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
    return Selection(opened.labels == label, label=label)
