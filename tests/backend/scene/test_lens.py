"""Distortion, against a checker pattern drawn through the model's own equations in closed form."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from backend.scene import load_scene, read_image, read_mask
from backend.scene.calibration import calibrate, camera_for
from backend.scene.lens import Lens, _source, pinhole
from backend.scene.types import View
from protocol.errors import BadScene
from tests.backend.scene import writing
from tests.backend.scene.writing import HEIGHT, STEMS, WIDTH

W, H = 160, 120
LENSES = {
    "barrel": ("SIMPLE_RADIAL", (128.0, 80.0, 60.0, -0.2)),
    "pincushion": ("SIMPLE_RADIAL", (128.0, 80.0, 60.0, 0.1)),
    "radial": ("RADIAL", (128.0, 82.0, 57.0, -0.25, 0.06)),
    "opencv": ("OPENCV", (120.0, 136.0, 78.0, 64.0, -0.2, 0.05, 0.004, -0.006)),
    "full": ("FULL_OPENCV", (120.0, 136.0, 78.0, 64.0, -0.2, 0.05, 0.004, -0.006, 0.01, 0.0, 0.0, 0.0)),
}


def drawn(model: str, params: tuple[float, ...], x: NDArray, y: NDArray) -> tuple[NDArray, NDArray]:
    """Return the pixel at which a ray (x, y, 1) is drawn: the Brown-Conrady equations, as OpenCV documents them."""
    if model in ("SIMPLE_RADIAL", "RADIAL"):
        f, cx, cy, k1, *rest = params
        fx, fy, k2, p1, p2, k3 = f, f, (rest or [0.0])[0], 0.0, 0.0, 0.0
    else:
        fx, fy, cx, cy, k1, k2, p1, p2, *rest = params
        k3 = rest[0] if rest else 0.0
    r2 = x * x + y * y
    radial = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
    u = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)
    v = y * radial + 2 * p2 * x * y + p1 * (r2 + 2 * y * y)
    return fx * u + cx, fy * v + cy


def checker(x: NDArray, y: NDArray, cell: float = 0.13) -> NDArray[np.bool_]:
    """A checker pattern on the plane at depth 1."""
    return (np.floor(x / cell) + np.floor(y / cell)) % 2 == 0


def rays_of(K: NDArray, width: int, height: int) -> tuple[NDArray, NDArray]:
    columns, rows = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    return (columns - K[0, 2]) / K[0, 0], (rows - K[1, 2]) / K[1, 1]


@lru_cache
def distorted_checker(model: str, params: tuple[float, ...], width: int = W, height: int = H) -> NDArray[np.uint8]:
    """The pattern as the lens draws it: the equations inverted by fixed-point iteration, 3 x 3 samples a pixel."""
    fine = 3
    K = np.array([[params[0], 0, 0], [0, params[0], 0], [0, 0, 1.0]])
    columns, rows = np.meshgrid((np.arange(width * fine) + 0.5) / fine, (np.arange(height * fine) + 0.5) / fine)
    columns, rows = columns * W / width, rows * H / height
    x, y = np.zeros_like(columns), np.zeros_like(rows)
    for _ in range(40):
        u, v = drawn(model, params, x, y)
        x, y = x + 0.7 * (columns - u) / K[0, 0], y + 0.7 * (rows - v) / K[1, 1]
    samples = checker(x, y).reshape(height, fine, width, fine).mean((1, 3))
    return np.rint(255 * samples).astype(np.uint8)


def view_of(tmp_path: Path, model: str, params: tuple[float, ...]) -> View:
    writing.write_photographs(tmp_path, size=(W, H))
    Image.fromarray(distorted_checker(model, params)).save(tmp_path / "v_1.png")
    calibration = calibrate(model, list(params), W, H, "The camera")
    file = tmp_path / "v_1.png"
    return View("v_1", camera_for(file, np.eye(4), calibration), file, lens=calibration.lens)


def off_edges(K: NDArray, width: int, height: int, pixels: float) -> NDArray[np.bool_]:
    """Where the undistorted pattern has one value within ``pixels`` around."""
    x, y = rays_of(K, width, height)
    step = pixels / K[0, 0]
    same = [checker(x + i * step, y + j * step) == checker(x, y) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    return np.logical_and.reduce(same)


@pytest.mark.parametrize("name", LENSES)
def test_a_checker_is_straight_again(tmp_path: Path, name: str) -> None:
    view = view_of(tmp_path, *LENSES[name])
    got = read_image(view)[..., 0]
    expected = 255 * checker(*rays_of(view.camera.K, W, H))
    sure = off_edges(view.camera.K, W, H, 1.5)
    assert sure.mean() > 0.5
    np.testing.assert_allclose(got[sure], expected[sure], atol=8)


@pytest.mark.parametrize("name", LENSES)
def test_the_picture_without_undistortion_is_not_straight(tmp_path: Path, name: str) -> None:
    """Shows that the test above would notice: whole cells of the pattern lie elsewhere."""
    view = view_of(tmp_path, *LENSES[name])
    raw = np.asarray(Image.open(view.image_path))
    sure = off_edges(view.camera.K, W, H, 1.5)
    assert (np.abs(raw[sure] - 255.0 * checker(*rays_of(view.camera.K, W, H))[sure]) > 100).mean() > 0.003


@pytest.mark.parametrize("factor", [1, 2, 0.5])
@pytest.mark.parametrize("name", ["barrel", "opencv"])
def test_a_mask_of_another_size_is_undistorted_too(tmp_path: Path, name: str, factor: float) -> None:
    model, params = LENSES[name]
    width, height = int(W * factor), int(H * factor)
    view = view_of(tmp_path, model, params)
    file = tmp_path / "mask.npy"
    np.save(file, (distorted_checker(model, params, width, height) > 127) * np.int32(70000))
    ids = read_mask(View(view.name, view.camera, view.image_path, file, view.lens))
    assert ids is not None
    assert ids.shape == (height, width)
    K = view.camera.resized(width, height).K
    sure = off_edges(K, width, height, 2.5)
    np.testing.assert_array_equal(ids[sure], 70000 * checker(*rays_of(K, width, height))[sure])


@pytest.mark.parametrize("name", LENSES)
def test_no_pixel_comes_from_outside_and_the_view_is_the_widest_such(name: str) -> None:
    model, params = LENSES[name]
    lens = Lens(model, params, W, H)
    rows, columns = _source(lens, W, H)
    # Pixel centres lie half a pixel inside the border at which the view is fitted.
    gaps = [rows.min() + 0.5, H - 0.5 - rows.max(), columns.min() + 0.5, W - 0.5 - columns.max()]
    assert 0.0 < min(gaps) < 1.0


def test_without_distortion_there_is_no_lens() -> None:
    for model, params in {
        "SIMPLE_RADIAL": (9.0, 5.0, 4.0, 0.0),
        "FULL_OPENCV": (9.0, 9.0, 5.0, 4.0) + 8 * (0.0,),
    }.items():
        calibration = calibrate(model, list(params), 10, 8, "The camera")
        assert calibration.lens is None
        np.testing.assert_array_equal(calibration.K, [[9, 0, 5], [0, 9, 4], [0, 0, 1]])


def test_a_lens_that_folds_is_refused() -> None:
    with pytest.raises(BadScene, match="cannot be inverted at the border"):
        pinhole(Lens("SIMPLE_RADIAL", (50.0, 50.0, 50.0, -3.0), 100, 100))


def test_both_layouts_mean_the_same_distortion(tmp_path: Path) -> None:
    k = (-0.1, 0.02, 0.001, -0.002)
    intrinsics = (35.0, 36.0, WIDTH / 2, HEIGHT / 2)
    writing.write_colmap(tmp_path / "a", camera="OPENCV", params=(*intrinsics, *k))
    writing.write_transforms(
        tmp_path / "b", writing.transforms(fl_y=36.0, camera_model="OPENCV", k1=k[0], k2=k[1], p1=k[2], p2=k[3])
    )
    noise = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    for folder in "ab":
        Image.fromarray(noise).save(tmp_path / folder / "images" / f"{STEMS[0]}.png")
    a, b = (load_scene(tmp_path / folder).views[0] for folder in "ab")
    assert a.lens is not None
    np.testing.assert_allclose(a.camera.K, b.camera.K, rtol=1e-9)
    np.testing.assert_array_equal(read_image(a), read_image(b))


def test_a_scaled_photograph_has_the_scaled_lens(tmp_path: Path) -> None:
    model, params = LENSES["opencv"]
    view = view_of(tmp_path, model, params)
    file = tmp_path / "half.png"
    Image.fromarray(distorted_checker(model, params, W // 2, H // 2)).save(file)
    half = View("half", view.camera.resized(W // 2, H // 2), file, lens=view.lens)
    sure = off_edges(half.camera.K, W // 2, H // 2, 1.5)
    expected = 255 * checker(*rays_of(half.camera.K, W // 2, H // 2))
    np.testing.assert_allclose(read_image(half)[..., 0][sure], expected[sure], atol=8)
