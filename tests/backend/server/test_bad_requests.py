"""The server's answers to invalid requests, and that it continues to serve."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import zmq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocol.errors import BadFrames, NotFound, Refused, Unavailable, VersionMismatch
from protocol.job_request import JobRequest
from protocol.manifest import digest_of, pack_manifest
from protocol.messages import (
    MAJOR,
    MINOR,
    Accepted,
    Attach,
    Attached,
    Bye,
    Cancel,
    Chunk,
    Error,
    FileEntry,
    Get,
    GetResult,
    Heartbeat,
    Hello,
    Jobs,
    Message,
    Offer,
    Status,
    Stored,
    Submit,
    Sync,
    Welcome,
)
from protocol.pull import WINDOW
from protocol.wire import MAX_FRAME, encode
from tests.backend.server.client import Client
from tests.backend.server.conftest import Serving

NOBODY = "0" * 32
NOTHING = "0" * 64


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[Serving]:
    served = Serving(tmp_path_factory.mktemp("server"))
    yield served
    served.stop()


@pytest.fixture
def client(served: Serving) -> Iterator[Client]:
    with Client(served.address) as client:
        client.attach()
        yield client


@pytest.fixture
def stranger(served: Serving) -> Iterator[Client]:
    """A client that has said nothing yet."""
    with Client(served.address, hello=False) as client:
        yield client


def submit(**request) -> Submit:
    return Submit(uuid.uuid4().hex, "a job", request.pop("scene", NOTHING), JobRequest(**request))


CONTROL = {
    "unknown job synced": (Sync(NOBODY), "not-found", "has no job"),
    "unknown job cancelled": (Cancel(NOBODY), "not-found", "has no job"),
    "result of an unknown job": (GetResult(NOBODY), "not-found", "has no job"),
    "scene never sent": (submit(), "not-found", "not stored"),
    "unknown method": (submit(method="magic"), "bad-argument", "method 'magic' does not exist"),
    "offer on control": (Offer(NOTHING, 1), "bad-frames", "must not be sent"),
    "range on control": (Get(NOTHING, 0, 1), "bad-frames", "must not be sent"),
    "attach on control": (Attach(NOBODY), "bad-frames", "must not be sent"),
    "a server's words": (Accepted(NOBODY, "done", 1), "bad-frames", "must not be sent"),
    "hello of another major": (Hello((MAJOR + 1, 3), "add-on 9"), "version-mismatch", f"add-on 9 uses .* {MAJOR}"),
}


@pytest.mark.parametrize("case", CONTROL)
def test_bad_request_on_control(client: Client, case: str) -> None:
    message, code, words = CONTROL[case]
    with pytest.raises(Exception, match=words) as caught:
        client.ask(message, Message)
    assert caught.value.code == code  # pyright: ignore[reportAttributeAccessIssue]
    assert client.ask(Heartbeat(), Heartbeat) == Heartbeat()


BULK = {
    "a file nobody stored": (Get(NOTHING, 0, 1), "not-found", "not stored here"),
    "a manifest too large": (Offer(NOTHING, 2**40), "refused", "manifest has 1099511627776 bytes"),
    "submit on bulk": (submit(), "bad-frames", "must not be sent"),
    "heartbeat on bulk": (Heartbeat(), "bad-frames", "must not be sent"),
    "hello on bulk": (Hello((MAJOR, MINOR), "x"), "bad-frames", "must not be sent"),
    "a server's words": (Stored(NOTHING), "bad-frames", "must not be sent"),
    "attach to no session": (Attach(NOBODY), "refused", "connection is unknown"),
}


@pytest.mark.parametrize("case", BULK)
def test_bad_request_on_bulk(client: Client, case: str) -> None:
    message, code, words = BULK[case]
    with pytest.raises(Exception, match=words) as caught:
        client.ask(message, Message, client.bulk)
    assert caught.value.code == code  # pyright: ignore[reportAttributeAccessIssue]
    assert client.ask(Heartbeat(), Heartbeat) == Heartbeat()


def header(message: dict, **fields) -> list[bytes]:
    return [json.dumps({"v": MAJOR, "id": 5, "message": message, "arrays": [], **fields}).encode()]


def submission(**fields) -> list[bytes]:
    return header({"type": "submit", "job": NOBODY, "scene": NOTHING, "title": "", **fields})


HEARTBEAT = {"type": "heartbeat"}
FRAMES = {
    "an empty frame": [b""],
    "no JSON": [b"\x00\xff\x17"],
    "JSON that is no header": [b"[1, 2]"],
    "a lone surrogate": header({"type": "hello", "protocol": [1, 0], "client": "?"})[0]
    .replace(b"?", b"\\ud800")
    .split(),
    "an unknown message": header({"type": "format-disk"}),
    "an unknown field": header({"type": "heartbeat", "why": 1}),
    "a job id that is a path": header({"type": "sync", "job": "../../../../etc/passwd"}),
    "a hash that is a path": header({"type": "get", "digest": "../" * 21 + "a", "offset": 0, "length": 1}),
    "a negative offset": header({"type": "get", "digest": NOTHING, "offset": -1, "length": 1}),
    "a range too long": header({"type": "get", "digest": NOTHING, "offset": 0, "length": 2**30}),
    "a range of nothing": header({"type": "get", "digest": NOTHING, "offset": 0, "length": 0}),
    "a title without end": submission(title="x" * 201),
    "a negative seed": submission(request={"seed": -1}),
    "no steps": submission(request={"steps": 0}),
    "another device": submission(request={"device": "tpu"}),
    "an option nobody knows": submission(request={"command": "rm"}),
    "all jobs there are": header({"type": "status", "limit": 10**9}),
    "a header beyond its limit": [header(HEARTBEAT)[0] + b" " * 70_000],
    "too many frames": header(HEARTBEAT) + [b"x"] * 9,
    "fewer arrays than named": header(HEARTBEAT, arrays=[{"dtype": "uint8", "shape": [1]}]),
    "more arrays than named": [*header(HEARTBEAT), b"x"],
    "an array of another size": [*header(HEARTBEAT, arrays=[{"dtype": "uint8", "shape": [2**39]}]), b"x"],
    "an array of objects": [*header(HEARTBEAT, arrays=[{"dtype": "object", "shape": [1]}]), b"x" * 8],
    "an array where none belongs": [*header(HEARTBEAT, arrays=[{"dtype": "uint8", "shape": [1]}]), b"x"],
    "deep nesting": [b'{"v":%d,"message":' % MAJOR + b"[" * 20_000],
}


@pytest.mark.parametrize("bulk", [False, True], ids=["control", "bulk"])
@pytest.mark.parametrize("case", FRAMES)
def test_bad_frames(client: Client, case: str, bulk: bool) -> None:
    socket = client.bulk if bulk else client.control
    assert socket is not None
    socket.send_multipart(FRAMES[case])
    answer, _, id = client.receive(socket)
    assert isinstance(answer, Error)
    assert answer.code == "bad-frames"
    assert answer.sentence
    assert id in (0, 5)
    assert client.ask(Heartbeat(), Heartbeat) == Heartbeat()


def test_the_answer_to_a_bad_request_carries_its_number(client: Client) -> None:
    client.control.send_multipart(header({"type": "teleport"}, id=41))
    answer, _, id = client.receive()
    assert isinstance(answer, Error)
    assert id == 41


@pytest.mark.parametrize("version", [0, MAJOR - 1, MAJOR + 1, -1, 10**9])
def test_another_version_is_told_both(stranger: Client, version: int) -> None:
    stranger.control.send_multipart(header({"type": "greetings", "from": "the future"}, v=version))
    answer, _, id = stranger.receive()
    assert isinstance(answer, Error)
    assert answer.code == VersionMismatch.code
    assert f"protocol {version}," in answer.sentence
    assert f"protocol {MAJOR}" in answer.sentence
    assert id == 5


@pytest.mark.parametrize(
    "message", [Heartbeat(), Status(), Sync(NOBODY), submit(), Bye()], ids=lambda message: type(message).__name__
)
def test_nothing_before_hello(stranger: Client, message: Message) -> None:
    with pytest.raises(Refused, match="connection is unknown"):
        stranger.ask(message, Message)
    assert stranger.hello().protocol == (MAJOR, MINOR)


@pytest.mark.parametrize("message", [Get(NOTHING, 0, 1), Offer(NOTHING, 1)], ids=lambda message: type(message).__name__)
def test_nothing_before_attach(served: Serving, client: Client, message: Message) -> None:
    socket = client.connect(client.welcome.bulk)
    with pytest.raises(Refused, match="connection is unknown"):
        client.ask(message, Message, socket)


def test_an_error_is_not_answered(client: Client) -> None:
    client.send(Error("fault", "I am unhappy."))
    client.send(Error("fault", "I am unhappy."), client.bulk)
    assert client.ask(Heartbeat(), Heartbeat) == Heartbeat()
    assert client.ask(Attach(client.welcome.session), Attached, client.bulk) == Attached()


def test_hello_again_ends_the_first_session(client: Client) -> None:
    first = client.welcome
    second = client.hello()
    assert (second.instance, second.bulk) == (first.instance, first.bulk)
    assert second.session != first.session
    with pytest.raises(Refused):
        client.ask(Attach(first.session), Attached, client.bulk)
    assert client.ask(Attach(second.session), Attached, client.bulk) == Attached()


def test_nothing_after_bye(client: Client) -> None:
    client.send(Bye())
    with pytest.raises(Refused):
        client.ask(Status(), Jobs)
    with pytest.raises(Refused):
        client.ask(Get(NOTHING, 0, 1), Message, client.bulk)


def test_an_oversized_frame_costs_its_sender_the_connection_and_nobody_else_anything(
    served: Serving, client: Client
) -> None:
    with Client(served.address) as sender:
        sender.attach()
        for socket in (sender.control, sender.bulk):
            assert socket is not None
            monitor = socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
            socket.send(b"x" * (MAX_FRAME + 1))
            assert monitor.poll(5000)
            socket.disable_monitor()
        assert client.ask(Heartbeat(), Heartbeat) == Heartbeat()
        # libzmq has reconnected by itself, with an identity that the server does not know.
        with pytest.raises(Refused):
            sender.ask(Heartbeat(), Heartbeat)
        assert isinstance(sender.hello(), Welcome)


def test_a_frame_of_the_largest_size_is_taken(served: Serving, client: Client, tmp_path: Path) -> None:
    (tmp_path / "scene").mkdir()
    (tmp_path / "scene" / "photo").write_bytes(np.random.default_rng(0).bytes(MAX_FRAME))
    client.offer(tmp_path / "scene")
    digest = digest_of((tmp_path / "scene" / "photo").read_bytes())
    assert len(client.fetch(digest, MAX_FRAME)) == MAX_FRAME
    with pytest.raises(NotFound, match="is too short"):
        client.fetch(digest, MAX_FRAME + 1)


def offered(client: Client, manifest: bytes) -> Exception:
    """What becomes of offering just this manifest."""
    client.send(Offer(digest_of(manifest), len(manifest)), client.bulk)
    get, _, id = client.receive(client.bulk)
    assert isinstance(get, Get)
    client.send_chunk(get.digest, 0, manifest, id)
    answer, _, _ = client.receive(client.bulk)
    assert isinstance(answer, Error)
    return {"bad-frames": BadFrames, "unavailable": Unavailable}[answer.code](answer.sentence)


ENTRY = FileEntry("photo", 3, digest_of(b"abc"))
MANIFESTS = {
    "no JSON": (b"\x89PNG", BadFrames, "cannot be read"),
    "no manifest": (b'{"folders": []}', BadFrames, "cannot be read"),
    "a path that leaves the folder": (pack_manifest([FileEntry("../x", 3, NOTHING)]), BadFrames, "inside its folder"),
    "an absolute path": (pack_manifest([FileEntry("/etc/passwd", 3, NOTHING)]), BadFrames, "inside its folder"),
    "a path twice": (pack_manifest([ENTRY, ENTRY]), BadFrames, "the same path twice"),
    "a file that is a folder": (pack_manifest([ENTRY, FileEntry("photo/b", 3, NOTHING)]), BadFrames, "as a folder"),
    "two sizes of one content": (pack_manifest([ENTRY, FileEntry("b", 4, ENTRY.digest)]), BadFrames, "two sizes"),
    "a device of Windows": (pack_manifest([FileEntry("images/NUL.png", 3, NOTHING)]), BadFrames, "inside its folder"),
    "a stream of Windows": (pack_manifest([FileEntry("photo:x", 3, NOTHING)]), BadFrames, "inside its folder"),
    "a mark of direction": (pack_manifest([FileEntry("ph\u202eoto", 3, NOTHING)]), BadFrames, "inside its folder"),
    "one name in two normal forms": (
        pack_manifest([FileEntry("\u00e9", 3, NOTHING), FileEntry("e\u0301", 3, NOTHING)]),
        BadFrames,
        "the same path twice",
    ),
    "a million of nothing": (b'{"files":[' + b"," * 1_040_000 + b"]}", BadFrames, "too many entries"),
    "more than the disk": (pack_manifest([FileEntry("photo", 2**50, NOTHING)]), Unavailable, "is full"),
}


@pytest.mark.parametrize("case", MANIFESTS)
def test_bad_manifest(served: Serving, client: Client, case: str) -> None:
    manifest, kind, words = MANIFESTS[case]
    fault = offered(client, manifest)
    assert isinstance(fault, kind)
    assert words in str(fault)
    with pytest.raises((BadFrames, NotFound)):
        client.submit(digest_of(manifest))


def test_room_is_reckoned_over_all_uploads(served: Serving, client: Client) -> None:
    """Two folders that each fit the disk and together do not."""
    most = int(served.server.store.free_bytes() * 0.6)
    first, second = (pack_manifest([FileEntry("photo", most, digit * 64)]) for digit in "ab")
    client.send(Offer(digest_of(first), len(first)), client.bulk)
    get, _, id = client.receive(client.bulk)
    assert isinstance(get, Get)
    client.send_chunk(get.digest, 0, first, id)
    ranges = 0
    while ranges < WINDOW:  # of the first folder, which are never sent
        ranges += isinstance(client.receive(client.bulk)[0], Get)
    assert "is full" in str(offered(client, second))


def test_a_chunk_nobody_asked_for_is_let_fall(client: Client) -> None:
    client.send_chunk(NOTHING, 0, b"abc", 3)
    with pytest.raises(NotFound):
        client.ask(Get(NOTHING, 0, 1), Chunk, client.bulk)


@pytest.mark.parametrize(
    "arrays", [[], [np.zeros(3, np.uint8)] * 2, [np.zeros(3, np.int8)], [np.zeros((1, 3), np.uint8)]]
)
def test_a_chunk_of_another_form_ends_the_upload(client: Client, arrays: list) -> None:
    client.send(Offer(NOTHING, 3), client.bulk)
    get, _, id = client.receive(client.bulk)
    assert isinstance(get, Get)
    assert client.bulk is not None
    client.bulk.send_multipart(encode(Chunk(NOTHING, 0), arrays, id=id))
    answer, _, _ = client.receive(client.bulk)
    assert isinstance(answer, Error)
    assert answer.sentence == "A chunk of a file must contain exactly one array of bytes."


def test_too_many_uploads_of_one_client(client: Client) -> None:
    for digit in "1234":
        client.send(Offer(digit * 64, 10), client.bulk)
    with pytest.raises(Refused, match="4 uploads are already running"):
        client.ask(Offer("5" * 64, 10), Message, client.bulk)


REQUESTS = {
    "splats outside": ({"splats": "../other.ply"}, "is not inside"),
    "splats absolute": ({"splats": "/etc/passwd"}, "is not inside"),
    "splats missing": ({"splats": "splats.ply"}, "no file 'splats.ply'"),
    "splats a folder": ({"splats": "images"}, "no file 'images'"),
    "masks outside": ({"masks": "masks/../.."}, "is not inside"),
    "masks missing": ({"masks": "masks"}, "no folder 'masks'"),
    "masks a file": ({"masks": "script"}, "no folder 'script'"),
}


@pytest.mark.parametrize("case", REQUESTS)
def test_bad_paths_in_a_request(client: Client, scene, case: str) -> None:
    request, words = REQUESTS[case]
    manifest, _ = client.offer(scene("write out 1", "done", a=1))
    with pytest.raises(Exception, match=words):
        client.submit(manifest, **request)
    assert client.submit(manifest, splats="images/a", masks="images").state == "queued"


def test_a_server_of_one_device_refuses_jobs_for_another(tmp_path: Path, scene) -> None:
    served = Serving(tmp_path / "data", device="cpu")
    try:
        with Client(served.address) as client:
            assert client.welcome.device == "cpu"
            client.attach()
            manifest, _ = client.offer(scene("write out 1", "done"))
            with pytest.raises(Refused, match="only supports the device cpu"):
                client.submit(manifest, device="cuda")
            job = client.submit(manifest).job
            assert client.until(job).state == "done"
    finally:
        served.stop()


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
@given(frames=st.lists(st.binary(max_size=200) | st.just(header(HEARTBEAT)[0]), min_size=1, max_size=12))
def test_no_frames_stop_the_server(client: Client, frames: list[bytes]) -> None:
    for socket in (client.control, client.bulk):
        assert socket is not None
        socket.send_multipart(frames)
        answer, _, _ = client.receive(socket)
        assert isinstance(answer, Error | Heartbeat)
