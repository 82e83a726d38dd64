"""Words and corrections in Blender with a real server: a process, ZeroMQ and the true solver."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")
pytest.importorskip("torch", reason="the backend is not installed in this environment")

from blender_addon.client import scene_files  # noqa: E402
from blender_addon.client.cache import Cache  # noqa: E402
from blender_addon.client.connection import Connection  # noqa: E402
from blender_addon.client.job_list import JobList  # noqa: E402
from blender_addon.editing.columns import read_column  # noqa: E402
from blender_addon.editing.parts import pieces_of  # noqa: E402
from blender_addon.operators.search import search  # noqa: E402
from blender_addon.timer import timer  # noqa: E402
from protocol.result.names import ROW  # noqa: E402
from tests.backend.server.conftest import ServingProcess  # noqa: E402
from tests.blender.addon import registered  # noqa: E402
from tests.blender.clumps import REAL, pick, pick_parts  # noqa: E402

OPS = bpy.ops.splatlift


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[JobList]:
    """The panel's list of jobs, connected to a server with a simulated detector."""
    monkeypatch.setattr(scene_files, "ENDINGS", scene_files.ENDINGS | {""})
    served = ServingProcess(tmp_path / "data", simulated_words=True)
    with registered():
        jobs = timer._job_list = JobList(Connection(), Cache(tmp_path / "cache"))
        jobs.connection.connect(served.address)
        jobs.connection.run(lambda: jobs.connection.state == "connected", 60)
        yield jobs
        search.lines = []
        jobs.connection.destroy()
    served.process.send_signal(signal.SIGTERM)
    served.process.wait(120)


def imported(jobs: JobList, tmp_path: Path, made: Path) -> Any:
    """Have the server make a result, and import it."""
    folder = tmp_path / "capture"
    (folder / "images").mkdir(parents=True)
    (folder / "transforms.json").write_text("{}")
    (folder / "images" / "a.png").write_bytes(b"a")
    (folder / "script").write_text(f"copy {made}\ndone")
    result = jobs.submit(folder).result(60)
    OPS.import_result(*REAL, display="POINTS", directory=str(result))
    return next(each for each in bpy.data.collections if each.splatlift.kind == "SCENE")


def labels_of(scene: Any, count: int) -> np.ndarray:
    found = np.full(count, -1)
    for each in scene.children:
        for piece in pieces_of(each):
            found[read_column(piece.thing.data, ROW)] = each.splatlift.label
    return found


def test_words_select_in_blender(jobs: JobList, tmp_path: Path) -> None:
    from tests.backend.words.making import write_seen

    imported(jobs, tmp_path, write_seen(tmp_path / "made"))
    bpy.context.scene.splatlift.search = "small ball"
    OPS.search(*REAL)
    assert [each.name for each in bpy.context.selected_objects] == ["Object 2"]
    assert search.lines[0].startswith("1 object for 'small ball', in ")
    bpy.context.scene.splatlift.search = "submarine"
    OPS.search(*REAL)
    assert search.lines[0].startswith("Nothing matches 'submarine'")


def test_corrections_in_blender(jobs: JobList, tmp_path: Path) -> None:
    from tests.backend.corrections.making import EACH
    from tests.backend.server.test_corrections import made

    scene = imported(jobs, tmp_path, made(tmp_path / "made"))

    def labels() -> list[int]:
        return labels_of(scene, 5 * EACH)[::EACH].tolist()

    bpy.ops.ed.undo_push(message="start")
    pick_parts(["Object 1", "Object 2"])
    OPS.merge(*REAL, and_alike=True)
    assert labels() == [1, 1, 3, 3, 5]
    bpy.ops.ed.undo()
    scene = next(each for each in bpy.data.collections if each.splatlift.kind == "SCENE")
    assert labels() == [1, 2, 3, 4, 5]
    pick_parts(["Object 3", "Object 4"])
    OPS.merge(*REAL, and_alike=True)
    assert labels() == [1, 2, 3, 3, 5], "masks agree less on 1 and 2"
    pick("Object 5", np.ones(EACH, bool))
    OPS.assign_to_background(*REAL, and_alike=True)
    assert labels() == [1, 2, 3, 3, 0]
    OPS.undo_correction(*REAL)
    assert labels() == [1, 2, 3, 3, 5]
    pick_parts(["Object 1", "Object 3"])
    OPS.merge(*REAL)
    with pytest.raises(RuntimeError, match="were edited in Blender"):
        OPS.undo_correction(*REAL)
