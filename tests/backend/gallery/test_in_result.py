from __future__ import annotations

from pathlib import Path

import numpy as np

from backend.demo.scene import write_scene
from backend.pipeline import segment
from protocol.job_request import JobRequest
from protocol.ply import read_ply
from tests.protocol.formats.packing import spz_bytes


def test_a_result_has_its_gallery_and_a_splat_file_of_another_kind_gives_the_same_scene(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("backend.reconstruct.train.REPORT_EVERY", 0.0)
    write_scene(tmp_path / "room", objects=3, views=6, size=64, seed=1)
    request = JobRequest(device="cpu", steps=300, meshes=False, test_views="last:0.34")
    report = segment(tmp_path / "room", tmp_path / "out", request)
    assert sorted(p.name for p in (tmp_path / "out" / "gallery").iterdir()) == [
        "held_out.png",
        "training.png",
        "turntable.gif",
    ]
    assert report["seconds"]["gallery"] > 0

    first = read_ply(tmp_path / "out" / "splats.ply")
    (tmp_path / "scene.spz").write_bytes(spz_bytes(first, 3))
    again = JobRequest(splats=str(tmp_path / "scene.spz"), device="cpu", meshes=False, gallery=False)
    segment(tmp_path / "room", tmp_path / "again", again)
    assert not (tmp_path / "again" / "gallery").exists()
    second = read_ply(tmp_path / "again" / "splats.ply")
    assert np.abs(first.means - second.means).max() < 2**-12
    # The same objects, seen through quantised Gaussians.
    assert ((first.extra["label"] > 0) == (second.extra["label"] > 0)).mean() > 0.9
