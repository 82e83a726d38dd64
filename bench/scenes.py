"""Seeded scenes of any size with exact labels, and masks spoilt by a named noise profile.

A room: floor, walls and ceiling, and on the floor spheres, boxes and cylinders in several colours, many of
them touching. Every surface is covered by flat Gaussians, so labels are known exactly; what an instance looks like in a
view is the argmax of its blended exact labels. Masks are these maps with objects dropped, merged, split and redrawn,
with fresh ids in every view.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from backend.demo.noise import PROFILES, Noise, spoil
from backend.lift.evidence.views import MaskedView
from backend.lift.label_maps import label_map
from backend.render import Renderer
from backend.scene.pose import looking_at
from backend.scene.types import VOID, Camera
from protocol.sh import SH0
from protocol.splats import Splats

HEIGHT = 4.0
"""Of the room, which has a ceiling."""


@dataclass(frozen=True)
class MadeScene:
    """A scene and its truth.

    Attributes:
        splats: N Gaussians.
        labels: (N,) int32, the exact object of each, 1 to K; 0 for floor and walls.
        train: views with spoilt masks.
        test: held-out views with exact masks.
        exact: the exact masks of the ``train`` views.
    """

    splats: Splats
    labels: NDArray[np.int32]
    train: list[MaskedView]
    test: list[MaskedView]
    exact: list[NDArray[np.int32]]


def make_scene(
    *,
    objects: int = 25,
    gaussians: int = 50_000,
    views: int = 80,
    test_views: int = 12,
    size: int = 256,
    noise: str | Noise = "detector",
    seed: int = 0,
    drawn_from: int | None = None,
    void: bool = False,
) -> MadeScene:
    """Make a scene; the same arguments make the same scene.

    Args:
        objects: K.
        gaussians: N, 45 percent of them on objects, shared out by surface.
        views: training views.
        test_views: held-out views, from cameras drawn in the same way.
        size: height and width of the square views in pixels.
        noise: a key of :data:`PROFILES` or a profile.
        seed: of every draw.
        drawn_from: Gaussians that the exact masks are drawn from, in the same room; None for the scene's own. For
            scenes so large that drawing them would take longer than what is measured on them.
        void: whether missed objects are void, an id of its own, in the masks; else they look like background.
    """
    rng = np.random.default_rng(seed)
    splats, labels = _room(objects, gaussians, rng)
    reach = _reach(objects)
    cameras = [_camera(reach, size, rng) for _ in range(views + test_views)]
    shown, shown_labels = (
        (splats, labels) if drawn_from is None else _room(objects, drawn_from, np.random.default_rng(seed))
    )
    engine = Renderer(shown, "cpu")
    exact = [label_map(engine, shown_labels, camera) for camera in cameras]
    profile = PROFILES[noise] if isinstance(noise, str) else noise
    missed = VOID if void else 0
    train = [
        MaskedView(f"{number:04d}", cameras[number], spoil(exact[number], profile, rng, missed))
        for number in range(views)
    ]
    test = [MaskedView(f"{n:04d}", cameras[n], exact[n]) for n in range(views, views + test_views)]
    return MadeScene(splats, labels, train, test, exact[:views])


def with_noise(scene: MadeScene, noise: str | Noise, seed: int) -> MadeScene:
    """Return the same scene with its training masks spoilt anew."""
    rng = np.random.default_rng(seed)
    profile = PROFILES[noise] if isinstance(noise, str) else noise
    train = [replace(v, mask=spoil(e, profile, rng)) for v, e in zip(scene.train, scene.exact, strict=True)]
    return replace(scene, train=train)


def _reach(objects: int) -> float:
    """Half the edge of the floor that leaves objects standing close, many of them touching."""
    return 0.42 * np.sqrt(objects)


def _camera(reach: float, size: int, rng: np.random.Generator) -> Camera:
    """A camera inside the room above the objects, looking at some place on the floor."""
    angle = rng.uniform(0, 2 * np.pi)
    eye = np.array([np.cos(angle), np.sin(angle), 0.0]) * reach * rng.uniform(0.95, 1.4)
    eye[2] = min(rng.uniform(0.8, 1.5) + 0.3 * reach, 0.8 * HEIGHT)
    target = np.append(rng.uniform(-0.35, 0.35, 2) * reach, 0.15)
    viewmat = looking_at(eye, target, [0, 0, 1.0])
    focal = 0.9 * size
    return Camera(viewmat, np.array([[focal, 0, size / 2], [0, focal, size / 2], [0, 0, 1.0]]), size, size)


def _room(objects: int, gaussians: int, rng: np.random.Generator) -> tuple[Splats, NDArray[np.int32]]:
    reach = _reach(objects)
    wall = 1.6 * reach
    solids = [SOLIDS[int(rng.integers(len(SOLIDS)))](place, radius, rng) for place, radius in _places(objects, rng)]
    area = np.array([solid.area for solid in solids])
    shares = np.maximum(8, np.floor(0.45 * gaussians * area / area.sum())).astype(int)
    half = np.array([wall, wall, 0.5 * HEIGHT])
    shell = Solid(lambda n, rng: _on_box(half * np.array([0.0, 0.0, 1.0]), half, n, rng), _box_area(half))
    solids = [shell, *solids]
    shares = [gaussians - int(shares.sum()), *shares.tolist()]
    parts = [_cover(solid, n, label, rng) for label, (solid, n) in enumerate(zip(solids, shares, strict=True))]
    means, normals, spread, colours, labels = (np.concatenate(column) for column in zip(*parts, strict=True))
    splats = Splats(
        means.astype(np.float32),
        _facing(normals).astype(np.float32),
        np.log(np.stack([spread, spread, 0.1 * spread], 1)).astype(np.float32),
        np.full(len(means), 3.0, np.float32),
        ((colours - 0.5) / SH0)[:, None, :].astype(np.float32),
    )
    return splats, labels.astype(np.int32)


def _places(objects: int, rng: np.random.Generator) -> list[tuple[NDArray[np.float64], float]]:
    """Return positions and radii of objects on the floor; two in five touch an earlier object."""
    reach = _reach(objects)
    places: list[tuple[NDArray[np.float64], float]] = []
    while len(places) < objects:
        radius = rng.uniform(0.12, 0.3)
        if places and rng.random() < 0.4:
            beside, other = places[int(rng.integers(len(places)))]
            angle = rng.uniform(0, 2 * np.pi)
            place = beside + (radius + other) * np.array([np.cos(angle), np.sin(angle)])
        else:
            place = rng.uniform(-reach, reach, 2)
        free = all(np.linalg.norm(place - p) > 0.99 * (radius + r) for p, r in places)
        if free and np.abs(place).max() <= reach:
            places.append((place, radius))
    return places


@dataclass(frozen=True)
class Solid:
    """A surface: ``draw(n, rng)`` gives n points on it and their normals, both (n, 3)."""

    draw: Callable[[int, np.random.Generator], tuple[NDArray, NDArray]]
    area: float


def _sphere(place: NDArray[np.float64], radius: float, rng: np.random.Generator) -> Solid:
    centre = np.append(place, radius)

    def draw(n: int, rng: np.random.Generator) -> tuple[NDArray, NDArray]:
        normal = rng.normal(size=(n, 3))
        normal /= np.linalg.norm(normal, axis=1, keepdims=True)
        return centre + radius * normal, normal

    return Solid(draw, 4 * np.pi * radius**2)


def _box(place: NDArray[np.float64], radius: float, rng: np.random.Generator) -> Solid:
    angle = rng.uniform(0, np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    # The base fits the circle of the given radius, whichever way the box is turned.
    half = np.append(radius * np.array([np.cos(0.7), np.sin(0.7)]), rng.uniform(0.5, 1.5) * radius)

    def draw(n: int, rng: np.random.Generator) -> tuple[NDArray, NDArray]:
        points, normal = _on_box(np.zeros(3), half, n, rng)
        return points @ turn.T + np.append(place, half[2]), normal @ turn.T

    return Solid(draw, _box_area(half))


def _cylinder(place: NDArray[np.float64], radius: float, rng: np.random.Generator) -> Solid:
    height = rng.uniform(1.0, 3.0) * radius
    side, lid = 2 * np.pi * radius * height, np.pi * radius**2

    def draw(n: int, rng: np.random.Generator) -> tuple[NDArray, NDArray]:
        angle = rng.uniform(0, 2 * np.pi, n)
        around = np.stack([np.cos(angle), np.sin(angle)], 1)
        on_side = rng.random(n) < side / (side + 2 * lid)
        top = rng.random(n) < 0.5
        level = np.where(on_side, rng.uniform(0, height, n), np.where(top, height, 0))
        out = np.where(on_side, 1.0, np.sqrt(rng.random(n)))
        points = np.column_stack([place + radius * out[:, None] * around, level])
        normal = np.column_stack([around * on_side[:, None], np.where(on_side, 0, np.where(top, 1.0, -1.0))])
        return points, normal

    return Solid(draw, side + 2 * lid)


SOLIDS = (_sphere, _box, _cylinder)


def _box_area(half: NDArray) -> float:
    return float(8 * (half[0] * half[1] + half[1] * half[2] + half[0] * half[2]))


def _on_box(centre: NDArray, half: NDArray, n: int, rng: np.random.Generator) -> tuple[NDArray, NDArray]:
    """Points spread evenly over a box's six faces, and their outward normals."""
    face = np.array([half[1] * half[2], half[0] * half[2], half[0] * half[1]])
    axis = rng.choice(3, n, p=face / face.sum())
    sign = rng.choice([-1.0, 1.0], n)
    points = rng.uniform(-1, 1, (n, 3)) * half
    points[np.arange(n), axis] = sign * half[axis]
    normal = np.zeros((n, 3))
    normal[np.arange(n), axis] = sign
    points += centre
    return points, normal


def _cover(solid: Solid, n: int, label: int, rng: np.random.Generator) -> tuple[NDArray, ...]:
    """Cover a surface with n flat Gaussians: means, normals, spread along the surface, colours, labels."""
    means, normals = solid.draw(n, rng)
    spread = np.full(n, 0.8 * np.sqrt(solid.area / n)) * rng.uniform(0.8, 1.2, n)
    colour = PALETTE[int(rng.integers(len(PALETTE)))] if label else np.array([0.7, 0.68, 0.65])
    colours = np.clip(colour + rng.normal(0, 0.03, (n, 3)), 0, 1)
    return means, normals, spread, colours, np.full(n, label)


PALETTE = np.array(
    [[0.8, 0.2, 0.2], [0.2, 0.6, 0.3], [0.2, 0.3, 0.8], [0.9, 0.8, 0.2], [0.9, 0.9, 0.9], [0.5, 0.3, 0.2]]
)


def _facing(normals: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the (N, 4) quaternions (w, x, y, z) that turn the z axis into the normals."""
    # Half-way rotation: w = 1 + z . n, xyz = z cross n; a normal straight down turns about x instead.
    quats = np.column_stack([1 + normals[:, 2], -normals[:, 1], normals[:, 0], np.zeros(len(normals))])
    down = quats[:, 0] < 1e-6
    quats[down] = [0.0, 1.0, 0.0, 0.0]
    return quats / np.linalg.norm(quats, axis=1, keepdims=True)
