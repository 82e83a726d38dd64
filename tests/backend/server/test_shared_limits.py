"""What one client may hold of a server: places for uploads, questions and work, and disk space for half-sent files."""

from __future__ import annotations

import os
import sys
import time
import uuid

import pytest

from backend.server import file_loop, result_process, uploads
from backend.server.client_files import ClientFiles
from backend.server.file_loop import FileLoop
from backend.server.owners import Owners
from backend.server.server import ClientLimits
from backend.server.sessions import Sessions
from backend.server.uploads import Uploads
from protocol.errors import Refused, Unavailable
from protocol.messages import Accepted, Error, Get, Offer, Select, Submit
from protocol.store import Store
from tests.backend.server.test_ownership import Shop
from tests.backend.server.test_selections import segmented


def test_an_upload_without_data_gives_way(serving, connect, scene, monkeypatch):
    client = connect(serving)
    for digit in "1234":
        client.send(Offer(digit * 64, 10), client.bulk)
        assert isinstance(client.receive(client.bulk)[0], Get)
    with pytest.raises(Refused, match="4 uploads are already running"):
        client.offer(scene("done"))
    monkeypatch.setattr(uploads, "GIVES_WAY", 0.1)
    time.sleep(0.2)
    client.send(Offer("5" * 64, 10), client.bulk)
    first, second = client.receive(client.bulk)[0], client.receive(client.bulk)[0]
    assert isinstance(first, Error)
    assert "because no data arrived" in first.sentence
    assert isinstance(second, Get)


def test_a_client_cannot_have_many_folders_kept(tmp_path):
    owners = Owners(tmp_path / "files.sqlite")
    kept = Uploads(Sessions(), Store(tmp_path / "store"), owners)
    for number in range(3 * uploads.MOST_RECENT):
        kept.keep("anna", f"{number:064x}")
        kept.keep("ben", f"{number % 2:064x}")
    recent = kept.recent()
    assert len(recent) == uploads.MOST_RECENT + 2
    assert f"{3 * uploads.MOST_RECENT - 1:064x}" in recent
    owners.close()


def test_half_sent_files_are_removed_before_a_client_exceeds_its_limit(tmp_path, scene):
    shop = Shop(tmp_path / "data", limits=ClientLimits(bytes=3_000_000))
    try:
        anna, ben = shop.client("anna"), shop.client("ben")
        ben.offer(scene("his", a=2_800_000), stop_after=2_000_000)
        for number in range(3):
            anna.sent_bytes = 0
            anna.offer(scene(f"{number}", a=2_800_000 + number), stop_after=2_000_000)
            assert anna.bulk is not None
            anna.bulk.close()
            anna.attach()
        parts = list((tmp_path / "data" / "store").glob("*.anna.part"))
        assert sum(path.stat().st_size for path in parts) < 3_000_000
        assert list((tmp_path / "data" / "store").glob("*.ben.part"))
    finally:
        shop.close()


def test_the_oldest_half_sent_files_are_removed_first(tmp_path):
    store, owners = Store(tmp_path / "store"), Owners(tmp_path / "files.sqlite")
    files = ClientFiles(store, owners, "anna")
    for number in range(4):
        part = files.part(f"{number}" * 64)
        part.write_bytes(bytes(100))
        os.utime(part, (number, number))
    other = ClientFiles(store, owners, "x.anna").part("0" * 64)
    other.write_bytes(bytes(100))
    store.writers.add(files.part("0" * 64).stem)
    assert files.trim_parts(250, {"3" * 64}) == 200
    assert sorted(path.name[0] for path in store.root.glob("*.part")) == ["0", "0", "2", "3"]
    assert files.trim_parts(-1, ()) == 100, "a file that is being written stays"
    assert other.exists()
    owners.close()


def test_jobs_that_are_submitted_at_once_keep_to_the_limit(tmp_path, scene):
    shop = Shop(tmp_path / "data", limits=ClientLimits(jobs=3))
    try:
        anna = shop.client("anna")
        manifest, _ = anna.offer(scene("until-cancelled"))
        for _ in range(20):
            anna.send(Submit(uuid.uuid4().hex, "t", manifest))
        answers = [anna.receive()[0] for _ in range(20)]
        assert sum(isinstance(answer, Accepted) for answer in answers) == 3
    finally:
        shop.close()


def waiting_loop(tmp_path) -> FileLoop:
    """Return a loop that does not run, so that its work waits."""
    store, owners = Store(tmp_path / "store"), Owners(tmp_path / "files.sqlite")
    return FileLoop(Sessions(), store, owners, 0, None, lambda: (), lambda act: act(), lambda: None)


def nothing():
    yield


def test_one_client_cannot_fill_the_queue_of_the_store(tmp_path):
    files = waiting_loop(tmp_path)
    refused: list[object] = []
    for _ in range(file_loop.CLIENT_WORK):
        files.do(nothing(), refused.append, "anna")
    assert not refused
    files.do(nothing(), refused.append, "anna")
    assert isinstance(refused.pop(), Unavailable)
    files.do(nothing(), refused.append, "ben")
    assert not refused
    while files._letters:
        files._letters.popleft()()
    end = time.monotonic() + 5.0
    while files._work and time.monotonic() < end:
        files._do_some_work()
    assert refused == [None] * (file_loop.CLIENT_WORK + 1), "the work of both is done"
    refused.clear()
    files.do(nothing(), refused.append, "anna")
    assert not refused
    files._owners.close()
    files.close()


def test_one_client_cannot_fill_the_memory_with_arrays(tmp_path):
    files = waiting_loop(tmp_path)
    refused: list[object] = []
    for _ in range(4):
        files.do(nothing(), refused.append, "anna", file_loop.CLIENT_HELD // 4)
    assert not refused
    files.do(nothing(), refused.append, "anna", 1)
    assert isinstance(refused.pop(), Unavailable)
    files.do(nothing(), refused.append, "anna")
    for number in range(file_loop.MAX_HELD // file_loop.CLIENT_HELD - 1):
        files.do(nothing(), refused.append, f"other{number}", file_loop.CLIENT_HELD)
    assert not refused
    files.do(nothing(), refused.append, "ben", 1)
    assert isinstance(refused.pop(), Unavailable)
    files._owners.close()
    files.close()


def test_one_client_leaves_room_for_the_questions_of_others(tmp_path, monkeypatch):
    monkeypatch.setattr(result_process, "CLIENT_WAITING", 3)
    deaf = [sys.executable, "-c", "import time; time.sleep(60)"]
    shop = Shop(tmp_path / "data", selector_command=deaf)
    try:
        anna, ben = shop.client("anna"), shop.client("ben")
        hers, his = segmented(anna, tmp_path), segmented(ben, tmp_path)
        for _ in range(3):
            anna.send(Select(hers, 0))
        fourth = anna.send(Select(hers, 0))
        answer, _, id = anna.receive()
        assert isinstance(answer, Error)
        assert (answer.code, id) == ("refused", fourth)
        ben.send(Select(his, 0))
        with pytest.raises(TimeoutError):
            ben.receive(patience=0.5)
    finally:
        shop.close()
