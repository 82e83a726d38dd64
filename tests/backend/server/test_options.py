"""Options that a script asks for, through a real server and worker, in the report of the result."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.demo.scene import write_scene
from blender_addon import api
from protocol.errors import BadArgument
from tests.backend.server.conftest import HERE


@pytest.fixture
def client(tmp_path: Path) -> Iterator[api.Client]:
    command = [sys.executable, "-m", "backend", "serve", "--bind", "tcp://127.0.0.1:0", "--device", "cpu"]
    server = subprocess.Popen(
        [*command, "--data", str(tmp_path / "data")], cwd=HERE.parents[2], stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    address = server.stdout.readline().split()[-1]
    try:
        with api.connect(address, timeout=60, cache=tmp_path / "cache") as client:
            yield client
    finally:
        server.terminate()
        server.communicate(timeout=20)


def test_options_reach_the_result(client: api.Client, tmp_path: Path) -> None:
    write_scene(tmp_path / "room", objects=3, views=6, size=64, seed=1)
    asked = {
        "masks_from": "geometry",
        "quality": "draft",
        "test_views": "every:3",
        "seed": 5,
        "steps": 300,
        "max_gaussians": 900,
        "long_side": 60,
        "steer": False,
        "refine": True,
        "meshes": False,
        "gallery": True,
    }
    result = api.segment(client, tmp_path / "room", **asked).result(timeout=300)
    report = json.loads((result / "report.json").read_text())
    assert report["options"] == {name: value for name, value in asked.items() if name != "gallery"} | {"device": "cpu"}
    assert report["method"] == "geometry"
    assert report["refined"]
    assert not report["steered"]
    assert (report["quality"], report["steps"], report["seed"]) == ("draft", 300, 5)
    assert report["views"] == {"train": 4, "test": 2}
    assert report["gaussians"] <= 900
    assert (result / "gallery" / "held_out.png").is_file()

    # Given Gaussians, the capture's masks, and none of the pictures.
    (tmp_path / "room" / "given.ply").write_bytes((result / "splats.ply").read_bytes())
    again = api.segment(
        client,
        tmp_path / "room",
        method="consensus",
        splats="given.ply",
        masks="masks",
        background_ids=[1],
        settings={"tau": 0.5},
        gallery=False,
    ).result(timeout=300)
    report = json.loads((again / "report.json").read_text())
    assert report["options"] == {
        "method": "consensus",
        "splats": "given.ply",
        "masks": "masks",
        "background_ids": [1],
        "settings": {"tau": 0.5},
        "gallery": False,
        "device": "cpu",
    }
    assert (report["method"], report["settings"]["tau"], report["splats"]) == ("consensus", 0.5, "given.ply")
    assert not report["refined"]
    assert not (again / "gallery").exists()


def test_what_excludes_itself_is_refused_before_it_is_sent(client: api.Client, tmp_path: Path) -> None:
    write_scene(tmp_path / "room", objects=3, views=6, size=64, seed=1)
    with pytest.raises(BadArgument, match="Geometry does not use masks"):
        api.segment(client, tmp_path / "room", method="consensus", masks_from="geometry")
    with pytest.raises(BadArgument, match="test_views"):
        api.segment(client, tmp_path / "room", test_views="some")
