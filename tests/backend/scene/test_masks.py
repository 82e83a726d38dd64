"""Masks in every form that segmenters write."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray
from PIL import Image

from backend.scene import load_scene, read_mask
from backend.scene.mask_files import load_ids, mask_size
from backend.scene.types import VOID
from protocol.errors import BadMask
from tests.backend.scene import writing
from tests.backend.scene.writing import HEIGHT, STEMS, WIDTH

IDS = np.arange(WIDTH * HEIGHT).reshape(HEIGHT, WIDTH)


@pytest.mark.parametrize(
    ("name", "ids"),
    [
        ("a.png", (IDS % 256).astype(np.uint8)),
        ("a.png", (IDS + 60000).astype(np.uint16)),
        ("a.npy", (IDS % 100).astype(np.uint8)),
        ("a.npy", IDS.astype(np.int16)),
        ("a.npy", IDS.astype(np.int64) + 100_000),
        ("a.npy", IDS.astype(">i4")),
        ("a.npy", np.asfortranarray(IDS.astype(np.int32))),
        ("a.npy", IDS % 2 == 0),
        ("a.npz", IDS.astype(np.uint32) + 70_000),
    ],
    ids=lambda value: value if isinstance(value, str) else str(value.dtype),
)
def test_id_maps(tmp_path: Path, name: str, ids: NDArray) -> None:
    writing.write_mask(tmp_path / name, ids)
    got = load_ids(tmp_path / name)
    assert got.dtype == np.int32
    np.testing.assert_array_equal(got, ids)
    assert mask_size(tmp_path / name) == (WIDTH, HEIGHT)


@pytest.mark.parametrize("large", [3, 2**40])
def test_ids_below_zero_are_void(tmp_path: Path, large: int) -> None:
    np.save(tmp_path / "a.npy", np.array([[-1, -(2**40), 0, large]]))
    np.testing.assert_array_equal(load_ids(tmp_path / "a.npy"), [[VOID, VOID, 0, 3 if large == 3 else 1]])
    np.save(tmp_path / "a.npy", np.array([[-7, 0, 5]], np.int16))
    np.testing.assert_array_equal(load_ids(tmp_path / "a.npy"), [[VOID, 0, 5]])


def test_palette_indices_are_ids(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 1, 2]], np.uint8), "P")
    image.putpalette([0, 0, 0, 255, 0, 0, 255, 0, 0])
    image.save(tmp_path / "a.png")
    np.testing.assert_array_equal(load_ids(tmp_path / "a.png"), [[0, 1, 2]])


@given(npst.arrays(np.uint64, (3, 4), elements=st.sampled_from([0, 1, 5, 2**31, 2**40, 2**64 - 1])))
@settings(max_examples=50, deadline=None)
def test_ids_beyond_int32_keep_their_partition(tmp_path_factory: pytest.TempPathFactory, ids: NDArray) -> None:
    file = tmp_path_factory.mktemp("masks") / "a.npy"
    np.save(file, ids)
    got = load_ids(file)
    np.testing.assert_array_equal(got == 0, ids == 0)
    np.testing.assert_array_equal(
        got.ravel()[:, None] == got.ravel()[None, :], ids.ravel()[:, None] == ids.ravel()[None, :]
    )


@pytest.mark.parametrize("ending", [".npy", ".npz"])
@pytest.mark.parametrize("dtype", [np.bool_, np.uint8])
def test_in_a_stack_parts_lie_on_wholes(tmp_path: Path, ending: str, dtype: type) -> None:
    stack = np.zeros((4, 4, 6), dtype)
    stack[0, 1:3, 1:3] = 1
    stack[1, :, :4] = 1
    stack[2, 1:3, 2:4] = 1
    writing.write_mask(tmp_path / f"a{ending}", stack)
    expected = np.zeros((4, 6))
    expected[:, :4] = 2
    expected[1:3, 1:3] = 1
    expected[1:3, 2:4] = 3
    np.testing.assert_array_equal(load_ids(tmp_path / f"a{ending}"), expected)
    assert mask_size(tmp_path / f"a{ending}") == (6, 4)


def test_a_stack_of_no_instance_is_an_empty_mask(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((0, 4, 6), bool))
    np.testing.assert_array_equal(load_ids(tmp_path / "a.npy"), np.zeros((4, 6)))


@pytest.mark.parametrize("size", [(WIDTH, HEIGHT), (WIDTH // 2, HEIGHT // 2), (WIDTH * 3, HEIGHT * 3), (4, 3)])
def test_sizes_that_fit(tmp_path: Path, size: tuple[int, int]) -> None:
    writing.write_colmap(tmp_path)
    writing.write_mask(tmp_path / "masks" / f"{STEMS[0]}.png", np.ones(size[::-1], np.uint8))
    ids = read_mask(load_scene(tmp_path).views[0])
    assert ids is not None
    assert ids.shape == size[::-1]


@pytest.mark.parametrize("folder", ["masks", "seg_masks", "object_mask", "instance_masks"])
def test_customary_folders(tmp_path: Path, folder: str) -> None:
    writing.write_colmap(tmp_path)
    writing.write_mask(tmp_path / folder / f"{STEMS[1]}.npy", IDS)
    views = load_scene(tmp_path).views
    assert [view.mask_path is not None for view in views] == [False, True, False]
    assert read_mask(views[0]) is None


def test_the_given_folder_goes_first(tmp_path: Path) -> None:
    writing.write_messy_rooms(tmp_path)
    writing.write_mask(tmp_path / "instance" / "1.npy", IDS)
    ids = read_mask(load_scene(tmp_path, tmp_path / "instance").views[1])
    assert ids is not None
    np.testing.assert_array_equal(ids, IDS)


def test_masks_named_by_a_frame(tmp_path: Path) -> None:
    content = writing.transforms()
    content["frames"][2]["mask_path"] = "elsewhere/m.png"
    writing.write_transforms(tmp_path, content)
    writing.write_mask(tmp_path / "elsewhere" / "m.png", np.ones((HEIGHT, WIDTH), np.uint8))
    scene = load_scene(tmp_path)
    assert [view.mask_path is not None for view in scene.views] == [False, False, True]
    assert "read as instance ids" in scene.warnings[0]


def test_masks_below_the_photographs_folders_or_by_the_views_name(tmp_path: Path) -> None:
    writing.write_nerf_synthetic(tmp_path)
    writing.write_mask(tmp_path / "masks" / "train" / "v_1.png", np.full((HEIGHT, WIDTH), 1, np.uint8))
    writing.write_mask(tmp_path / "masks" / "test_v_1.png", np.full((HEIGHT, WIDTH), 2, np.uint8))
    # Two photographs are called v_2, so a bare v_2 belongs to neither.
    writing.write_mask(tmp_path / "masks" / "v_2.png", np.full((HEIGHT, WIDTH), 3, np.uint8))
    scene = load_scene(tmp_path)
    assert "1 files in" in scene.warnings[0]
    assert "match several photographs and were ignored (first: v_2.png)" in scene.warnings[0]
    ids = {view.name: read_mask(view) for view in scene.views}
    assert {name: int(each[0, 0]) for name, each in ids.items() if each is not None} == {
        "train_v_1": 1,
        "test_v_1": 2,
    }


def test_a_customary_folder_without_any_mask_is_a_warning(tmp_path: Path) -> None:
    writing.write_colmap(tmp_path)
    (tmp_path / "masks").mkdir()
    scene = load_scene(tmp_path)
    assert scene.warnings == (f"The folder {tmp_path / 'masks'} contains no mask with the name of a photograph.",)


def test_a_claimed_size_is_not_allocated(tmp_path: Path) -> None:
    header = "{'descr': '|u1', 'fortran_order': False, 'shape': (1000000, 1000000), }"
    text = header.ljust(117) + "\n"
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode())
    with pytest.raises(BadMask, match="declares 1000000000000 values"):
        load_ids(tmp_path / "a.npy")
