"""What belongs to one client is not there for another: jobs, files, progress, and who may know of them."""

from __future__ import annotations

import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from backend.server import clients
from backend.server.clients import DEFAULT_CLIENT
from backend.server.jobs import LAYOUT
from backend.server.keys import public
from backend.server.server import ClientLimits
from backend.server.uploads import CLIENT_UPLOADS
from protocol.errors import BadFrames, Fault, NotFound, Refused, fault
from protocol.manifest import digest_of, pack_manifest
from protocol.messages import (
    Correct,
    Corrected,
    Error,
    FileEntry,
    Get,
    Heartbeat,
    Jobs,
    Locate,
    Located,
    Message,
    Offer,
    Progress,
    Select,
    Selected,
    Status,
)
from protocol.pairing import Pairing
from protocol.store import Store
from tests.backend.server.client import PATIENCE, Client
from tests.backend.server.conftest import Serving

As = Callable[[str], Client]


class Shop:
    """A server that encrypts, and clients with keys of their own, connected and attached."""

    def __init__(self, data: Path, **settings) -> None:
        self.data = data
        self.pairings: dict[str, Pairing] = {name: clients.add(data, name) for name in ("anna", "ben")}
        self.served = Serving(data, encrypted=True, **settings)
        assert self.served.server.keys is not None
        self.pairings[DEFAULT_CLIENT] = self.served.server.keys.pairing
        self._connected: list[Client] = []

    def add(self, name: str) -> None:
        """Give a client a new key."""
        self.pairings[name] = clients.add(self.data, name)
        self.wait_for(self.pairings[name], name)

    def wait_for(self, pairing: Pairing, name: str) -> None:
        """Wait until the server knows a key."""
        end = time.monotonic() + PATIENCE
        assert self.served.server.known_keys is not None
        while self.served.server.known_keys.name(public(pairing.client)) != name:
            assert time.monotonic() < end
            time.sleep(0.01)

    def client(self, name: str, **settings) -> Client:
        client = Client(self.served.address, pairing=self.pairings[name], **settings)
        self._connected.append(client)
        client.attach()
        return client

    def close(self) -> None:
        for client in self._connected:
            client.close()
        self.served.stop()


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    made = Shop(tmp_path / "data")
    yield made
    made.close()


def photograph(folder: Path) -> bytes:
    return (folder / "images" / "a").read_bytes()


def missing(client: Client, folder: Path) -> int:
    """Send a folder; return how many bytes the server asked for."""
    wanted = client.offer(folder)[1]
    assert wanted is not None
    return wanted.bytes


PLAIN = ("step lift 0.5", "write out 300000", "done")


def test_another_clients_jobs_are_not_there(shop, scene):
    anna, ben = shop.client("anna"), shop.client("ben")
    job = anna.submit(anna.offer(scene("step lift 0.5", "until-cancelled"))[0], title="her flat").job
    anna.until(job, "running", stage="lift")
    assert ben.ask(Status(), Jobs).jobs == []
    assert [info.job for info in anna.ask(Status(), Jobs).jobs] == [job]
    nobody = "0" * 32
    for ask in (ben.sync, ben.cancel, ben.result, lambda job: ben.ask(Select(job, gaussian=0), Selected)):
        with pytest.raises(NotFound) as hers:
            ask(job)
        with pytest.raises(NotFound) as nobodys:
            ask(nobody)
        assert str(hers.value).replace(job, nobody) == str(nobodys.value)
    assert anna.sync(job).state == "running"
    assert anna.cancel(job).state == "cancelling"
    anna.until(job, "cancelled")
    ben.ask(Heartbeat(), Heartbeat)
    assert ben.progress == []


def test_another_clients_files_are_not_there(shop, scene):
    anna, ben = shop.client("anna"), shop.client("ben")
    folder = scene(*PLAIN, a=200_000)
    manifest, _ = anna.offer(folder)
    job = anna.submit(manifest).job
    anna.until(job, "done")
    result = anna.result(job)
    made = anna.fetch(result.manifest, result.size)
    assert len(anna.fetch(digest_of(b"out" * 100_000), 300_000)) == 300_000
    for known in (digest_of(photograph(folder)), manifest, result.manifest, digest_of(b"out" * 100_000)):
        with pytest.raises(NotFound) as hers:
            ben.fetch(known, 10)
        with pytest.raises(NotFound) as nobodys:
            ben.fetch("f" * 64, 10)
        assert str(hers.value).replace(known[:12], "f" * 12) == str(nobodys.value)
    assert made == anna.fetch(result.manifest, result.size)
    with pytest.raises(NotFound, match="is not stored here"):
        ben.submit(manifest)
    with pytest.raises(NotFound, match="is not stored here"):
        ben.submit("f" * 64)


def test_a_version_of_another_clients_result_cannot_be_corrected(shop, scene):
    anna, ben = shop.client("anna"), shop.client("ben")
    jobs: list[str] = []
    for client, size in ((anna, 10), (ben, 20)):
        jobs.append(client.submit(client.offer(scene(f"write out {size}", "done"))[0]).job)
        client.until(jobs[-1], "done")
    hers = anna.result(jobs[0]).manifest
    for base in (hers, "f" * 64):
        with pytest.raises(NotFound, match="The job has no such version of its result"):
            ben.ask(Correct(jobs[1], undo=True, base=base), Corrected)


def test_a_file_is_another_clients_too_once_it_has_sent_it(shop, scene):
    anna, ben = shop.client("anna"), shop.client("ben")
    folder = scene(*PLAIN, a=200_000)
    manifest, _ = anna.offer(folder)
    stored = sorted(path.name for path in Store(shop.data / "store").files())
    sent = anna.sent_bytes
    same, wanted = ben.offer(folder)
    assert same == manifest
    assert wanted is not None
    assert (wanted.files, wanted.bytes) == (wanted.total_files, wanted.total_bytes)
    assert ben.sent_bytes == sent
    assert sorted(path.name for path in Store(shop.data / "store").files()) == stored
    assert ben.fetch(digest_of(photograph(folder)), 10) == photograph(folder)[:10]
    assert missing(ben, folder) == 0
    job = ben.submit(manifest).job
    ben.until(job, "done")
    assert {name: len(data) for name, data in ben.download(job, Store(shop.data.parent / "mine")).items()} == {
        "out": 300_000
    }
    with pytest.raises(NotFound):
        anna.sync(job)


def test_a_file_is_not_anothers_by_its_name_in_a_manifest(shop, scene):
    """Whoever knows a hash can write a manifest that names it."""
    anna, ben = shop.client("anna"), shop.client("ben")
    folder = scene("done", a=200_000)
    anna.offer(folder)
    secret = digest_of(photograph(folder))
    probe = pack_manifest([FileEntry("images/a", len(photograph(folder)), secret)])
    ben.send(Offer(digest_of(probe), len(probe)), ben.bulk)
    get, _, id = ben.receive(ben.bulk)
    assert isinstance(get, Get)
    ben.send_chunk(get.digest, 0, probe, id)
    wanted, asked = (ben.receive(ben.bulk)[0] for _ in range(2))
    assert (wanted.files, wanted.bytes) == (1, len(photograph(folder)))  # pyright: ignore[reportAttributeAccessIssue]
    assert isinstance(asked, Get)
    assert (asked.digest, asked.offset) == (secret, 0)
    with pytest.raises(NotFound, match="1 files of the scene"):
        ben.submit(digest_of(probe))
    with pytest.raises(NotFound, match="is not stored here"):
        ben.fetch(secret, 1)


def test_a_wrong_size_in_a_manifest_removes_nothing(shop, scene):
    """The stored file may be another client's as well."""
    anna, ben = shop.client("anna"), shop.client("ben")
    folder = scene("done", a=200_000)
    manifest, _ = anna.offer(folder)
    ben.offer(folder)
    photo = photograph(folder)
    lie = pack_manifest([FileEntry("images/a", len(photo) - 1, digest_of(photo))])
    ben.send(Offer(digest_of(lie), len(lie)), ben.bulk)
    get, _, id = ben.receive(ben.bulk)
    assert isinstance(get, Get)
    ben.send_chunk(get.digest, 0, lie, id)
    with pytest.raises(BadFrames, match="lists images/a with a wrong size"):
        _raise(ben.receive(ben.bulk)[0])
    ben.send(Offer(manifest, 1), ben.bulk)
    with pytest.raises(BadFrames, match="lists manifest with a wrong size"):
        _raise(ben.receive(ben.bulk)[0])
    assert anna.fetch(digest_of(photo), 10) == photo[:10]
    assert missing(anna, folder) == 0


def _raise(message: Message) -> None:
    assert isinstance(message, Error)
    raise fault(message.code, message.sentence, message.remedy)


def test_uploads_of_one_client_leave_room_for_others(shop, scene):
    annas = [shop.client("anna") for _ in range(5)]
    for number in range(CLIENT_UPLOADS):
        client = annas[number // 4]
        client.send(Offer(f"{number:064x}", 10), client.bulk)
        assert isinstance(client.receive(client.bulk)[0], Get)
    with pytest.raises(Refused, match="The client anna already has 16 uploads"):
        annas[4].ask(Offer("f" * 64, 10), Message, annas[4].bulk)
    assert missing(shop.client("ben"), scene("done")) > 0


def test_what_one_client_has_half_sent_another_sends_from_its_beginning(shop, scene):
    """Else the second needed to know the end only, and would learn that the first has begun."""
    anna, ben = shop.client("anna"), shop.client("ben")
    folder = scene("done", a=40_000_000)
    anna.offer(folder, stop_after=20_000_000)
    manifest = ben.offer(folder)[0]
    total = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    assert ben.sent_bytes >= total
    with pytest.raises(NotFound):
        anna.submit(manifest)
    assert ben.submit(manifest).state == "queued"


def test_another_clients_job_id_tells_nothing_of_the_job(shop, scene):
    anna, ben = shop.client("anna"), shop.client("ben")
    folder = scene("done")
    manifest = anna.offer(folder)[0]
    ben.offer(folder)
    job = uuid.uuid4().hex
    anna.submit(manifest, job=job, title="same")
    anna.until(job)
    for title in ("same", "other"):
        with pytest.raises(Refused, match="already submitted with different content"):
            ben.submit(manifest, job=job, title=title)
    assert ben.ask(Status(), Jobs).jobs == []


def test_sessions_of_one_key_share_what_they_have(shop, scene):
    first, second = shop.client("anna"), shop.client("anna")
    folder = scene("step lift 0.5", "until-cancelled", a=100_000)
    manifest, _ = first.offer(folder)
    job = first.submit(manifest).job
    assert second.sync(job).job == job
    assert second.fetch(digest_of(photograph(folder)), 100) == photograph(folder)[:100]
    second.cancel(job)
    assert first.until(job).state == "cancelled"


def test_a_session_token_is_of_no_use_to_another_client(shop):
    anna, ben = shop.client("anna"), shop.client("ben")
    ben.welcome = anna.welcome
    with pytest.raises(Refused, match="unknown or has expired"):
        ben.attach()
    anna.ask(Heartbeat(), Heartbeat)


def test_only_the_user_of_the_server_learns_where_its_files_are(shop):
    anna, owner = shop.client("anna"), shop.client(DEFAULT_CLIENT)
    assert "nearby" not in anna.welcome.features
    with pytest.raises(Fault, match="must not be sent"):
        anna.ask(Locate(), Located)
    assert "nearby" in owner.welcome.features
    assert Path(owner.ask(Locate(), Located).store) == (shop.data / "store").resolve()


def test_jobs_and_files_outlive_the_server(tmp_path, scene):
    shop = Shop(tmp_path / "data")
    folder = scene(*PLAIN, a=100_000)
    try:
        anna = shop.client("anna")
        job = anna.submit(anna.offer(folder)[0]).job
        anna.until(job, "done")
    finally:
        shop.close()
    pairings = shop.pairings
    shop.served = Serving(tmp_path / "data", encrypted=True)
    try:
        anna, ben = (Client(shop.served.address, pairing=pairings[name]) for name in ("anna", "ben"))
        for client in (anna, ben):
            client.attach()
        assert [info.job for info in anna.ask(Status(), Jobs).jobs] == [job]
        assert ben.ask(Status(), Jobs).jobs == []
        assert missing(anna, folder) == 0
        assert len(anna.download(job, Store(tmp_path / "mine"))["out"]) == 300_000
        with pytest.raises(NotFound):
            ben.fetch(digest_of(photograph(folder)), 10)
        anna.close()
        ben.close()
    finally:
        shop.served.stop()


def test_what_a_server_had_before_there_were_owners_is_the_shared_clients(tmp_path, scene, connect):
    data = tmp_path / "data"
    folder = scene(*PLAIN, a=100_000)
    served = Serving(data)
    client = connect(served)
    job = client.submit(client.offer(folder)[0]).job
    client.until(job, "done")
    served.stop()
    (data / "files.sqlite").unlink()
    with sqlite3.connect(data / "jobs.sqlite") as db:
        db.execute("DROP INDEX jobs_by_client")
        db.execute("ALTER TABLE jobs DROP COLUMN client")
        db.execute("PRAGMA user_version = 3")
    db.close()
    shop = Shop(data)
    try:
        owner, anna = shop.client(DEFAULT_CLIENT), shop.client("anna")
        assert missing(owner, folder) == 0
        assert len(owner.download(job, Store(tmp_path / "mine"))["out"]) == 300_000
        assert anna.ask(Status(), Jobs).jobs == []
        assert missing(anna, folder) > 80_000
    finally:
        shop.close()
    with sqlite3.connect(data / "jobs.sqlite") as db:
        assert db.execute("PRAGMA user_version").fetchone() == (LAYOUT,)
        assert db.execute("SELECT client FROM jobs").fetchall() == [(DEFAULT_CLIENT,)]
    db.close()


# Limits


def test_jobs_past_a_clients_limit_are_refused(tmp_path, scene):
    shop = Shop(tmp_path / "data", limits=ClientLimits(jobs=2))
    try:
        anna, ben = shop.client("anna"), shop.client("ben")
        folder = scene("until-cancelled")
        manifest, _ = anna.offer(folder)
        jobs = [anna.submit(manifest).job for _ in range(2)]
        with pytest.raises(Refused, match="The client anna has 2 jobs that wait or run, which is the limit") as caught:
            anna.submit(manifest)
        assert "cancel some" in caught.value.remedy
        assert anna.submit(manifest, job=jobs[0]).job == jobs[0], "a repeated submission is no other job"
        assert ben.submit(ben.offer(folder)[0]).state == "queued"
        anna.cancel(jobs[1])
        anna.until(jobs[1], "cancelled")
        assert anna.submit(manifest).state == "queued"
    finally:
        shop.close()


def test_sessions_past_a_clients_limit_are_refused(tmp_path):
    shop = Shop(tmp_path / "data", limits=ClientLimits(sessions=2))
    try:
        first, second = (shop.client("anna") for _ in range(2))
        with pytest.raises(Refused, match="The client anna has 2 connections, which is the limit"):
            shop.client("anna")
        shop.client("ben").ask(Heartbeat(), Heartbeat)
        for client in (first, second):
            client.ask(Heartbeat(), Heartbeat)
        for _ in range(5):  # those that have hung up do not count
            second.close()
            second = shop.client("anna")
        first.ask(Heartbeat(), Heartbeat)
    finally:
        shop.close()


def test_a_folder_past_a_clients_limit_is_refused(tmp_path, scene):
    shop = Shop(tmp_path / "data", limits=ClientLimits(bytes=1_000_000))
    try:
        anna, ben = shop.client("anna"), shop.client("ben")
        with pytest.raises(
            Refused, match=r"needs 1\.1 MB on the server, and the client anna may use 1\.0 MB"
        ) as caught:
            anna.offer(scene("done", a=1_300_000))
        assert "Send fewer or smaller files" in caught.value.remedy
        waiting = anna.submit(anna.offer(scene("until-cancelled", a=700_000))[0]).job
        with pytest.raises(Refused, match="the client anna may use"):
            anna.offer(scene("done", a=700_000))
        assert missing(ben, scene("done", a=700_000)) > 600_000
        anna.cancel(waiting)
        anna.until(waiting, "cancelled")
    finally:
        shop.close()


def test_what_ended_jobs_used_makes_room_within_a_clients_limit(tmp_path, scene):
    shop = Shop(tmp_path / "data", limits=ClientLimits(bytes=1_000_000))
    try:
        anna, ben = shop.client("anna"), shop.client("ben")
        shared = scene("write out 100", "done", a=600_000)
        ben.offer(shared)
        first = anna.submit(anna.offer(shared)[0]).job
        anna.until(first, "done")
        own = scene("write out 200000", "done", b=200_000)
        second = anna.submit(anna.offer(own)[0]).job
        anna.until(second, "done")
        third = anna.submit(anna.offer(scene("done", c=500_000))[0]).job
        anna.until(third)
        with pytest.raises(NotFound):
            anna.result(first)
        assert anna.result(second).job == second
        # Another client still has what it sent.
        assert missing(ben, shared) == 0
        assert shop.served.server.files.uploads.owners.bytes_of("anna") <= 1_000_000
    finally:
        shop.close()


# Where nothing is encrypted


def test_a_routing_id_of_a_client_that_hung_up_opens_nothing(serving, connect, scene):
    """A peer chooses its routing id; the session of another must not come with it."""
    client = connect(serving, routing_id=b"mine")
    job = client.submit(client.offer(scene("until-cancelled"))[0]).job
    client.until(job, "running")
    client.control.close()
    end = time.monotonic() + PATIENCE
    answers: list[Message] = []
    while not answers:
        assert time.monotonic() < end
        with Client(serving.address, hello=False, routing_id=b"mine") as thief:
            thief.send(Status())
            try:
                answers.append(thief.receive(patience=0.5)[0])
            except TimeoutError:
                continue  # the server has not noticed the end yet, and lets nobody have the name
    assert isinstance(answers[0], Error)
    assert "unknown or has expired" in answers[0].sentence
    other = connect(serving)
    assert isinstance(other.cancel(job), Progress)


def test_files_removed_while_there_was_no_server_no_longer_count(tmp_path, connect, scene):
    served = Serving(tmp_path / "data")
    client = connect(served)
    folder = scene("done", a=100_000)
    client.offer(folder)
    client.close()
    served.stop()
    Store(served.data / "store").path(digest_of(photograph(folder))).unlink()
    served = Serving(tmp_path / "data")
    try:
        end = time.monotonic() + PATIENCE
        while served.server.files.uploads.owners.bytes_of(DEFAULT_CLIENT) > 80_000:
            assert time.monotonic() < end
            time.sleep(0.01)
    finally:
        served.stop()
