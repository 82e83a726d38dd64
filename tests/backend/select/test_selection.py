"""Selecting by embedding and by label, in 3D and in views."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.lift.types import Lift
from backend.objects import result
from backend.objects.table import object_table
from backend.scene.lens import Lens, pinhole
from backend.scene.types import Camera
from backend.select import Opened, open_result, select_gaussian, select_pixel, view_mask
from backend.select.hull import inside_hull
from backend.select.selection import alike
from backend.select.write import describe, write_selection
from protocol.errors import BadArgument, BadResult, Fault, NotFound
from protocol.result.folder import whole_folder
from protocol.splats import Splats
from tests.backend.objects.making import two_balls

FEATURES = np.array([[0, 0, 1], [3, 0, 0], [0.4, 1, 0]], np.float32)
"""Of background, the large ball and the small one; the two objects have a cosine of 0.37."""
CAMERA = Camera(
    np.array([[1.0, 0, 0, -2.5], [0, 1, 0, 0], [0, 0, 1, 8], [0, 0, 0, 1]]),
    np.array([[60.0, 0, 40], [0, 60, 20], [0, 0, 1]]),
    80,
    40,
)
LARGE, SMALL, NOTHING = (21, 20), (58, 20), (79, 0)
"""Pixels, column and row."""


def made(embedded: bool) -> tuple[Splats, Lift]:
    splats, lift = two_balls()
    return splats, replace(lift, embedding=FEATURES[lift.labels], method="contrastive") if embedded else lift


def write(folder: Path, embedded: bool) -> Path:
    splats, lift = made(embedded)
    with whole_folder(folder) as part:
        result.write_gaussians(part, splats, lift)
        result.write_objects(part, "balls", lift, 0, (0.0, 0.0, 1.0), object_table(splats, lift))
        result.write_cameras(part, {"a": CAMERA, "b": CAMERA.resized(40, 20)})
    return folder


@pytest.fixture(params=[True, False], ids=["embedding", "label"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Opened:
    return open_result(write(tmp_path / "out", request.param))


@pytest.mark.parametrize(("pixel", "label"), [(LARGE, 1), (SMALL, 2)])
def test_a_pixel_selects_its_object(opened: Opened, pixel: tuple[int, int], label: int) -> None:
    selection = select_pixel(opened, "a", *pixel)
    np.testing.assert_array_equal(selection.gaussians, opened.labels == label)
    mask = view_mask(opened, selection, "a")
    assert mask.shape == (40, 80)
    assert mask[pixel[1], pixel[0]]
    others = view_mask(opened, select_pixel(opened, "a", *(SMALL if label == 1 else LARGE)), "a")
    assert mask.sum() > 30
    assert not (mask & others).any()
    assert 10 < view_mask(opened, selection, "b").sum() < mask.sum() / 2


def test_pixels_and_masks_have_the_distortion_of_the_photograph(tmp_path: Path) -> None:
    splats, lift = made(False)
    lens = Lens("OPENCV", (60.0, 60.0, 40.0, 20.0, 0.5, 0.0, 0.0, 0.0), 80, 40)
    camera = replace(CAMERA, K=pinhole(lens))
    with whole_folder(tmp_path / "out") as part:
        result.write_gaussians(part, splats, lift)
        result.write_objects(part, "balls", lift, 0, (0.0, 0.0, 1.0), object_table(splats, lift))
        result.write_cameras(part, {"bent": camera, "straight": camera}, lenses={"bent": lens})
    opened = open_result(tmp_path / "out")
    centre = splats.means[lift.labels == 1].mean(0)
    seen = camera.viewmat[:3, :3] @ centre + camera.viewmat[:3, 3]
    straight = np.rint((camera.K @ seen)[:2] / seen[2] - 0.5).astype(int)
    bent = np.rint(np.asarray(lens.camera.img_from_cam(seen[None]))[0] - 0.5).astype(int)
    for view, expected in (("straight", straight), ("bent", bent)):
        selection = select_pixel(opened, view, int(expected[0]), int(expected[1]))
        assert selection.label == 1
        rows, columns = np.nonzero(view_mask(opened, selection, view))
        np.testing.assert_allclose([columns.mean(), rows.mean()], expected, atol=0.7)
    # The widest undistorted camera without a blank border enlarges what the lens compresses.
    assert np.abs(straight - bent).max() >= 2


def test_a_gaussian_selects_its_object(opened: Opened) -> None:
    for label in (1, 2):
        gaussian = int(np.flatnonzero(opened.labels == label)[7])
        selection = select_gaussian(opened, gaussian)
        np.testing.assert_array_equal(selection.gaussians, opened.labels == label)


def test_it_says_what_decided(tmp_path: Path) -> None:
    by_embedding = open_result(write(tmp_path / "a", True))
    by_label = open_result(write(tmp_path / "b", False))
    said = [describe(opened, select_pixel(opened, "a", *LARGE)) for opened in (by_embedding, by_label)]
    assert said[0] == "900 of 1,400 Gaussians by the embedding of contrastive, cosine at least 0.7"
    assert said[1] == "900 of 1,400 Gaussians by their label, object 1: consensus has no embedding"


def test_the_threshold_is_of_the_cosine(tmp_path: Path) -> None:
    opened = open_result(write(tmp_path / "a", True))
    gaussian = int(np.flatnonzero(opened.labels == 2)[0])
    between = 0.4 / np.hypot(0.4, 1)
    for threshold, labels in ((between + 0.01, [2]), (between - 0.01, [1, 2])):
        chosen = select_gaussian(opened, gaussian, threshold, hull=False).gaussians
        np.testing.assert_array_equal(chosen, np.isin(opened.labels, labels))


def test_what_has_no_feature_is_like_nothing() -> None:
    features = np.array([[0, 0], [2, 0], [-1, 0]], np.float32)
    lengths = np.linalg.norm(features, axis=1)
    assert alike(features, lengths, features[1], 0.7).tolist() == [False, True, False]
    assert alike(features, lengths, features[1], -1.0).tolist() == [False, True, True]


def test_the_hull_fills_and_drops_strays() -> None:
    rng = np.random.default_rng(0)
    means = rng.uniform(-1, 1, (2000, 3)).astype(np.float32)
    chosen = (np.abs(means).max(1) < 0.5) & (rng.random(2000) < 0.8)
    stray = int(np.flatnonzero(np.abs(means).max(1) > 0.98)[0])
    means[stray] = [40, 0, 0]
    chosen[stray] = True
    found = inside_hull(means, chosen)
    assert not found[stray]
    kept = chosen.copy()
    kept[stray] = False
    assert found[kept].all()
    assert found[np.abs(means).max(1) < 0.35].all()
    assert not found[np.abs(means).max(1) > 0.5].any()


@pytest.mark.parametrize("count", [0, 1, 3])
def test_too_few_for_a_hull_stay_as_they_are(count: int) -> None:
    means = np.random.default_rng(0).random((10, 3)).astype(np.float32)
    chosen = np.arange(10) < count
    np.testing.assert_array_equal(inside_hull(means, chosen), chosen)
    flat = means * np.array([1, 1, 0], np.float32)
    np.testing.assert_array_equal(inside_hull(flat, np.arange(10) < 8), np.arange(10) < 8)


def test_files_of_a_selection(opened: Opened, tmp_path: Path) -> None:
    from protocol.ply import read_ply

    selection = select_pixel(opened, "a", *SMALL)
    write_selection(opened, selection, tmp_path / "picked")
    assert len(read_ply(tmp_path / "picked" / "selection.ply")) == 400
    mask = np.asarray(Image.open(tmp_path / "picked" / "masks" / "a.png"))
    np.testing.assert_array_equal(mask == 255, view_mask(opened, selection, "a"))
    assert sorted(p.name for p in (tmp_path / "picked" / "masks").iterdir()) == ["a.png", "b.png"]
    with pytest.raises(BadArgument, match="exists"):
        write_selection(opened, selection, tmp_path / "picked")


def test_refusals(opened: Opened) -> None:
    cases: list[tuple[type[Fault], str, Callable[[], object]]] = [
        (NotFound, "no view 'c'", lambda: select_pixel(opened, "c", 0, 0)),
        (BadArgument, "outside view a", lambda: select_pixel(opened, "a", 80, 0)),
        (BadArgument, "outside view a", lambda: select_pixel(opened, "a", 0, -1)),
        (BadArgument, "does not show a Gaussian", lambda: select_pixel(opened, "a", *NOTHING)),
        (BadArgument, "Gaussian 1400 does not exist", lambda: select_gaussian(opened, 1400)),
        (BadArgument, "Gaussian -1 does not exist", lambda: select_gaussian(opened, -1)),
    ]
    for kind, word, act in cases:
        with pytest.raises(kind, match=word):
            act()


def test_background_is_no_object_where_labels_decide(tmp_path: Path) -> None:
    opened = open_result(write(tmp_path / "a", False))
    with pytest.raises(BadArgument, match="is background"):
        select_gaussian(opened, int(np.flatnonzero(opened.labels == 0)[0]))


def spoil_cameras(name: str) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        text = (folder / "cameras.json").read_text()
        (folder / "cameras.json").write_text(text.replace('"b"', f'"{name}"'))

    return spoil


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (lambda folder: (folder / "cameras.json").unlink(), "cameras.json"),
        (spoil_cameras("../b"), "cameras.json"),
        (lambda folder: (folder / "embedding.npy").write_bytes(b"\x93NUMPY"), "embedding.npy"),
        (lambda folder: np.save(folder / "embedding.npy", np.zeros((3, 4), np.float16)), "3 Gaussians"),
        (lambda folder: np.save(folder / "embedding.npy", np.zeros((1400, 4), np.int64)), "not contain an embedding"),
        (lambda folder: (folder / "objects.json").unlink(), "not a result folder"),
    ],
)
def test_broken_results(tmp_path: Path, spoil: Callable[[Path], None], word: str) -> None:
    folder = write(tmp_path / "a", True)
    spoil(folder)
    with pytest.raises(BadResult, match=word):
        open_result(folder)
