"""Conversion between views and pycolmap: cameras with their lenses, and a reconstruction with given poses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from backend.colmap_library import pycolmap
from backend.scene.lens import Lens, pinhole
from backend.scene.types import View

LONG_SIDE = 1000
"""Longest side in pixels for feature detection. Larger photographs give few more points for proportionally more
time."""


def camera_models(views: Sequence[View]) -> tuple[list[pycolmap.Camera], list[int]]:
    """Return the distinct cameras at the size of the matched photographs, with distortion, and the index for each view.

    Views with equal lens, intrinsics and size share a camera.
    """
    models: list[pycolmap.Camera] = []
    known: dict[tuple[object, ...], int] = {}
    which = []
    for view in views:
        camera = view.camera
        key = (view.lens, camera.K.tobytes(), camera.width, camera.height)
        if key not in known:
            known[key] = len(models)
            models.append(_model(view))
        which.append(known[key])
    return models, which


def _model(view: View) -> pycolmap.Camera:
    if view.lens is None:
        K = view.camera.K
        camera = pycolmap.Camera(
            model="PINHOLE",
            params=[K[0, 0], K[1, 1], K[0, 2], K[1, 2]],
            width=view.camera.width,
            height=view.camera.height,
        )
    else:
        camera = _simplest(view.lens).camera
    camera.rescale(*matched_size(view))
    camera.has_prior_focal_length = True
    return camera


def _simplest(lens: Lens) -> Lens:
    """Return ``lens`` without FULL_OPENCV's coefficients if they are 0, because their ratio cannot be refined there."""
    if lens.model == "FULL_OPENCV" and not any(lens.params[8:]):
        return replace(lens, model="OPENCV", params=lens.params[:8])
    return lens


def reconstruction(views: Sequence[View]) -> pycolmap.Reconstruction:
    """Return a reconstruction without points; image ``i + 1`` is ``views[i]`` with its given pose."""
    models, which = camera_models(views)
    empty = pycolmap.Reconstruction()
    for number, model in enumerate(models, start=1):
        model.camera_id = number
        empty.add_camera_with_trivial_rig(model)
    for number, (view, camera) in enumerate(zip(views, which, strict=True), start=1):
        image = pycolmap.Image(name=f"{number - 1:06d}.png", camera_id=camera + 1, image_id=number)
        empty.add_image_with_trivial_frame(image, pycolmap.Rigid3d(view.camera.viewmat[:3]))
    return empty


def adjusted_views(
    views: Sequence[View], adjusted: pycolmap.Reconstruction, viewmats: Sequence[NDArray[np.float64]]
) -> list[View]:
    """Return ``views`` with the intrinsics and distortion of ``adjusted`` and the given (4, 4) viewmats."""
    result = []
    for number, (view, viewmat) in enumerate(zip(views, viewmats, strict=True), start=1):
        model = pycolmap.Camera(adjusted.cameras[adjusted.images[number].camera_id].todict())
        if view.lens is None:
            model.rescale(view.camera.width, view.camera.height)
            camera = replace(view.camera, viewmat=viewmat, K=model.calibration_matrix())
            result.append(replace(view, camera=camera))
            continue
        model.rescale(view.lens.width, view.lens.height)
        lens = Lens(model.model_name, tuple(float(value) for value in model.params), view.lens.width, view.lens.height)
        calibrated = replace(view.camera, viewmat=viewmat, K=pinhole(lens), width=lens.width, height=lens.height)
        camera = calibrated.resized(view.camera.width, view.camera.height)
        result.append(replace(view, camera=camera, lens=lens))
    return result


def matched_size(view: View) -> tuple[int, int]:
    """Return (width, height) for feature detection in a photograph."""
    return view.camera.size_within(LONG_SIDE)
