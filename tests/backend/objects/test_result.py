"""The result folder: whole or not there."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from backend.objects import result
from backend.objects.table import object_table
from backend.progress import Cancelled
from backend.scene.types import Camera
from protocol.errors import BadArgument
from protocol.ply import read_ply
from protocol.result.folder import check_out, whole_folder
from protocol.result.table import read_table
from tests.backend.objects.making import two_balls


def write(out, progress=lambda *a: None):
    splats, lift = two_balls()
    with whole_folder(out) as folder:
        result.write_gaussians(folder, splats, lift, progress)
        result.write_meshes(folder, splats, lift.labels, [], "cpu", progress)
        result.write_objects(folder, "kitchen", lift, 0, (0.0, 0.0, 1.0), object_table(splats, lift))
        result.write_labels(folder, {"a": np.array([[0, 2], [1, 300]], np.int32)})
    return splats, lift


def test_a_result_holds_what_it_should(tmp_path):
    splats, lift = write(tmp_path / "out")
    out = tmp_path / "out"
    everything = read_ply(out / "splats.ply")
    assert np.array_equal(everything.extra["label"], lift.labels)
    assert everything.extra["label"].dtype == np.int32
    assert np.array_equal(everything.extra["confidence"], lift.confidence)
    piece = read_ply(out / "objects" / "0002.ply")
    assert np.array_equal(piece.means, splats.means[lift.labels == 2])
    assert not piece.extra
    record = json.loads((out / "objects.json").read_text())
    assert (record["format"], record["scene"], [o["count"] for o in record["objects"]]) == (1, "kitchen", [900, 400])
    ids = np.asarray(Image.open(out / "labels" / "a.png"))
    assert ids.tolist() == [[0, 2], [1, 300]]
    assert sorted(p.name for p in (out / "meshes").iterdir()) == ["0001.ply", "0002.ply"]


def test_a_new_result_takes_the_place_of_an_old_one(tmp_path):
    write(tmp_path / "out")
    (tmp_path / "out" / "objects" / "0099.ply").write_text("left over")
    check_out(tmp_path / "out")
    write(tmp_path / "out")
    assert not (tmp_path / "out" / "objects" / "0099.ply").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_cancelled_half_way_nothing_is_left(tmp_path):
    def stop(stage, fraction, note=""):
        if fraction > 0:
            raise Cancelled

    with pytest.raises(Cancelled):
        write(tmp_path / "out", stop)
    assert list(tmp_path.iterdir()) == []


def test_too_many_objects_for_the_id_maps(tmp_path):
    with pytest.raises(BadArgument, match="70000 objects"):
        result.write_labels(tmp_path, {"a": np.array([[70_000]], np.int32)})


def test_names_are_unique_words_for_export(tmp_path):
    write(tmp_path / "out")
    assert [o.name for o in read_table(tmp_path / "out").objects] == ["Object 1", "Object 2"]


def test_cameras_come_back_and_name_their_photographs(tmp_path):
    camera = Camera(np.eye(4), np.array([[50.5, 0, 16], [0, 49, 12], [0, 0, 1]]), 32, 24)
    result.write_cameras(tmp_path, {"a": camera, "b": camera}, {"a": "images/a.png"})
    got = result.read_cameras(tmp_path)["b"]
    assert np.array_equal(got.K, camera.K)
    assert (got.width, got.height) == (32, 24)
    rows = json.loads((tmp_path / "cameras.json").read_text())["views"]
    assert [row["photograph"] for row in rows] == ["images/a.png", None]
