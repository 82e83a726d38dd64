"""Selections over the wire: made in a process of their own, while the server goes on serving."""

from __future__ import annotations

import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from backend.server import silence
from backend.server.question_protocol import Reply, pack_reply, take_reply
from backend.server.result_process import CLIENT_WAITING
from backend.server.selection_worker import OPEN
from protocol.errors import BadArgument, BadResult, NotFound, Refused, Unavailable
from protocol.messages import Error, Heartbeat, Select, Selected
from tests.backend.select.test_selection import CAMERA, FEATURES, LARGE, SMALL, made, write
from tests.backend.server.client import Client
from tests.backend.server.conftest import Serving

SLOW = """
import sys, time
from backend.server.question_protocol import *
for line in sys.stdin.buffer:
    question = unpack_line(line)
    if isinstance(question, Withdrawal):
        continue
    time.sleep(1.0)
    selected = Selected(question.wanted.job, 2, 9)
    sys.stdout.buffer.write(pack_reply(Reply(question.number, selected, bytes([0b10000000, 0b10000000]))))
    sys.stdout.buffer.flush()
"""


@pytest.fixture(scope="module")
def shared(tmp_path_factory) -> Iterator[tuple[Serving, Client, Path]]:
    """One server for the tests that select in truth, as its process takes seconds to start; a client, and a folder."""
    root = tmp_path_factory.mktemp("shared")
    served = Serving(root / "data")
    with Client(served.address) as client:
        client.attach()
        yield served, client, root
    served.stop()


def finished(client: Client, root: Path, *script: str) -> str:
    """Have a job done that follows this script, and return its id."""
    scene = root / uuid.uuid4().hex
    scene.mkdir()
    (scene / "script").write_text("\n".join((*script, "done")))
    job = client.submit(client.offer(scene)[0]).job
    client.until(job, "done")
    return job


def segmented(client: Client, root: Path, embedded: bool = True) -> str:
    """Have a job done whose result has two objects, and return its id."""
    folder = root / f"result{embedded}"
    return finished(client, root, f"copy {folder if folder.exists() else write(folder, embedded)}")


def ask(client: Client, wanted: Select) -> tuple[Selected, np.ndarray]:
    id = client.send(wanted)
    while True:
        message, arrays, of = client.receive(patience=90)
        if of == id:
            break
    assert isinstance(message, Selected), message
    return message, np.unpackbits(np.concatenate(arrays), count=message.total).astype(bool)


@pytest.mark.parametrize("embedded", [True, False], ids=["embedding", "label"])
def test_a_gaussian_and_a_pixel_select_their_object(shared, embedded):
    served, client, root = shared
    labels = made(embedded)[1].labels
    assert "select" in client.welcome.features
    job = segmented(client, root, embedded)
    for label, (x, y) in ((1, LARGE), (2, SMALL)):
        row = int(np.flatnonzero(labels == label)[7])
        for wanted in (Select(job, row), Select(job, view="a", x=x, y=y)):
            message, chosen = ask(client, wanted)
            np.testing.assert_array_equal(chosen, labels == label)
            assert (message.count, message.label) == (int((labels == label).sum()), None if embedded else label)
    assert not list((served.data / "select" / "opened").iterdir()), "what was read is not left lying"


def test_the_threshold_decides(shared):
    _, client, root = shared
    job = segmented(client, root)
    labels = made(True)[1].labels
    row = int(np.flatnonzero(labels == 1)[0])
    cosine = float(FEATURES[1] @ FEATURES[2] / np.linalg.norm(FEATURES[1]) / np.linalg.norm(FEATURES[2]))
    _, loose = ask(client, Select(job, row, threshold=cosine - 0.01, hull=False))
    _, tight = ask(client, Select(job, row, threshold=cosine + 0.01, hull=False))
    np.testing.assert_array_equal(loose, labels > 0)
    np.testing.assert_array_equal(tight, labels == 1)


def test_what_cannot_be_selected_is_said(shared):
    _, client, root = shared
    job = segmented(client, root)
    wrong = (
        (Select(job), BadArgument),
        (Select(job, 3, view="a"), BadArgument),
        (Select(job, 10**9), BadArgument),
        (Select(job, view="a", x=CAMERA.width), BadArgument),
        (Select(job, view="nowhere"), NotFound),
        (Select(uuid.uuid4().hex, 0), NotFound),
        (Select(finished(client, root, "write out 5"), 0), BadResult),
    )
    for wanted, kind in wrong:
        with pytest.raises(kind):
            client.ask(wanted, Selected)
    (root / "running").mkdir()
    (root / "running" / "script").write_text("until-cancelled")
    running = client.submit(client.offer(root / "running")[0]).job
    with pytest.raises(Refused, match="no result yet"):
        client.ask(Select(running, 0), Selected)
    client.cancel(running)


def test_the_server_goes_on_while_a_selection_is_made(tmp_path, connect):
    served = Serving(tmp_path / "data", selector_command=[sys.executable, "-c", SLOW])
    try:
        client = connect(served)
        job = segmented(client, tmp_path)
        asked = [client.send(Select(job, 0)) for _ in range(2)]
        waits = []
        for _ in range(20):
            begin = time.monotonic()
            client.send(Heartbeat())
            assert isinstance(client.receive()[0], Heartbeat)
            waits.append(time.monotonic() - begin)
        assert sum(waits) < 1.0, "twenty heartbeats were answered before the first selection"
        answers = [client.receive(patience=10) for _ in asked]
        assert [id for *_, id in answers] == asked
        for message, arrays, _ in answers:
            assert message == Selected(job, 2, 9)
            assert np.flatnonzero(np.unpackbits(arrays[0], count=9)).tolist() == [0, 8]
        many = [client.send(Select(job, 0)) for _ in range(CLIENT_WAITING + 1)]
        message, _, id = client.receive()
        assert isinstance(message, Error)
        assert (message.code, id) == (Refused.code, many[-1])
    finally:
        served.stop()


@pytest.mark.parametrize(
    "program",
    [
        "import sys; sys.stdin.readline(); sys.exit('out of luck')",
        "import sys; sys.stdin.readline(); print('out of luck', file=sys.stderr); print('nonsense ' * 9, flush=True); "
        "sys.stdin.readline()",
    ],
    ids=["it dies", "it talks nonsense"],
)
def test_a_process_that_fails_is_said_and_started_again(tmp_path, connect, program):
    served = Serving(tmp_path / "data", selector_command=[sys.executable, "-c", program])
    try:
        client = connect(served)
        job = segmented(client, tmp_path)
        for _ in range(2):
            with pytest.raises(Unavailable, match="out of luck"):
                client.ask(Select(job, 0), Selected)
    finally:
        served.stop()


def test_a_frozen_process_is_ended_and_said(tmp_path, connect, monkeypatch):
    monkeypatch.setattr(silence, "IDLE_AFTER", 0.5)
    frozen = "import os, signal, sys; sys.stdin.readline(); os.kill(os.getpid(), signal.SIGSTOP)"
    served = Serving(tmp_path / "data", selector_command=[sys.executable, "-c", frozen])
    try:
        client = connect(served)
        job = segmented(client, tmp_path)
        for _ in range(2):
            with pytest.raises(Unavailable, match=r"The process that selects was frozen for . seconds and was ended"):
                client.ask(Select(job, 0), Selected)
    finally:
        served.stop()


def test_answers_come_apart_in_any_pieces():
    answers = [Reply(1, Selected("1" * 32, 2, 9), b"\x80\x80"), Reply(2, Error("bad-argument", "No."))]
    stream = b"".join(map(pack_reply, answers))
    buffer, got = bytearray(), []
    for byte in stream:
        buffer.append(byte)
        while (answer := take_reply(buffer)) is not None:
            got.append(answer)
    assert got == answers
    assert not buffer
    with pytest.raises(ValueError, match="bytes"):
        take_reply(bytearray(b"\xff\xff\xff\xff"))


def test_more_results_than_are_kept_open(shared):
    _, client, root = shared
    jobs = []
    for n in range(OPEN + 1):
        folder = write(root / f"made{n}", True)
        (folder / "mark").write_text(str(n))
        jobs.append(finished(client, root, f"copy {folder}"))
    labels = made(True)[1].labels
    for job in (*jobs, *jobs):
        assert ask(client, Select(job, int(np.flatnonzero(labels == 1)[0])))[0].count == (labels == 1).sum()
