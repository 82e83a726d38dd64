"""Photographs, a video and a splat file without cameras, through the api and a true server with true workers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="the backend is not installed in this environment")

import pycolmap

from backend.scene import load_scene
from blender_addon import api
from protocol.errors import BadScene, Refused
from protocol.ply import read_ply, write_ply
from tests.backend.geometry.test_geometry import scene as spheres
from tests.backend.mapping.conftest import VIEWS, plain, room  # noqa: F401
from tests.backend.mapping.test_frames import moving, write_video
from tests.ports import free_pair

ROOT = Path(__file__).parents[3]
PATIENCE = 240


class Told:
    """What a job tells, in order: (stage, note)."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, str]] = []

    def __call__(self, stage: str, fraction: float, note: str) -> None:
        self.steps.append((stage, note))

    def stages(self) -> list[str]:
        return list(dict.fromkeys(stage for stage, _ in self.steps))

    def mapped(self) -> bool:
        return any("matching" in note or "features" in note for _, note in self.steps)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Start the server, at the same address and on the same data each time."""
    port = free_pair()
    command = [sys.executable, "-m", "backend", "serve", "--bind", f"tcp://127.0.0.1:{port}", "--device", "cpu"]
    started: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        server = subprocess.Popen(
            [*command, "--data", str(tmp_path / "data")],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert server.stdout is not None
        server.stdout.readline()
        started.append(server)
        return server

    start()
    start.address = f"tcp://127.0.0.1:{port}"  # pyright: ignore[reportFunctionMemberAccess]
    start.first = started[0]  # pyright: ignore[reportFunctionMemberAccess]
    yield start
    for server in started:
        if server.poll() is None:
            server.terminate()
            server.wait(20)


@pytest.fixture
def client(serve, tmp_path: Path) -> Iterator[api.Client]:
    with api.connect(serve.address, cache=tmp_path / "cache") as client:
        yield client


def until(client: api.Client, job: api.Segmentation, stage: str, told: Told) -> None:
    def arrived() -> bool:
        told(job.job.stage, job.job.fraction, job.job.note)
        return job.job.stage == stage or job.job.final

    client.connection.run(arrived, PATIENCE)
    assert job.job.stage == stage, job.job.error


def test_poses_are_computed_once_and_come_back_in_the_result(serve, client, plain):  # noqa: F811
    found = api.survey(plain)
    assert (found.photographs, found.poses_from, found.masks_from) == (VIEWS + 2, "photographs", "masks")

    # A job whose server ends goes on from its poses, and can be cancelled.
    told = Told()
    job = api.segment(client, plain, steps=1_000_000)
    until(client, job, "reconstruct", told)
    assert told.mapped()
    serve.first.send_signal(signal.SIGKILL)
    serve.first.wait(20)
    client.connection.run(lambda: client.connection.state == "disconnected", PATIENCE)
    serve()
    again = Told()
    client.connection.run(lambda: client.connection.state == "connected", PATIENCE)
    until(client, job, "reconstruct", again)
    assert not again.mapped()
    job.cancel()
    with pytest.raises(Refused, match="cancelled"):
        job.result(timeout=PATIENCE)

    # Another job on the same photographs finds the poses of the one that left nothing else.
    told = Told()
    result = api.segment(client, plain, steps=20, quality="draft", on_progress=told).result(timeout=PATIENCE)
    assert not told.mapped()
    # Steps that take no time need not be seen, as a server sends only the newest progress.
    assert {"upload", "reconstruct", "download"} <= set(told.stages())
    model = pycolmap.Reconstruction(result / "poses" / "sparse" / "0")
    placed = sorted(image.name for image in model.images.values())
    assert len(placed) >= 0.9 * VIEWS
    assert placed == sorted(path.name for path in (result / "poses" / "images").iterdir())
    assert [view.image_path.name for view in load_scene(result / "poses").views] == placed
    assert len(read_ply(result / "splats.ply")) > 100
    warnings = next(job.warnings for job in client.job_list.jobs if job.folder == result)
    assert any("elsewhere.png" in said for said in warnings)
    assert not [said for said in warnings if "/jobs/" in said], "places of the server mean nothing here"


def test_a_video_that_shows_no_room_is_refused_in_a_sentence(client, tmp_path):
    write_video(tmp_path / "clip.mp4", moving(6))
    assert api.survey(tmp_path / "clip.mp4").poses_from == "video"
    told = Told()
    job = api.segment(client, tmp_path / "clip.mp4", on_progress=told)
    with pytest.raises(
        BadScene, match=r"frames of (the capture|clip\.mp4)|photographs of clip\.mp4|Of the 6"
    ) as failed:
        job.result(timeout=PATIENCE)
    assert str(tmp_path) not in str(failed.value)
    assert "/jobs/" not in str(failed.value)
    assert failed.value.remedy
    assert job.job.title == "clip"


def test_a_splat_file_alone(client, tmp_path):
    splats, truth = spheres()
    write_ply(splats, tmp_path / "table.ply")
    (tmp_path / "diary.txt").write_text("private")
    result = api.segment(client, tmp_path / "table.ply").result(timeout=PATIENCE)
    labels = read_ply(result / "splats.ply").extra["label"]
    assert not labels[truth == 0].any()
    assert len(np.unique(labels)) == 3
