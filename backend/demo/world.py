"""A small room with textured solids on its floor, rendered by ray tracing: photographs and exact ids."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.scene.types import Camera
from protocol.result.colours import colour_of

ROOM = np.array([3.2, 3.2, 2.6])
"""Half width, half depth and height of the room, metres; z points up, the floor is z = 0."""

LIGHT = np.array([0.4, -0.5, 0.77])
"""Direction towards the light, unit length."""

Vectors = NDArray[np.float64]


@dataclass(frozen=True)
class Solid:
    """A sphere, box or upright cylinder resting on the floor.

    Attributes:
        kind: "sphere", "box" or "cylinder".
        centre: (3,) metres.
        half: (3,) half extents before the turn; a sphere's radius is ``half[0]``.
        turn: rotation about the vertical, radians.
        colour: (3,) base colour, 0 to 1.
    """

    kind: str
    centre: Vectors
    half: Vectors
    turn: float
    colour: Vectors


ROOMY = 20
"""Most solids of full size; with twice as many there may be no free spot for the last one."""


@dataclass(frozen=True)
class World:
    """The room and its solids; solid ``i`` has instance id ``i + 1``."""

    solids: tuple[Solid, ...]

    @classmethod
    def random(cls, objects: int, rng: np.random.Generator) -> World:
        """Place ``objects`` solids on the floor without overlaps; more than :data:`ROOMY` are made smaller."""
        solids: list[Solid] = []
        shrink = min(1.0, np.sqrt(ROOMY / objects))
        while len(solids) < objects:
            half = shrink * rng.uniform([0.11, 0.11, 0.1], [0.22, 0.22, 0.32])
            kind = ("box", "cylinder", "sphere")[len(solids) % 3]
            if kind != "box":
                half[1] = half[0]
            if kind == "sphere":
                half[2] = half[0]
            spot = rng.uniform(-1.15, 1.15, 2)
            reach = np.hypot(half[0], half[1])
            if all(np.hypot(*(spot - s.centre[:2])) > reach + np.hypot(*s.half[:2]) for s in solids):
                colour = np.array(colour_of(len(solids) + 1)) * 0.8 + 0.1
                centre = np.array([spot[0], spot[1], half[2]])
                solids.append(Solid(kind, centre, half, rng.uniform(0, np.pi), colour))
        return cls(tuple(solids))

    def photograph(self, camera: Camera, samples: int = 2) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
        """Return a photograph (H, W, 3), averaged over ``samples`` squared rays a pixel, and the exact ids (H, W)."""
        total = np.zeros((camera.height, camera.width, 3))
        for dy in range(samples):
            for dx in range(samples):
                points, normals, ids = self.trace(camera, (dx + 0.5) / samples, (dy + 0.5) / samples)
                total += self._shade(points, normals, ids)
        image = np.clip(total / samples**2, 0, 1)
        _, _, ids = self.trace(camera, 0.5, 0.5)
        return np.round(255 * image).astype(np.uint8), ids.astype(np.uint16)

    def surface(self, camera: Camera) -> tuple[Vectors, Vectors]:
        """Return what each pixel of a camera sees: points (H * W, 3) in the world and their colours, 0 to 1."""
        points, normals, ids = self.trace(camera, 0.5, 0.5)
        return points.reshape(-1, 3), self._shade(points, normals, ids).reshape(-1, 3)

    def trace(self, camera: Camera, dx: float, dy: float) -> tuple[Vectors, Vectors, NDArray[np.int64]]:
        """Return the first hit of one ray a pixel: points and normals (H, W, 3), ids (H, W) with 0 for the room."""
        x, y = np.meshgrid(np.arange(camera.width) + dx, np.arange(camera.height) + dy)
        inverse = np.linalg.inv(camera.K)
        ray = np.stack([x, y, np.ones_like(x)], -1) @ inverse.T @ camera.viewmat[:3, :3]
        origin = camera.centre
        distance, normals = _leave_room(origin, ray)
        ids = np.zeros(distance.shape, int)
        for number, solid in enumerate(self.solids, start=1):
            hit, hit_normals = _HITS[solid.kind](origin, ray, solid)
            nearer = hit < distance
            distance = np.where(nearer, hit, distance)
            normals = np.where(nearer[..., None], hit_normals, normals)
            ids[nearer] = number
        return origin + distance[..., None] * ray, normals, ids

    def _shade(self, points: Vectors, normals: Vectors, ids: NDArray[np.int64]) -> Vectors:
        room = np.where(normals[..., 2:] > 0.5, [0.55, 0.47, 0.38], [0.75, 0.76, 0.72])
        base = np.stack([solid.colour for solid in self.solids])[np.maximum(ids - 1, 0)]
        colour = np.where(ids[..., None] > 0, base, room)
        light = 0.55 + 0.45 * np.clip(normals @ LIGHT, 0, 1)
        return colour * (light * _texture(points, ids))[..., None]


def _texture(points: Vectors, ids: NDArray[np.int64]) -> Vectors:
    """Return a smooth pattern fixed to the surfaces, finer on solids than on walls, 0.7 to 1."""
    frequency = np.where(ids > 0, 21.0, 6.0)
    phase = 1.7 * ids
    waves = [
        np.sin(frequency * (points @ np.array(direction)) + phase)
        for direction in ((1.0, 0.4, 0.3), (-0.5, 0.9, 0.6), (0.3, -0.7, 1.1))
    ]
    return 0.85 + 0.15 * np.tanh(1.5 * sum(waves))


def _leave_room(origin: Vectors, ray: Vectors) -> tuple[Vectors, Vectors]:
    low, high = np.array([-ROOM[0], -ROOM[1], 0.0]), ROOM
    with np.errstate(divide="ignore"):
        exits = np.where(ray > 0, (high - origin) / ray, (low - origin) / ray)
    axis = exits.argmin(-1)
    normals = -np.sign(np.take_along_axis(ray, axis[..., None], -1)) * np.eye(3)[axis]
    return exits.min(-1), normals


def _hit_sphere(origin: Vectors, ray: Vectors, solid: Solid) -> tuple[Vectors, Vectors]:
    offset = origin - solid.centre
    a, b = (ray**2).sum(-1), ray @ offset
    root = b**2 - a * (offset @ offset - solid.half[0] ** 2)
    distance = np.where(root > 0, (-b - np.sqrt(np.maximum(root, 0))) / a, np.inf)
    distance = np.where(distance > 0, distance, np.inf)
    points = offset + np.where(np.isfinite(distance), distance, 0)[..., None] * ray
    return distance, points / solid.half[0]


def _hit_box(origin: Vectors, ray: Vectors, solid: Solid) -> tuple[Vectors, Vectors]:
    turn = _turn(solid.turn)
    origin, ray = (origin - solid.centre) @ turn, ray @ turn
    with np.errstate(divide="ignore"):
        near = (-np.sign(ray) * solid.half - origin) / ray
        far = (np.sign(ray) * solid.half - origin) / ray
    axis = near.argmax(-1)
    entry = near.max(-1)
    normals = -np.sign(np.take_along_axis(ray, axis[..., None], -1)) * np.eye(3)[axis]
    return np.where((entry < far.min(-1)) & (entry > 0), entry, np.inf), normals @ turn.T


def _hit_cylinder(origin: Vectors, ray: Vectors, solid: Solid) -> tuple[Vectors, Vectors]:
    offset = origin - solid.centre
    radius, height = solid.half[0], solid.half[2]
    a, b = (ray[..., :2] ** 2).sum(-1), ray[..., :2] @ offset[:2]
    root = b**2 - a * (offset[:2] @ offset[:2] - radius**2)
    side = np.where(root > 0, (-b - np.sqrt(np.maximum(root, 0))) / a, np.inf)
    finite = np.where(np.isfinite(side), side, 0)
    side = np.where((side > 0) & (np.abs(offset[2] + finite * ray[..., 2]) < height), side, np.inf)
    with np.errstate(divide="ignore"):
        top = (height - offset[2]) / ray[..., 2]
    on_top = ((offset[:2] + top[..., None] * ray[..., :2]) ** 2).sum(-1) < radius**2
    top = np.where((top > 0) & on_top, top, np.inf)
    around = (offset + finite[..., None] * ray) * [1, 1, 0] / radius
    return np.minimum(side, top), np.where((top < side)[..., None], [0.0, 0.0, 1.0], around)


def _turn(angle: float) -> Vectors:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


_HITS = {"sphere": _hit_sphere, "box": _hit_box, "cylinder": _hit_cylinder}
