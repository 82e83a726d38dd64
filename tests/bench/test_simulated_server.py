"""The simulated detector of a server: which photograph it is given, and where the objects of that one are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from bench.simulated_server import OfPhotographs


def test_the_object_is_found_where_it_is_in_the_given_photograph(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for folder in ("images", "gt/instance"):
        (tmp_path / folder).mkdir(parents=True)
    places = ((4, 6), (40, 20), (20, 44))
    photographs = []
    for number, (x, y) in enumerate(places):
        pixels, ids = rng.integers(0, 255, (64, 64, 3), np.uint8), np.zeros((64, 64), np.uint8)
        ids[y : y + 16, x : x + 12] = 2
        Image.fromarray(pixels).save(tmp_path / "images" / f"{number}.png")
        Image.fromarray(ids).save(tmp_path / "gt" / "instance" / f"{number}.png")
        photographs.append(pixels)
    detector = OfPhotographs(tmp_path, {"cup": 2})
    for pixels, (x, y) in zip(photographs, places, strict=True):
        boxes = [box for _ in range(40) for box in detector(pixels, ["cup"])[0]]
        near = [box for box in boxes if abs(box.left - x) < 4 and abs(box.top - y) < 4]
        assert len(near) > len(boxes) / 2 > 8
