"""The client and the api with a real server in a separate process; only its workers are scripted."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from blender_addon import api
from blender_addon.client import scene_files
from protocol.errors import BadArgument, BadScene, NotFound, Refused, Unavailable
from tests.backend.server.conftest import ServingProcess, starting
from tests.ports import free_pair


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., ServingProcess]]:
    """Start a server on one data folder of the test, again and again if need be."""
    with starting(tmp_path / "data") as start:
        yield start


@pytest.fixture
def connect(tmp_path: Path) -> Iterator[Callable[[str], api.Client]]:
    clients: list[api.Client] = []

    def connect(address: str) -> api.Client:
        clients.append(api.connect(address, cache=tmp_path / "cache"))
        return clients[-1]

    yield connect
    for client in clients:
        client.close()


@pytest.fixture
def scripted(capture, monkeypatch) -> Callable[..., Path]:
    """Make a capture with a script for the worker, a file without an ending, which is sent for the tests' sake."""
    monkeypatch.setattr(scene_files, "ENDINGS", scene_files.ENDINGS | {""})

    def make(*script: str, name: str = "kitchen", **sizes: int) -> Path:
        folder = capture(name, **sizes)
        (folder / "script").write_text("\n".join(script))
        return folder

    return make


def test_segment_through_the_api(start, connect, scripted):
    told: list[tuple[str, float, str]] = []
    folder = scripted(
        "step scene 0.5", "step lift 0.25", "write splats.ply 3000000", "write objects/0001.ply 10", "done"
    )
    client = connect(start().address)
    assert client.methods
    job = api.segment(
        client,
        folder,
        client.methods[0].name,
        seed=7,
        settings={"tau": 0.5},
        on_progress=lambda *progress: told.append(progress),
    )
    assert job.job.state == "preparing", "it returns at once"
    result = job.result(timeout=20)
    assert (result / "splats.ply").read_bytes() == b"splats.ply" * 300_000
    assert (result / "objects" / "0001.ply").stat().st_size == 10
    stages = [stage for stage, _, _ in told]
    order = [stage for n, stage in enumerate(stages) if stages[n - 1 : n] != [stage]]
    assert order[:2] == ["prepare", "upload"]
    assert order[-1] == "download"
    assert told[-1][1] == 1.0
    assert all(fraction < 1.0 for _, fraction, _ in told[:-1])


def test_the_second_run_on_a_folder_sends_nothing(start, connect, scripted, monkeypatch):
    folder = scripted("write splats.ply 10", "done", a=20_000_000)
    client = connect(start().address)
    first = api.segment(client, folder)
    first.result(timeout=20)
    second = api.segment(client, folder)
    shown: list[tuple[str, str, int]] = []
    show = second.job.show

    def record(**changed: object) -> None:
        show(**changed)
        shown.append((second.job.stage, second.job.note, second.job.bytes_done))

    monkeypatch.setattr(second.job, "show", record)
    assert second.result(timeout=20) != first.result()
    assert ("upload", "20.0 MB already on the server", 0) in shown
    assert not [note for stage, note, sent in shown if stage == "upload" and sent]


def test_cancel_through_the_api_takes_at_most_two_seconds(start, connect, scripted):
    client = connect(start().address)
    job = api.segment(client, scripted("step lift 0.5", "until-cancelled"))
    client.connection.run(lambda: job.job.stage == "lift", 20)
    begin = time.monotonic()
    job.cancel()
    with pytest.raises(Refused, match="cancelled"):
        job.result(timeout=20)
    assert time.monotonic() - begin < 2.0


def test_a_cancelled_upload_does_not_hold_up_the_next(start, connect, scripted):
    client = connect(start().address)
    first = api.segment(client, scripted("write out 5", "done", name="first", a=60_000_000))
    client.connection.run(lambda: first.job.state == "uploading" and first.job.bytes_done > 3_000_000, 20)
    first.cancel()
    second = api.segment(client, scripted("write out 5", "done", name="second"))
    assert (second.result(timeout=20) / "out").is_file()
    again = api.segment(client, first.job.scene)
    assert (again.result(timeout=20) / "out").is_file()


def test_a_failure_is_raised_in_the_workers_words(start, connect, scripted):
    client = connect(start().address)
    with pytest.raises(BadScene, match="The scene is empty") as failed:
        api.segment(client, scripted("error bad-scene")).result(timeout=20)
    assert failed.value.remedy == "Take photographs."


def test_a_killed_server_is_found_again_and_the_job_comes_to_its_end(start, connect, scripted):
    port = free_pair()
    first = start(f"tcp://127.0.0.1:{port}")
    client = connect(first.address)
    # The worker outlives its server, and the next server follows it.
    job = api.segment(client, scripted("step lift 0.5", "sleep 5", "write out 5", "done"))
    client.connection.run(lambda: job.job.stage == "lift", 20)
    first.end(signal.SIGKILL)
    client.connection.run(lambda: client.connection.state == "disconnected", 20)
    assert client.connection.state == "disconnected"
    start(f"tcp://127.0.0.1:{port}")
    assert (job.result(timeout=30) / "out").is_file()


def test_a_frozen_server_is_noticed_and_awaited(start, connect, scripted):
    served = start()
    client = connect(served.address)
    served.process.send_signal(signal.SIGSTOP)
    try:
        client.connection.run(lambda: client.connection.state == "disconnected", 20)
        assert client.connection.state == "disconnected"
    finally:
        served.process.send_signal(signal.SIGCONT)
    client.connection.run(lambda: client.connection.state == "connected", 20)
    assert client.connection.state == "connected"


def test_nothing_there(tmp_path):
    port = free_pair()
    with pytest.raises(Unavailable, match=f"tcp://127.0.0.1:{port}"):
        api.connect(f"tcp://127.0.0.1:{port}", timeout=0.3, cache=tmp_path)


def test_what_the_api_refuses(start, connect, capture, tmp_path):
    client = connect(start().address)
    with pytest.raises(BadArgument, match="method 'magic' does not exist"):
        api.segment(client, capture(), "magic")
    with pytest.raises(BadArgument, match="pairing string is not valid"):
        api.connect("tcp://127.0.0.1:1", pairing="key", cache=tmp_path)
    job = api.segment(client, tmp_path / "nowhere")
    with pytest.raises(BadScene, match="nowhere"):
        job.result(timeout=5)
    job = api.segment(client, tmp_path / "kitchen")
    with pytest.raises(Unavailable, match="no result after 0 s"):
        job.result(timeout=0)


def test_select_similar_through_the_api(start, connect, scripted, tmp_path):
    pytest.importorskip("torch", reason="the backend is not installed in this environment")
    from tests.backend.select.test_selection import LARGE, made, write

    labels = made(True)[1].labels
    write(tmp_path / "made", True)
    client = connect(start().address)
    result = api.segment(client, scripted(f"copy {tmp_path / 'made'}", "done")).result(timeout=20)
    row = int(np.flatnonzero(labels == 2)[3])
    np.testing.assert_array_equal(api.select_similar(client, result, row), labels == 2)
    np.testing.assert_array_equal(api.select_similar(client, result.name, pixel=("a", *LARGE)), labels == 1)
    np.testing.assert_array_equal(api.select_similar(client, result, row, threshold=0.2, hull=False), labels > 0)
    with pytest.raises(BadArgument, match="Gaussian 1400 does not exist"):
        api.select_similar(client, result, len(labels))
    with pytest.raises(BadArgument, match="one Gaussian or one pixel"):
        api.select_similar(client, result)
    with pytest.raises(NotFound, match="was not downloaded from a server"):
        api.select_similar(client, tmp_path / "made", row)
    client.connection.close()
    with pytest.raises(Unavailable, match="Connect to a server first"):
        api.select_similar(client, result, row)


def test_words_through_the_api(start, connect, scripted, tmp_path):
    pytest.importorskip("torch", reason="the backend is not installed in this environment")
    from protocol.result.table import read_table
    from tests.backend.select.test_selection import made
    from tests.backend.words.making import write_seen

    labels = made(False)[1].labels
    client = connect(start(simulated_words=True).address)
    result = api.segment(client, scripted(f"copy {write_seen(tmp_path / 'made')}", "done")).result(timeout=20)
    told: list[tuple[float, str]] = []
    found = api.select(client, result, text="Small  ball", on_progress=lambda *each: told.append(each))
    np.testing.assert_array_equal(found.gaussians, labels == 2)
    assert (found.objects, [each.label for each in found.best]) == (1, [2])
    assert told
    nothing = api.select(client, result, text="submarine")
    assert (nothing.objects, nothing.gaussians.any()) == (0, False)
    assert api.name_objects(client, result, ["large ball", "Small ball"]) == {1: "large ball", 2: "small ball"}
    assert [row.name for row in read_table(result).objects] == ["large ball", "small ball"]
    for words, sentence in (([], "list of words is empty"), (["ball", "12"], "Word 2 of the list: .* no letter")):
        with pytest.raises(BadArgument, match=sentence):
            api.name_objects(client, result, words)
    for text, sentence in (("", "text is empty"), ("мяч", "not a Latin letter")):
        with pytest.raises(BadArgument, match=sentence):
            api.select(client, result, text=text)
    with pytest.raises(Unavailable, match="no model owner/name"):
        api.select(client, result, text="ball", model="owner/name")
    client.connection.close()
    with pytest.raises(Unavailable, match="Connect to a server first"):
        api.select(client, result, text="ball")


def test_corrections_through_the_api(start, connect, scripted, tmp_path):
    pytest.importorskip("torch", reason="the backend is not installed in this environment")
    from protocol.result.gaussians import read_splats
    from protocol.result.table import read_table
    from tests.backend.corrections.making import EACH
    from tests.backend.server.test_corrections import made

    def labels() -> list[int]:
        return read_splats(result).extra["label"][::EACH].tolist()

    client = connect(start().address)
    result = api.segment(client, scripted(f"copy {made(tmp_path / 'made')}", "done")).result(timeout=20)
    names = {row.id: row.name for row in read_table(result).objects}
    preview = api.correct(client, result, "one", 1, 2)
    assert preview.lines(names) == [
        "10 Gaussians of Object 2 go to Object 1.",
        "10 Gaussians of Object 4 go to Object 3, as similar ones do.",
    ]
    assert labels() == [1, 2, 3, 4, 5]
    taken = api.correct(client, result, "one", 1, 2, take=True)
    assert taken.rows.tolist() == preview.rows.tolist()
    assert labels() == [1, 1, 3, 3, 5]
    api.correct(client, result, "there", range(4 * EACH, 5 * EACH), 1, here=True, take=True)
    assert labels() == [1, 1, 3, 3, 1]
    with pytest.raises(NotFound, match="has no object 5"):
        api.correct(client, result, "background", 5)
    with pytest.raises(BadArgument, match=r"Correction 3 \(.*\) contradicts correction 1 \(one: Object 1, Object 2\)"):
        api.correct(client, result, "two", range(EACH), range(EACH, 2 * EACH))
    with pytest.raises(BadArgument, match="needs 2 targets, not 1"):
        api.correct(client, result, "one", 1)
    with pytest.raises(BadArgument, match="0 is not the label of an object"):
        api.correct(client, result, "background", 0)
    api.undo_correction(client, result, take=True)
    assert labels() == [1, 1, 3, 3, 5]
    api.undo_correction(client, result, take=True)
    assert labels() == [1, 2, 3, 4, 5]
    with pytest.raises(BadArgument, match="The result has no corrections"):
        api.undo_correction(client, result)
    table = (result / "objects.json").read_bytes()
    (result / "objects.json").unlink()  # it is a link into the store
    (result / "objects.json").write_bytes(table + b"\n")
    with pytest.raises(Refused, match="was edited, or corrected elsewhere"):
        api.correct(client, result, "one", 1, 2, take=True)


def test_a_step_takes_little_of_the_processor(start, connect, scripted):
    """What Blender's window feels: seconds of this process's time per step, hashing, sending and receiving."""
    client = connect(start().address)
    job = api.segment(client, scripted("write splats.ply 30000000", "done", a=40_000_000))
    slow = []
    while not job.job.final:
        begin = time.process_time()
        client.connection.step(0.005)
        slow.append(time.process_time() - begin)
        if not client.connection.busy:
            time.sleep(0.002)
    assert job.job.state == "finished"
    assert sorted(slow)[-3] < 0.05
    assert (job.result() / "splats.ply").stat().st_size == 30_000_000
