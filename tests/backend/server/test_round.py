"""The whole round through real sockets and real processes: offer, submit, progress, result, download."""

from __future__ import annotations

import threading
import time
import uuid

import pytest

from protocol.errors import BadFrames, JobFailed, NotFound, Refused
from protocol.manifest import unpack_manifest
from protocol.messages import Error, Get, Heartbeat, Jobs, Offer, Status
from protocol.pull import CHUNK, WINDOW
from protocol.store import Store
from protocol.wire import encode
from tests.backend.server.client import PATIENCE
from tests.backend.server.conftest import Serving, until_tidy

PLAIN = ("step scene 0.5", "step lift 0.25", "write splats.ply 3000000", "write objects/0001.ply 10", "done")


def test_a_scene_goes_up_and_its_result_comes_down(serving, connect, scene, tmp_path):
    client = connect(serving)
    folder = scene(*PLAIN, a=2_500_000, b=17, c=0)
    manifest, wanted = client.offer(folder)
    assert (wanted.files, wanted.total_files) == (4, 4)
    assert wanted.bytes == sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())

    accepted = client.submit(manifest)
    assert accepted.state == "queued"
    done = client.until(accepted.job)
    assert (done.state, done.stage, done.fraction, done.error) == ("done", "lift", 1.0, None)

    seen = [p for p in client.progress if p.job == accepted.job]
    assert [p.seq for p in seen] == sorted({p.seq for p in seen})
    assert all(p.state in ("running", "done") for p in seen)

    files = client.download(accepted.job, Store(tmp_path / "mine"))
    assert {name: len(data) for name, data in files.items()} == {"splats.ply": 3_000_000, "objects/0001.ply": 10}
    assert files["splats.ply"] == (b"splats.ply" * 300_000)
    until_tidy(serving.data / "jobs" / accepted.job)


def test_the_scripted_worker_sees_the_request(serving, connect, scene):
    client = connect(serving)
    manifest, _ = client.offer(scene("until-cancelled"))
    job = client.submit(manifest, seed=7, device="cpu", method="consensus").job
    client.until(job, "running")
    text = (serving.data / "jobs" / job / "job.json").read_text()
    assert '"seed":7' in text
    assert '"method":"consensus"' in text
    assert '"device":"cpu"' in text
    client.cancel(job)
    assert client.until(job).state == "cancelled"


def test_nothing_is_sent_twice(serving, connect, scene):
    client = connect(serving)
    folder = scene("done", a=1_500_000, b=300)
    first, _ = client.offer(folder)
    sent = client.sent_bytes
    again, wanted = client.offer(folder)
    assert (again, wanted.files, wanted.bytes, client.sent_bytes) == (first, 0, 0, sent)

    (folder / "images" / "new").write_bytes(b"one more file")
    _, wanted = client.offer(folder)
    assert (wanted.files, wanted.bytes, wanted.total_files) == (1, 13, 4)


def test_an_interrupted_upload_goes_on_where_it_stopped(serving, connect, scene):
    folder = scene("done", big=50_000_000)
    size = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
    first = connect(serving)
    first.offer(folder, stop_after=30_000_000)
    # The server asks for no more than a window ahead of what it has taken in.
    arrived = first.sent_bytes - (WINDOW + 1) * CHUNK
    first.close()

    second = connect(serving)
    second.offer(folder)
    assert second.sent_bytes < size - arrived + 2_000_000
    assert second.submit(second.offer(folder)[0]).state == "queued"


def test_a_silent_client_loses_its_session_and_its_half_sent_files(tmp_path, connect, scene):
    serving = Serving(tmp_path / "data", session_lifetime=0.5)
    try:
        folder = scene("done", big=6_000_000)
        silent, alive = connect(serving), connect(serving)
        silent.offer(folder, stop_after=3_000_000)
        deadline = time.monotonic() + PATIENCE
        while len(serving.server.sessions) > 1:
            assert time.monotonic() < deadline
            alive.ask(Heartbeat(), Heartbeat)
            time.sleep(0.05)
        manifest, _ = alive.offer(folder)
        assert serving.server.store.has(manifest)
        with pytest.raises(Refused, match="unknown or has expired"):
            silent.ask(Heartbeat(), Heartbeat)
    finally:
        serving.stop()


def test_submitting_twice_makes_one_job(serving, connect, scene):
    client = connect(serving)
    manifest, _ = client.offer(scene("step lift 0.5", "until-cancelled"))
    job = uuid.uuid4().hex
    client.submit(manifest, job=job, title="kitchen")
    client.until(job, "running", stage="lift")
    again = client.submit(manifest, job=job, title="kitchen")
    assert again.state == "running"
    with pytest.raises(Refused, match="different content"):
        client.submit(manifest, job=job, title="kitchen", seed=1)
    jobs = client.ask(Status(), Jobs).jobs
    assert [(j.job, j.title, j.state, j.stage) for j in jobs] == [(job, "kitchen", "running", "lift")]
    client.cancel(job)


def test_a_title_is_kept_as_one_printable_line(serving, connect, scene):
    client = connect(serving)
    manifest, _ = client.offer(scene("done"))
    title = "a\x1b[2J\nb\u202e" + "c" * 190
    job = client.submit(manifest, title=title).job
    assert client.submit(manifest, job=job, title=title).job == job
    assert client.ask(Status(), Jobs).jobs[0].title == "a [2J b " + "c" * 190


def test_two_clients_at_once(serving, connect, scene, tmp_path):
    def round_of(number: int) -> None:
        client = connect(serving)
        folder = scenes[number]
        manifest, _ = client.offer(folder)
        job = client.submit(manifest).job
        client.until(job)
        files[number] = client.download(job, Store(tmp_path / f"mine{number}"))

    scenes = [scene("step lift 0.1", f"write out{n} 2000000", "done", a=4_000_000) for n in range(2)]
    files: list[dict[str, bytes]] = [{}, {}]
    threads = [threading.Thread(target=round_of, args=(n,)) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert [{name: len(data) for name, data in found.items()} for found in files] == [
        {"out0": 2_000_000},
        {"out1": 2_000_000},
    ]


def test_both_clients_may_send_the_same_folder_at_once(serving, connect, scene):
    folder = scene("done", a=3_000_000, b=3_000_000)
    clients = [connect(serving) for _ in range(2)]
    threads = [threading.Thread(target=client.offer, args=(folder,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    assert sum(client.sent_bytes for client in clients) < 6_100_000


def test_one_job_at_a_time_per_device(serving, connect, scene):
    client = connect(serving)
    manifest, _ = client.offer(scene("until-cancelled"))
    auto, cpu, cuda, cpu_too = (client.submit(manifest, device=d).job for d in ("auto", "cpu", "cuda", "cpu"))
    client.until(auto, "running")
    assert [client.sync(job).state for job in (cpu, cuda, cpu_too)] == ["queued"] * 3
    client.cancel(auto)
    client.until(cpu, "running")
    client.until(cuda, "running")
    assert client.sync(cpu_too).state == "queued"
    for job in (cpu, cuda):
        client.cancel(job)
    client.until(cpu_too, "running")
    client.cancel(cpu_too)
    client.until(cpu_too, "cancelled")


def test_another_session_follows_a_job_after_sync(serving, connect, scene):
    first, second = connect(serving), connect(serving, attach=False)
    manifest, _ = first.offer(scene("step lift 0.5", "until-cancelled"))
    job = first.submit(manifest).job
    first.until(job, "running", stage="lift")
    state = second.sync(job)
    assert (state.state, state.stage, state.note) == ("running", "lift", "at work")
    second.cancel(job)
    assert first.until(job).state == "cancelled"
    assert second.until(job).seq == first.progress[-1].seq


def test_progress_is_thinned_out(serving, connect, scene):
    client = connect(serving)
    manifest, _ = client.offer(scene("many 20000", "write out 1", "done"))
    begin = time.monotonic()
    job = client.submit(manifest).job
    last = client.until(job)
    # Running, the first step, ten a second, the last step, done.
    assert len(client.progress) <= 5 + 10 * (time.monotonic() - begin)
    assert last.state == "done"


def test_a_slow_client_does_not_hold_up_another(serving, connect, scene):
    first = connect(serving)
    manifest, _ = first.offer(scene("write out 5000000", "done"))
    job = first.submit(manifest).job
    first.until(job)
    entries = {e.path: e for e in _entries(first, job)}

    slow = connect(serving, receive_high_water=1)
    for n in range(60):  # asks for 60 MB and reads none of it
        slow.send(Get(entries["out"].digest, (n % 4) << 20, 1 << 20), slow.bulk)
    begin = time.monotonic()
    for _ in range(3):
        assert len(first.fetch(entries["out"].digest, 5_000_000)) == 5_000_000
        first.ask(Heartbeat(), Heartbeat)
    assert time.monotonic() - begin < 2.0
    # When it reads at last, everything is there.
    for _ in range(60):
        _, arrays, _ = slow.receive(slow.bulk)
        assert arrays[0].nbytes == 1 << 20


def test_a_client_that_reads_nothing_is_forgotten(serving, connect, scene):
    first = connect(serving)
    manifest, _ = first.offer(scene("done", a=1_100_000))
    blob = max(_stored(serving), key=lambda p: p.stat().st_size).name
    greedy = connect(serving, receive_high_water=1)
    for _ in range(400):
        greedy.send(Get(blob, 0, 1 << 20), greedy.bulk)
    refused = 0
    for _ in range(400):
        message, _, _ = greedy.receive(greedy.bulk)
        if isinstance(message, Error):
            refused += 1
            break
    assert refused
    assert first.submit(manifest).state == "queued"


def _entries(client, job):
    result = client.result(job)
    return unpack_manifest(client.fetch(result.manifest, result.size))


def _stored(serving):
    return [path for path in (serving.data / "store").rglob("*") if path.is_file()]


def test_a_file_that_changes_while_it_is_sent_is_refused(serving, connect, scene):
    client = connect(serving)
    folder = scene("done", a=2_000_000)
    send = client.send_chunk
    client.send_chunk = lambda digest, offset, data, id: send(digest, offset, _changed(data), id)
    with pytest.raises(BadFrames, match="different content than its hash says"):
        client.offer(folder)
    client.send_chunk = send
    assert not any(part.stat().st_size for part in (serving.data / "store").glob("*.part"))
    assert client.submit(client.offer(folder)[0]).state == "queued"


def _changed(data: bytes) -> bytes:
    """A photograph that was edited on the way; manifests and scripts are shorter."""
    return data[:-1] + b"!" if len(data) > 10_000 else data


def test_a_client_that_has_not_what_it_offered(serving, connect):
    client = connect(serving)
    client.send(Offer("a" * 64, 100), client.bulk)
    message, _, id = client.receive(client.bulk)
    assert isinstance(message, Get)
    client.bulk.send_multipart(encode(Error(NotFound.code, "The file is gone."), id=id))
    message, _, _ = client.receive(client.bulk)
    assert isinstance(message, Error)
    assert message.sentence == "The upload ended: The file is gone."


def test_a_scene_that_is_not_whole_cannot_be_submitted(serving, connect, scene):
    client = connect(serving)
    manifest, _ = client.offer(scene("done", a=8_000_000), stop_after=3_000_000)
    with pytest.raises(NotFound, match="2 files of the scene"):
        client.submit(manifest)
    with pytest.raises(NotFound):
        client.result(uuid.uuid4().hex)


def test_the_failure_of_a_job_is_the_answer_to_asking_for_its_result(serving, connect, scene):
    client = connect(serving)
    job = client.submit(client.offer(scene("error bad-scene"))[0]).job
    failed = client.until(job)
    assert (failed.state, failed.error.code, failed.error.remedy) == ("failed", "bad-scene", "Take photographs.")
    with pytest.raises(JobFailed, match="The scene is empty"):
        client.result(job)


def test_many_jobs_with_long_titles_still_fit_an_answer(serving, connect, scene):
    client = connect(serving)
    manifest, _ = client.offer(scene("until-cancelled"))
    jobs = [client.submit(manifest, title="\U0001f600" * 200).job for _ in range(100)]
    listed = [info.job for info in client.ask(Status(limit=100), Jobs).jobs]
    assert 50 < len(listed) < 100
    assert listed == jobs[::-1][: len(listed)]
    for job in jobs[::-1]:
        client.cancel(job)
