"""Objects from geometry alone, on spheres and boxes on a plane."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from backend.geometry import label
from backend.geometry.labelling import GeometrySettings, label_samples, supported, without_scraps
from backend.geometry.parts import Joining, join
from backend.geometry.planes import bounding_planes
from backend.geometry.surface import Samples, seen_samples, voxels
from backend.scene.types import Camera
from protocol.splats import Splats


def splats_at(points: NDArray, colours: NDArray | None = None) -> Splats:
    n = len(points)
    colours = np.zeros((n, 3)) if colours is None else colours
    return Splats(
        points.astype(np.float32),
        np.tile(np.array([1, 0, 0, 0], np.float32), (n, 1)),
        np.full((n, 3), np.log(0.02), np.float32),
        np.full(n, 3.0, np.float32),
        colours[:, None, :].astype(np.float32),
    )


def floor(rng: np.random.Generator, n: int = 8000) -> NDArray:
    return np.column_stack([rng.uniform(-1.5, 1.5, (n, 2)), rng.normal(0, 0.002, n)])


def sphere(centre: tuple[float, float, float], radius: float, rng: np.random.Generator, n: int = 2500) -> NDArray:
    normal = rng.normal(size=(n, 3))
    return np.array(centre) + radius * normal / np.linalg.norm(normal, axis=1, keepdims=True)


def box(centre: tuple[float, float, float], half: float, rng: np.random.Generator, n: int = 2500) -> NDArray:
    points = rng.uniform(-half, half, (n, 3))
    axis = rng.integers(3, size=n)
    points[np.arange(n), axis] = half * rng.choice([-1, 1], n)
    return points + np.array(centre)


def scene(seed: int = 0) -> tuple[Splats, NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    parts = [floor(rng), sphere((-0.7, 0, 0.35), 0.3, rng), box((0.6, 0.5, 0.35), 0.3, rng)]
    return splats_at(np.concatenate(parts)), np.repeat(np.arange(3), [len(part) for part in parts])


def test_what_stands_on_a_plane() -> None:
    splats, truth = scene()
    found = label(splats)
    assert found.labels.max() == 2
    assert not found.labels[truth == 0].any()
    sphere_label, box_label = (np.bincount(found.labels[truth == each]).argmax() for each in (1, 2))
    assert {int(sphere_label), int(box_label)} == {1, 2}
    assert (found.labels[truth == 1] == sphere_label).mean() > 0.97
    assert (found.labels[truth == 2] == box_label).mean() > 0.97
    assert found.method == "geometry"
    assert found.embedding is None
    assert found.views.tolist() == [0, 0, 0]


def test_the_same_seed_gives_the_same_labels() -> None:
    splats, _ = scene()
    assert np.array_equal(label(splats, seed=3).labels, label(splats, seed=3).labels)


def test_no_plane_and_one_object() -> None:
    found = label(splats_at(sphere((0, 0, 0), 0.3, np.random.default_rng(0), 10_000)))
    assert found.labels.max() == 1
    assert (found.labels == 1).mean() > 0.97


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_next_to_nothing_holds_no_object(rows: int) -> None:
    splats, _ = scene()
    found = label(splats.pick(np.arange(rows)))
    assert found.labels.tolist() == [0] * rows
    assert found.views.tolist() == [0]


def test_values_that_are_not_finite_are_background() -> None:
    splats, truth = scene()
    row = int(np.flatnonzero(truth == 1)[0])
    splats.means[row] = np.nan
    found = label(splats)
    assert found.labels[row] == 0
    assert found.labels.max() == 2


def test_a_plane_with_half_of_everything_behind_it_bounds_nothing() -> None:
    rng = np.random.default_rng(0)
    points = np.concatenate([floor(rng), sphere((0, 0, 0.7), 0.3, rng), sphere((0, 0, -0.7), 0.3, rng)])
    up = np.tile(np.array([0, 0, 1], np.float32), (len(points), 1))
    assert bounding_planes(points, up, 0.05, rng) == []
    (plane,) = bounding_planes(points[:10_500], up[:10_500], 0.05, rng)
    assert plane.normal == pytest.approx([0, 0, 1], abs=0.01)


@pytest.mark.parametrize(("behind", "bounds"), [(0, True), (2, True), (3, False)])
def test_a_plane_that_cameras_look_at_from_behind_bounds_nothing(behind: int, bounds: bool) -> None:
    rng = np.random.default_rng(0)
    points = np.concatenate([floor(rng), sphere((0, 0, 0.7), 0.3, rng)])
    up = np.tile(np.array([0, 0, 1], np.float32), (len(points), 1))
    eyes = np.array([[0, 0, -2.0]] * behind + [[0, 0, 2.0]] * (10 - behind))
    assert len(bounding_planes(points, up, 0.05, rng, eyes=eyes)) == bounds


def samples_of(points: NDArray, normals: NDArray, views: NDArray) -> Samples:
    """Samples of one Gaussian each."""
    n = len(points)
    return Samples(
        points,
        np.zeros((n, 3), np.float32),
        normals.astype(np.float32),
        np.ones(n, np.float32),
        np.arange(n, dtype=np.int32)[:, None],
        np.ones((n, 1), np.float32),
        0.03,
        views.astype(np.int32),
        np.zeros(n, bool),
    )


@pytest.mark.parametrize("seed", range(2))
def test_a_floor_that_is_a_layer_of_noise_is_still_a_floor(seed: int) -> None:
    rng = np.random.default_rng(seed)
    noise = np.column_stack([rng.uniform(-1.5, 1.5, (100_000, 2)), rng.normal(0, 0.05, 100_000)])
    # Clusters of three samples in front of the floor and behind it, which fill many voxels.
    strays = np.column_stack([rng.uniform(-1.5, 1.5, (6000, 2)), rng.uniform(-0.5, 0.5, 6000)])
    strays = np.repeat(strays, 3, 0) + rng.normal(0, 0.002, (18_000, 3))
    ball = sphere((0.2, 0, 0.6), 0.3, rng, 20_000)
    points = np.concatenate([noise, strays, ball])
    truth = np.repeat([0, 0, 1], [len(noise), len(strays), len(ball)])
    normals = np.where(truth[:, None] == 1, (points - [0.2, 0, 0.6]) / 0.3, [0, 0, 1.0])
    samples = samples_of(points, normals, rng.integers(0, 40, len(points)))
    labels, _ = label_samples(samples, len(points), seed, GeometrySettings(), 3)
    found = np.bincount(labels[truth == 1]).argmax()
    assert found > 0
    assert (labels[truth == 1] == found).mean() > 0.95
    assert (labels[truth == 0] > 0).mean() < 0.005


def test_sparse_points_show_a_floor_that_is_fog() -> None:
    """The rendered depth of a floor without texture lies anywhere up to half a metre behind it."""
    rng = np.random.default_rng(0)
    fog = np.column_stack([rng.uniform(-1.5, 1.5, (60_000, 2)), rng.uniform(-0.5, 0.05, 60_000)])
    ball = sphere((0.2, 0, 0.35), 0.3, rng, 20_000)
    points = np.concatenate([fog, ball])
    truth = np.repeat([0, 1], [len(fog), len(ball)])
    normals = np.where(truth[:, None] == 1, (points - [0.2, 0, 0.35]) / 0.3, [0, 0, 1.0])
    eyes = np.column_stack([rng.uniform(-2, 2, (40, 2)), rng.uniform(0.8, 2, 40)])
    samples = samples_of(points, normals, rng.integers(0, 40, len(points)))._replace(eyes=eyes)
    how = GeometrySettings()
    alone, _ = label_samples(samples, len(points), 0, how, 3)
    assert not alone.any()
    sparse = np.concatenate([floor(rng, 200), rng.permutation(ball)[:300]])
    labels, _ = label_samples(samples, len(points), 0, how, 3, sparse)
    assert labels.max() == 1
    assert (labels[truth == 1] == 1).mean() > 0.9
    assert (labels[truth == 0] > 0).mean() < 0.01


def test_what_few_views_show_is_no_object() -> None:
    rng = np.random.default_rng(0)
    points = np.concatenate([box((0, 0, 0), 0.2, rng), box((1, 0, 0), 0.2, rng)])
    part_of_sample = np.repeat([0, 1], 2500)
    views = np.where(part_of_sample == 0, rng.integers(0, 80, 5000), rng.integers(0, 3, 5000))
    samples = samples_of(points, np.zeros((5000, 3)), views)
    surface = voxels(samples)
    part = 1 + (surface.points[:, 0] > 0.5).astype(np.int64)
    kept = supported(samples, surface, part, 6, 0.0)
    np.testing.assert_array_equal(kept, np.where(part == 1, 1, 0))
    np.testing.assert_array_equal(supported(samples._replace(views=None), surface, part, 6, 0.0), part)
    # Of 20 views, two are a tenth.
    few = samples._replace(views=np.minimum(views, 19).astype(np.int32))
    np.testing.assert_array_equal(supported(few, surface, part, 6, 0.0), part)


@pytest.mark.parametrize(
    ("light", "views", "is_kept"), [(0.9, 8, True), (0.8, 8, False), (0.8, 20, True), (0.6, 20, False)]
)
def test_a_scrap_is_no_object(light: float, views: int, is_kept: bool) -> None:
    """A box that 40 views show, beside one that few show and whose Gaussians also give light to other surfaces."""
    rng = np.random.default_rng(0)
    points = np.concatenate([box((0, 0, 0), 0.2, rng), box((1, 0, 0), 0.2, rng)])
    box_of_sample = np.repeat([0, 1], 2500)
    seen = np.where(box_of_sample == 0, rng.integers(0, 40, 5000), rng.integers(0, views, 5000))
    samples = samples_of(points, np.zeros((5000, 3)), seen)
    surface = voxels(samples)
    part = 1 + (surface.points[:, 0] > 0.5).astype(np.int64)
    labels = (box_of_sample + 1).astype(np.int32)
    share = np.where(box_of_sample == 0, 0.9, light).astype(np.float32)
    kept = without_scraps(samples, surface, part, labels, share, GeometrySettings())
    np.testing.assert_array_equal(kept, labels if is_kept else np.where(labels == 1, 1, 0))
    assert without_scraps(samples._replace(views=None), surface, part, labels, share, GeometrySettings()) is labels


def test_what_no_view_shows_whole_is_background() -> None:
    rng = np.random.default_rng(0)
    points = np.concatenate([box((0, 0, 0), 0.2, rng), box((1, 0, 0), 0.2, rng), box((2, 0, 0), 0.2, rng)])
    box_of_sample, views = np.repeat([0, 1, 2], 2500), rng.integers(0, 40, 7500)
    # The image cuts off the first box in one view of four, the second in all but one of ten.
    cut = np.where(box_of_sample == 0, views % 4 == 0, (box_of_sample == 1) & (views % 10 > 0))
    samples = samples_of(points, np.zeros((7500, 3)), views)._replace(at_border=cut & (rng.random(7500) < 0.2))
    surface = voxels(samples)
    part = 1 + np.rint(surface.points[:, 0]).astype(np.int64)
    np.testing.assert_array_equal(supported(samples, surface, part, 6, 0.0), part)
    kept = supported(samples, surface, part, 6, GeometrySettings().whole)
    np.testing.assert_array_equal(kept, np.array([0, 1, 0, 2])[part])


def test_a_concave_fold_parts_and_a_convex_one_does_not() -> None:
    steps = np.arange(0.5, 20)
    across = np.arange(12.0)
    flat = np.array([[-x, y, 0] for x in steps for y in across])
    wall = np.array([[0, y, z] for z in steps for y in across])
    points = np.concatenate([flat, wall])
    grey = np.zeros((len(points), 3), np.float32)

    def normals(of_wall: float, of_flat: float) -> NDArray[np.float32]:
        up, side = np.array([0, 0, of_flat]), np.array([of_wall, 0, 0])
        return np.concatenate([np.tile(up, (len(flat), 1)), np.tile(side, (len(wall), 1))]).astype(np.float32)

    concave = join(points, normals(-1, 1), grey, 1.0, Joining())
    assert concave.max() == 1
    assert len(set(concave[: len(flat)])) == 1
    assert join(points, normals(1, -1), grey, 1.0, Joining()).max() == 0
    red = grey.copy()
    red[len(flat) :] = (1, 0, 0)
    assert join(points, normals(1, -1), red, 1.0, Joining()).max() == 1


def test_small_parts_are_no_objects() -> None:
    splats, _ = scene()
    assert label(splats, how=GeometrySettings(smallest=100_000)).labels.max() == 0


@pytest.mark.parametrize(("gaussians", "objects"), [(14, 0), (16, 1)])
def test_few_large_gaussians_are_no_object(gaussians: int, objects: int) -> None:
    rng = np.random.default_rng(0)
    floor = np.column_stack([rng.uniform(-1.5, 1.5, (40_000, 2)), np.zeros(40_000)])
    blob = box((0, 0, 0.5), 0.2, rng)
    points = np.concatenate([floor, blob])
    samples = samples_of(points, np.tile([0.0, 0, 1], (len(points), 1)), rng.integers(0, 40, len(points)))
    ids = np.arange(len(points), dtype=np.int32)
    ids[len(floor) :] = len(floor) + np.arange(len(blob)) % gaussians
    labels, _ = label_samples(
        samples._replace(ids=ids[:, None]), len(floor) + gaussians, 0, GeometrySettings(smallest=20), 1
    )
    assert len(np.unique(labels[labels > 0])) == objects


def looking_at(eye: tuple[float, float, float], size: int) -> Camera:
    """A square camera of ``size`` pixels towards the origin, z up."""
    place = np.array(eye)
    ahead = -place / np.linalg.norm(place)
    right = np.cross(ahead, [0, 0, 1])
    right /= np.linalg.norm(right)
    viewmat = np.eye(4)
    viewmat[:3, :3] = [right, np.cross(ahead, right), ahead]
    viewmat[:3, 3] = -viewmat[:3, :3] @ place
    K = np.array([[1.2 * size, 0, size / 2], [0, 1.2 * size, size / 2], [0, 0, 1]])
    return Camera(viewmat, K, size, size)


def test_voxels_are_as_large_in_large_photographs() -> None:
    splats, _ = scene()
    eyes = [(2.0, 0.0, 2.0), (-1.0, 1.5, 2.0)]
    small, large = (seen_samples(splats, [looking_at(eye, size) for eye in eyes], "cpu") for size in (400, 1600))
    assert len(small.points) > 5000
    assert len(large.points) == len(small.points)
    assert large.spacing == pytest.approx(small.spacing)
