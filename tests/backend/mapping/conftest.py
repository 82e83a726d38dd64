"""A generated room with known cameras, and its photographs without them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter, map_coordinates

from backend.demo.scene import write_colmap
from backend.scene.types import Camera

VIEWS = 12
WIDTH, HEIGHT = 320, 240


def photograph(camera: Camera, floor: np.ndarray, wall: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8: a textured floor z = 0 and a textured wall y = 2, seen from above the floor."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    rays = np.stack([columns, rows, np.ones_like(rows)], 2) @ np.linalg.inv(camera.K).T @ camera.viewmat[:3, :3]
    eye = camera.centre
    with np.errstate(divide="ignore"):
        to_floor = np.where(rays[..., 2] < 0, -eye[2] / rays[..., 2], np.inf)
        to_wall = np.where(rays[..., 1] > 0, (2 - eye[1]) / rays[..., 1], np.inf)
    points = eye + np.minimum(to_floor, to_wall)[..., None] * rays
    on_floor = to_floor < to_wall
    across = (points[..., 0] + 8) * 40
    along = (np.where(on_floor, points[..., 1] + 8, points[..., 2])) * 40
    floors, walls = (map_coordinates(t, [along, across], order=1, mode="wrap") for t in (floor, wall))
    return np.repeat(np.where(on_floor, floors, walls)[..., None], 3, 2).astype(np.uint8)


def texture(seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(640, 640))
    both = np.sum([gaussian_filter(noise, sigma, mode="wrap") * sigma for sigma in (1.5, 3, 6)], axis=0)
    return np.clip(127 + 100 * both / both.std() / 2, 0, 255)


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "room"
    for part in ("images", "masks", "sparse/0"):
        (folder / part).mkdir(parents=True)
    floor, wall = texture(0), texture(1)
    K = np.array([[300, 0, WIDTH / 2], [0, 300, HEIGHT / 2], [0, 0, 1.0]])
    cameras = []
    for number in range(VIEWS):
        angle = np.radians(-40 + 80 * number / (VIEWS - 1))
        eye = np.array([2.6 * np.sin(angle), 1.5 - 2.6 * np.cos(angle), 1.1 + 0.3 * (number % 3)])
        forward = np.array([0, 1.5, 0.4]) - eye
        forward /= np.linalg.norm(forward)
        right = np.cross(forward, [0, 0, 1])
        right /= np.linalg.norm(right)
        viewmat = np.eye(4)
        viewmat[:3, :3] = [right, np.cross(forward, right), forward]
        viewmat[:3, 3] = -viewmat[:3, :3] @ eye
        cameras.append(Camera(viewmat, K, WIDTH, HEIGHT))
        Image.fromarray(photograph(cameras[-1], floor, wall)).save(folder / "images" / f"{number:04d}.png")
        ids = np.zeros((HEIGHT, WIDTH), np.uint8)
        ids[80:160, 100:200] = 1
        Image.fromarray(ids).save(folder / "masks" / f"{number:04d}.png")
    write_colmap(folder / "sparse" / "0", cameras, np.zeros((1, 3)), np.zeros((1, 3), np.uint8))
    return folder


@pytest.fixture(scope="module")
def plain(room: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The photographs and masks of the room, two photographs of nothing, and a file that is no picture."""
    folder = tmp_path_factory.mktemp("plain") / "room"
    shutil.copytree(room / "masks", folder / "masks")
    shutil.copytree(room / "images", folder / "images")
    Image.new("RGB", (240, 240), (90, 90, 90)).save(folder / "images" / "elsewhere.png")
    (folder / "images" / "broken.png").write_bytes(b"\x89PNG\r\n")
    return folder
