"""Decompression bombs are refused by their headers, with a sentence and without memory."""

from __future__ import annotations

import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.scene.colmap_text import check_points
from backend.scene.images import image_size, read_pixels
from backend.scene.mask_files import load_ids, load_stack, mask_size
from backend.scene.mask_sets import layered
from backend.scene.points import read_points
from protocol.errors import Fault
from protocol.formats.read import read_splats
from tests.backend.scene import bombs

MIB = 1 << 20
BOMBS: dict[str, tuple[Callable[[Path], Path], Callable[[Path], object], str]] = {
    "npz, bzip2": (lambda f: bombs.npz(f / "a.npz", 750 * MIB), load_ids, "declares 786,432,128 bytes"),
    "npz, its size": (lambda f: bombs.npz(f / "a.npz", 750 * MIB), mask_size, "declares 786,432,128 bytes"),
    "npz, lzma": (
        lambda f: bombs.npz(f / "a.npz", 200 * MIB, zipfile.ZIP_LZMA),
        load_ids,
        "or made to fill the memory",
    ),
    "npy": (lambda f: bombs.npy(f / "a.npy", 750 * MIB), load_ids, "declares 786432000 bytes of values and has 1"),
    "png photograph": (lambda f: bombs.png(f / "a.png", 13000, 13000), read_pixels, "169,000,000 bytes of data in 1,"),
    "png photograph, its size": (lambda f: bombs.png(f / "a.png", 13000, 13000), image_size, "fill the memory"),
    "png mask": (lambda f: bombs.png(f / "a.png", 13000, 13000), load_ids, "169,000,000 bytes of data in 1,"),
    "npy, nested header": (lambda f: bombs.nested_header(f / "a.npy"), load_ids, r"cannot be read: it is damaged, or"),
    "photograph of 10 gigapixels": (
        lambda f: bombs.ppm(f / "a.png"),
        read_pixels,
        r"has more than 178,956,970 pixels\.",
    ),
    "rle": (lambda f: bombs.rle(f / "a.json", 16000), load_ids, "16000 x 16000 pixels; at most 134,217,728"),
    "rle of a small photograph": (
        lambda f: bombs.rle(f / "a.json", 6000),
        lambda file: load_ids(file, (640, 480)),
        "6000 x 6000 pixels; at most 19,660,800",
    ),
    "rle, many masks": (
        lambda f: bombs.rle(f / "a.json", 4000, 2200),
        lambda file: load_stack(file, (4000, 4000)),
        "2200 masks of 4000 x 4000 pixels",
    ),
    "spz": (lambda f: bombs.spz(f / "a.spz", 1_000_000), read_splats, "declares 65,000,000 bytes of data in"),
    "sog": (lambda f: bombs.sog(f / "a.sog", 1000), read_splats, "declares 20,000,000 bytes of data in"),
    "ply, a row without an end": (
        lambda f: bombs.text_row(f / "a.ply", 3_000_000),
        read_splats,
        "has a malformed line",
    ),
    "points3D.txt, a track without an end": (
        lambda f: bombs.track(f / "points3D.txt", 300_000),
        lambda file: check_points(file.parent),
        "line 1, is not a point",
    ),
    "points": (lambda f: bombs.points(f / "a.ply", 10**9), read_points, "declares 1000000000 rows of vertex in"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_it_is_refused_before_memory_is_taken(name, tmp_path):
    make, read, words = BOMBS[name]
    file = make(tmp_path)
    tracemalloc.start()
    try:
        with pytest.raises(Fault, match=words) as caught:
            read(file)
        assert tracemalloc.get_traced_memory()[1] < 16 * MIB
    finally:
        tracemalloc.stop()
    assert str(file) in str(caught.value)


def test_masks_larger_than_their_photograph_may_not_fill_the_memory_with_layers(tmp_path):
    stack = load_stack(bombs.rle(tmp_path / "a.json", 2048, 6), (64, 64))
    with pytest.raises(Fault, match="has 5 or more layers of 2048 x 2048 pixels; at most 16,777,216"):
        layered(stack.slices, stack.scores, "a.json", (64, 64))
    assert len(layered(stack.slices, stack.scores, "a.json", (1024, 1024)).layers) == 6


def test_files_that_are_merely_well_packed_are_read(tmp_path):
    size = (9000, 9000)
    Image.new("L", size).save(tmp_path / "a.png", compress_level=9)
    assert (tmp_path / "a.png").stat().st_size < 90_000
    assert image_size(tmp_path / "a.png") == size
    assert mask_size(tmp_path / "a.png") == size
    np.savez_compressed(tmp_path / "a.npz", np.zeros((100, 1000, 1000), bool))
    assert (tmp_path / "a.npz").stat().st_size < 120_000
    assert load_ids(tmp_path / "a.npz").shape == (1000, 1000)
