"""Checks given poses against the photographs, triangulates sparse points, and adjusts inaccurate poses."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from backend.colmap_library import pycolmap
from backend.poses.matches import NEIGHBOURS, NEIGHBOURS_TO_CHECK, match
from backend.poses.model import adjusted_views, reconstruction
from backend.progress import Progress, silent
from backend.scene.types import Scene, View

log = logging.getLogger(__name__)

FEWEST_POINTS = 100
"""A capture with fewer triangulated points is not changed: the points would be too few to start or to adjust from."""

FEWEST_SEEN = 40
"""A view with fewer observed points keeps its given pose relative to its neighbours; adjusting it would be
unreliable. In room25 with all poses off by 0.3 degrees, views with 21 points were adjusted to 0.8 degrees."""

LOOSE = 16.0
"""Tolerance in pixels of triangulation from the given poses. It is large so that poses that are off by a few pixels do
not lose the matches that reveal the error."""

WELL_SEEN = 60
"""Least average number of points per view for adjusting poses. In a generated room with smooth surfaces, with an
average of 10, adjusted rotations had twice the error of the given ones although the reprojection error fell to a
third."""

NOTABLE = 0.4
"""Reprojection error in pixels up to which poses are as accurate as features can tell."""

ROUNDS = 3
"""Number of bundle adjustments, with retriangulation in between."""

BETTER = 0.75
"""Adjusted poses are used if the median over the views of their errors, or the 90th percentile, falls to this share.
Exact poses hardly improve, because bundle adjustment then only fits noise of the features: in generated rooms and
captures with poses by COLMAP both fell to between 0.83 and 0.94, in a room with poses off by 0.3 degrees to 0.23."""


@dataclass(frozen=True)
class Placement:
    """The check of a capture's poses.

    Attributes:
        points: number of triangulated sparse points.
        error_given: median over the views of their median reprojection error with the given poses, in pixels of the
            matched photographs (at most :data:`backend.poses.model.LONG_SIDE` long).
        error_adjusted: the same with adjusted poses; None if no adjustment was tried, because the given poses are
            accurate or features are too few.
        adjusted: whether the adjusted poses are used.
    """

    points: int
    error_given: float
    error_adjusted: float | None
    adjusted: bool

    @property
    def error(self) -> float:
        """The error of the poses in use."""
        return self.error_adjusted if self.adjusted and self.error_adjusted is not None else self.error_given

    def as_dict(self) -> dict[str, float | int | bool | None]:
        """Return the values for the report."""
        return {
            "points": self.points,
            "error_given": round(self.error_given, 3),
            "error_adjusted": None if self.error_adjusted is None else round(self.error_adjusted, 3),
            "adjusted": self.adjusted,
        }


def place(scene: Scene, seed: int = 0, progress: Progress = silent) -> tuple[Scene, Placement | None]:
    """Return the scene with sparse points and, if they fit the photographs much better, adjusted cameras.

    Features of the photographs are matched, points are triangulated from the given poses, and poses, focal lengths and
    distortion are adjusted to them (bundle adjustment with a robust loss; Schoenberger and Frahm 2016,
    "Structure-from-Motion Revisited"). The adjusted cameras stay in the frame of the capture: they are aligned with the
    given ones by a similarity transform. Held-out photographs take part, as they do if COLMAP computes the poses; they
    are used for nothing else.

    Args:
        scene: the capture. Existing sparse points are kept unchanged.
        seed: random seed of the verification of matches. The same scene and seed give the same result.

    Returns:
        The scene, and the result of the check; the unchanged scene and None if there is one photograph or too few
            matches.

    Raises:
        BadScene: if a photograph cannot be read.
    """
    if len(scene.views) < 2:
        return scene, None
    with TemporaryDirectory(prefix="splatlift-poses-") as name:
        folder = Path(name)
        neighbours = NEIGHBOURS_TO_CHECK if len(scene.points) else NEIGHBOURS
        database = match(scene.views, folder, seed, progress, neighbours)
        progress("poses", 0.9, "triangulating")
        given = _triangulate(reconstruction(scene.views), database, folder, seed, LOOSE)
        if given.num_points3D() < FEWEST_POINTS:
            log.warning("The photographs of %s share too few features to compute sparse points.", scene.root)
            return scene, None
        before = _errors(given)
        found = Placement(given.num_points3D(), float(np.nanmedian(before)), None, False)
        scene = replace(scene, inexact=found.error_given >= NOTABLE)
        if scene.inexact and _is_well_seen(given):
            adjusted = _adjust(scene.views, given, found.error_given, database, folder, seed, progress)
            after = _errors(adjusted)
            better = _is_better(before, after)
            found = replace(found, error_adjusted=float(np.nanmedian(after)), adjusted=better)
            if better:
                views = tuple(adjusted_views(scene.views, adjusted, _in_frame_of(scene.views, adjusted)))
                scene = replace(scene, views=views)
                found = replace(found, points=adjusted.num_points3D())
                given = adjusted
        if len(scene.points):
            return scene, found
        source = given if found.adjusted else _triangulate(given, database, folder, seed)
        points, colours = _points(source)
    return replace(scene, points=points, colours=colours), replace(found, points=len(points))


def _adjust(
    views: Sequence[View],
    given: pycolmap.Reconstruction,
    error: float,
    database: Path,
    folder: Path,
    seed: int,
    progress: Progress,
) -> pycolmap.Reconstruction:
    """Return poses and points after alternating adjustment and retriangulation; ``given`` is not changed."""
    adjusted = pycolmap.Reconstruction(given)
    centres = np.array([view.camera.centre for view in views])
    deviation = _deviation(given, error)
    for _ in range(ROUNDS):
        progress("poses", 0.95, "adjusting")
        _bundle(adjusted, centres, deviation)
        adjusted = _triangulate(adjusted, database, folder, seed)
    return adjusted


def _triangulate(
    posed: pycolmap.Reconstruction, database: Path, folder: Path, seed: int, loose: float | None = None
) -> pycolmap.Reconstruction:
    """Return ``posed`` with points from the verified matches; its poses are not changed."""
    options = pycolmap.IncrementalPipelineOptions()
    options.random_seed = seed
    options.triangulation.random_seed = seed
    options.num_threads = 1
    options.extract_colors = True
    if loose is not None:
        options.mapper.filter_max_reproj_error = loose
        options.triangulation.merge_max_reproj_error = loose
        options.triangulation.complete_max_reproj_error = loose
        # Degrees for this number of pixels, at a focal length of about the photograph's width.
        angle = float(np.degrees(loose / max(camera.width for camera in posed.cameras.values())))
        options.triangulation.create_max_angle_error = max(angle, options.triangulation.create_max_angle_error)
        options.triangulation.continue_max_angle_error = max(angle, options.triangulation.continue_max_angle_error)
    return pycolmap.triangulate_points(posed, database, folder, folder, True, options)


def _bundle(posed: pycolmap.Reconstruction, centres: NDArray[np.float64], deviation: float) -> None:
    """Adjust all poses to the points, with the given ``centres`` (views, 3) as priors with this standard deviation.

    Without priors, groups of cameras with few shared points would drift, which hardly changes the error of the points.
    """
    options = pycolmap.BundleAdjustmentOptions()
    options.print_summary = False
    # A camera shared by several views constrains its focal length; a camera per view could trade it against distance.
    options.refine_focal_length = options.refine_extra_params = len(posed.cameras) * 3 <= posed.num_images()
    options.ceres.loss_function_type = pycolmap.LossFunctionType.SOFT_L1
    options.ceres.solver_options.num_threads = 1  # sums in a fixed order, for reproducible poses
    config = pycolmap.BundleAdjustmentConfig()
    priors = []
    for number, image in posed.images.items():
        config.add_image(number)
        prior = pycolmap.PosePrior()
        prior.corr_data_id = image.data_id
        prior.position = centres[number - 1]
        prior.position_covariance = deviation**2 * np.eye(3)
        prior.coordinate_system = pycolmap.PosePriorCoordinateSystem.CARTESIAN
        priors.append(prior)
    pycolmap.create_pose_prior_bundle_adjuster(
        options, pycolmap.PosePriorBundleAdjustmentOptions(), config, priors, posed
    ).solve()


def _is_well_seen(posed: pycolmap.Reconstruction) -> bool:
    return posed.compute_num_observations() / posed.num_images() >= WELL_SEEN


def _deviation(posed: pycolmap.Reconstruction, error: float) -> float:
    """Return the motion of a camera in scene units that shifts its image by ``error`` pixels."""
    depths, focal = [], []
    for image in posed.images.values():
        seen = [posed.points3D[p.point3D_id].xyz for p in image.points2D if p.has_point3D()]
        if seen:
            depths.append(np.median((image.cam_from_world() * np.array(seen))[:, 2]))
            focal.append(image.camera.mean_focal_length())
    return float(np.median(depths)) * error / float(np.median(focal))


def _errors(posed: pycolmap.Reconstruction) -> NDArray[np.float64]:
    """Return (views,) the median reprojection error of each view in pixels, NaN if it has too few points."""
    medians = np.full(posed.num_images(), np.nan)
    for number, image in posed.images.items():
        seen = [point for point in image.points2D if point.has_point3D()]
        if len(seen) >= FEWEST_SEEN:
            drawn = [image.project_point(posed.points3D[point.point3D_id].xyz) for point in seen]
            gaps = [np.linalg.norm(d - p.xy) for d, p in zip(drawn, seen, strict=True) if d is not None]
            medians[number - 1] = np.median(gaps) if gaps else np.nan
    return medians


def _is_better(before: NDArray[np.float64], after: NDArray[np.float64]) -> bool:
    both = np.isfinite(before) & np.isfinite(after)
    if not both.any():
        return False
    shares = (50, 90)
    return bool((np.percentile(after[both], shares) <= BETTER * np.percentile(before[both], shares)).any())


def _in_frame_of(views: Sequence[View], adjusted: pycolmap.Reconstruction) -> list[NDArray[np.float64]]:
    """Align ``adjusted`` with the given cameras; return the (4, 4) viewmats of all views.

    Least squares over the camera centres (Umeyama 1991). Views with too few points keep their given pose.
    """
    given = np.array([view.camera.centre for view in views])
    numbers = range(1, len(views) + 1)
    centres = np.array([adjusted.images[number].projection_center() for number in numbers])
    transform = pycolmap.estimate_sim3d(centres, given)
    if transform is not None:
        adjusted.transform(transform)
    errors = _errors(adjusted)
    viewmats = []
    for number, view, error in zip(numbers, views, errors, strict=True):
        viewmat = np.eye(4)
        viewmat[:3] = adjusted.images[number].cam_from_world().matrix()
        viewmats.append(view.camera.viewmat if np.isnan(error) else viewmat)
    return viewmats


def _points(posed: pycolmap.Reconstruction) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    points = [posed.points3D[i] for i in sorted(posed.points3D)]
    xyz = np.array([point.xyz for point in points], np.float32).reshape(-1, 3)
    return xyz, np.array([point.color for point in points], np.uint8).reshape(-1, 3)
