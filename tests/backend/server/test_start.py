"""Where a server starts, where it does not, and what it says then."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import socket
import sqlite3
from pathlib import Path

import pytest
import zmq

from backend.server.check import check
from backend.server.front import Front
from backend.server.jobs import LAYOUT, Jobs
from backend.server.router_socket import RouterSocket
from backend.server.server import Server, serve
from protocol.address import parse_bind
from protocol.errors import BadArgument, Fault, Refused, Unavailable
from protocol.messages import Submit
from tests.backend.server.client import PATIENCE, Client
from tests.backend.server.conftest import Serving
from tests.ports import free_pair

NOT_LOOPBACK = (
    "tcp://0.0.0.0:5757",
    "tcp://*:5757",
    "tcp://192.168.1.7:5757",
    "tcp://[::]:5757",
    "tcp://[::ffff:10.0.0.1]:5757",
    "tcp://gpu-box:5757",
    "tcp://127.0.0.1.example.org:5757",
    "tcp://eth0:5757",
)
NO_ADDRESS = (
    "",
    "127.0.0.1:5757",
    "ipc:///tmp/x",
    "tcp://127.0.0.1",
    "tcp://127.0.0.1:http",
    "tcp://127.0.0.1:-1",
    "tcp://127.0.0.1:65535",
    "tcp://127.0.0.1:99999",
    "tcp://127.0.0.1:5757/",
    "tcp://127.0.0.1:5757;tcp://0.0.0.0:5757",
)


@pytest.mark.parametrize("bind", NOT_LOOPBACK)
def test_elsewhere_is_refused_without_keys(bind):
    parsed = parse_bind(bind)
    assert not parsed.is_loopback
    with zmq.Context() as context, pytest.raises(Refused, match="not encrypted") as caught:
        RouterSocket(context, Front(8, lambda: None), parsed, lambda _: None)
    assert str(parsed) in caught.value.sentence
    assert caught.value.remedy.endswith(".")


def test_elsewhere_takes_keys_without_being_told(tmp_path):
    with Server("tcp://0.0.0.0:*", tmp_path) as server:
        assert server.keys is not None
        for box in (server.control_socket, server.bulk_socket):
            assert box.socket.getsockopt(zmq.CURVE_SERVER) == 1
            assert box.socket.getsockopt(zmq.MECHANISM) == zmq.CURVE


def test_only_a_server_that_nobody_else_reaches_tells_where_its_files_are(tmp_path):
    for bind in ("tcp://127.0.0.1:*", "tcp://0.0.0.0:*"):
        with Server(bind, tmp_path) as server:
            assert server.control.nearby == (server.keys is None)


def test_loopback_has_no_keys_unless_told(tmp_path):
    with Server("tcp://127.0.0.1:*", tmp_path) as server:
        assert server.keys is None
        assert server.control_socket.socket.getsockopt(zmq.MECHANISM) == zmq.NULL
    assert not (tmp_path / "pairing.keys").exists()


@pytest.mark.parametrize("bind", NO_ADDRESS)
def test_what_is_no_address_is_refused(bind, tmp_path):
    with pytest.raises(BadArgument):
        serve(bind, tmp_path / "data")


def test_bulk_is_at_the_next_port(tmp_path):
    port = free_pair()
    with Server(f"tcp://127.0.0.1:{port}", tmp_path) as server:
        assert server.address == f"tcp://127.0.0.1:{port}"
        assert str(server.bulk_socket.address) == f"tcp://127.0.0.1:{port + 1}"


def test_ipv6_loopback(tmp_path):
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("no IPv6 here")
    with Server("tcp://[::1]:*", tmp_path) as server:
        assert server.address.startswith("tcp://[::1]:")


@pytest.mark.parametrize("which", [0, 1], ids=["control", "bulk"])
def test_a_port_in_use_is_named(tmp_path, which):
    control = free_pair()
    port = control + which
    with (
        socket.create_server(("127.0.0.1", port)),
        pytest.raises(Unavailable, match=f"Port {port} of 127.0.0.1 is in use"),
    ):
        serve(f"tcp://127.0.0.1:{control}", tmp_path)
    # Nothing is held any more.
    with Server("tcp://127.0.0.1:*", tmp_path):
        pass


def test_a_port_that_the_system_forbids_is_named(tmp_path, monkeypatch):
    """Ports below 1024, and those that Windows keeps for itself."""

    def bind(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", bind)
    with pytest.raises(Unavailable, match=r"is not permitted to listen at port 80 of 127\.0\.0\.1") as caught:
        serve("tcp://127.0.0.1:80", tmp_path)
    assert "another port with --bind" in caught.value.remedy


def test_one_server_per_data_folder(tmp_path):
    with (
        Server("tcp://127.0.0.1:*", tmp_path),
        pytest.raises(Refused, match=rf"in use by another server \(process {os.getpid()}\)"),
    ):
        serve("tcp://127.0.0.1:*", tmp_path)
    with Server("tcp://127.0.0.1:*", tmp_path):
        pass


def test_a_data_folder_that_is_a_file(tmp_path):
    (tmp_path / "data").write_text("")
    with pytest.raises(Unavailable, match="cannot be used"):
        serve("tcp://127.0.0.1:*", tmp_path / "data")


def test_jobs_that_are_no_database(tmp_path):
    (tmp_path / "jobs.sqlite").write_bytes(b"not a database" * 100)
    with pytest.raises(Unavailable, match="cannot be read: file is not a database"):
        serve("tcp://127.0.0.1:*", tmp_path)


def test_jobs_that_are_empty_though_there_were_some(tmp_path):
    (tmp_path / "jobs.sqlite").touch()
    with Server("tcp://127.0.0.1:*", tmp_path):
        pass
    for left in tmp_path.glob("jobs.sqlite*"):
        left.unlink()
    (tmp_path / "jobs.sqlite").touch()
    (tmp_path / "jobs" / ("1" * 32)).mkdir(parents=True)
    with pytest.raises(Unavailable, match="cannot be read: the file is empty") as caught:
        serve("tcp://127.0.0.1:*", tmp_path)
    assert "move that file away" in caught.value.remedy


def test_a_row_that_cannot_be_read(tmp_path):
    jobs = Jobs(tmp_path / "jobs.sqlite")
    jobs.submit(Submit("1" * 32, "kitchen", "a" * 64))
    jobs.close()
    with sqlite3.connect(tmp_path / "jobs.sqlite") as db:
        db.execute("UPDATE jobs SET request = '{'")
    db.close()
    with pytest.raises(Unavailable, match=r"1 jobs in .* cannot be read") as caught:
        serve("tcp://127.0.0.1:*", tmp_path)
    assert "backend check" in caught.value.remedy
    (tmp_path / "store").mkdir(exist_ok=True)
    check(tmp_path, lambda _: None)
    with Server("tcp://127.0.0.1:*", tmp_path) as server:
        assert server.jobs.knows("1" * 32)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.EROFS])
@pytest.mark.parametrize("place", ["backend.lock.sign", "backend.server.server.Store", "pathlib.Path.mkdir"])
def test_a_start_on_a_full_disk_is_a_sentence(tmp_path, monkeypatch, number, place):
    def fail(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(place, fail)
    with pytest.raises(Unavailable, match=os.strerror(number)) as caught:
        serve("tcp://127.0.0.1:*", tmp_path / "data")
    assert ("Free some space" in caught.value.remedy) == (number in (errno.ENOSPC, errno.EDQUOT))


def test_a_start_on_a_disk_too_full_for_the_database(tmp_path, monkeypatch):
    def full(*_, **__):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr("backend.server.jobs.JobFile", full)
    with pytest.raises(Unavailable, match="disk is full") as caught:
        Jobs(tmp_path / "jobs.sqlite")
    assert "Free space there" in caught.value.remedy


def test_a_data_folder_that_is_removed_ends_the_server_with_a_sentence(tmp_path, connect, scene):
    served = Serving(tmp_path / "data")
    client = connect(served)
    client.submit(client.offer(scene("step lift 0.5", "sleep 60"))[0])
    shutil.rmtree(served.data)
    with pytest.raises(Unavailable, match="was deleted or replaced"):
        served._ended.result(PATIENCE)
    with pytest.raises(Unavailable, match="was deleted or replaced"):
        served.stop()


def test_jobs_of_a_later_version(tmp_path):
    with sqlite3.connect(tmp_path / "jobs.sqlite") as db:
        db.execute("PRAGMA user_version = 7")
    with pytest.raises(Unavailable, match=f"have format 7; this server reads format {LAYOUT}"):
        serve("tcp://127.0.0.1:*", tmp_path)


def test_the_line_that_is_printed_ends_in_the_address(start):
    served = start()
    assert served.line.startswith("SplatLift serves at tcp://127.0.0.1:")
    with Client(served.address) as client:
        assert client.welcome.server.startswith("SplatLift ")
        assert [method.name for method in client.welcome.methods]
    assert served.end(signal.SIGTERM) == 0


def test_every_refusal_is_one_sentence_and_a_remedy(tmp_path):
    for bind in ("tcp://192.0.2.1:5757", "tcp://eth99:5757", *NO_ADDRESS):
        with pytest.raises(Fault) as caught:
            serve(bind, tmp_path)
        assert caught.value.sentence.endswith(".")
        assert caught.value.remedy.endswith(".")


def test_a_data_folder_whose_name_is_no_text(tmp_path):
    data = Path(os.fsdecode(os.fsencode(tmp_path) + b"/d\xff"))
    with pytest.raises(Unavailable, match="is not Unicode"):
        Server("tcp://127.0.0.1:*", data)
    assert not data.exists()
