"""What strace's lines say."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from bench.chaos_power import learnt
from bench.disk_model import Disk, Link, Make, Remove, Rename, Sync, Told, Truncate, Write
from bench.disk_trace import operations, record

LINES = rb"""
7 mkdir("/data/store", 0777) = 0
7 openat(AT_FDCWD</>, "/data/a.tmp", O_WRONLY|O_CREAT|O_EXCL|O_CLOEXEC, 0666) = 3</data/a.tmp>
7 openat(AT_FDCWD</>, "/elsewhere", O_RDONLY) = 4</elsewhere>
7 write(3</data/a.tmp>, "\x68\x65\x6c\x6c\x6f\x22\x2c", 7) = 7
7 lseek(3</data/a.tmp>, 0, SEEK_SET) = 0
7 write(3</data/a.tmp>, "\x48", 1) = 1
7 fsync(3</data/a.tmp> <unfinished ...>
8 pwrite64(3</data/a.tmp>, "\x21\x21", 2, 5) = 2
7 <... fsync resumed>)                    = 0
7 rename("/data/a.tmp", "/data/store/\x61") = 0
7 link("/data/store/a", "/data/b") = 0
8 openat(AT_FDCWD</>, "/data/log", O_WRONLY|O_CREAT|O_APPEND, 0666) = 1</data/log>
8 write(1</data/log>, "\x31\x0a", 2) = 2
8 write(1</data/log>, "\x32\x0a", 2) = 2
8 ftruncate(1</data/log>, 3) = 0
8 fsync(5</data/store>) = 0
8 fsync(5</data>) = 0
8 unlinkat(6</data>, "\x62", 0) = 0
8 unlink("/data/missing") = -1 ENOENT (No such file or directory)
8 sendto(9<socket:[1]>, "\x7b\x22\x76\x22\x3a\x31\x7d", 7, 0, NULL, 0) = 7
8 +++ exited with 0 +++
""".strip().splitlines()


def test_lines_become_operations():
    found = list(operations(LINES, "/data", lambda sent: [{"sent": sent[-21:-15]}] if b'"v"' in sent else []))
    assert found[:-1] == [
        Make("store", folder=True),
        Make("a.tmp"),
        Write("a.tmp", 0, b'hello",'),
        Write("a.tmp", 0, b"H"),
        Write("a.tmp", 5, b"!!"),
        Sync("a.tmp", 4),
        Rename("a.tmp", "store/a"),
        Link("store/a", "b"),
        Make("log"),
        Write("log", 0, b"1\n"),
        Write("log", 2, b"2\n"),
        Truncate("log", 3),
        Sync("store", 12),
        Sync("", 13),
        Remove("b"),
    ]
    assert isinstance(found[-1], Told)


def test_what_cannot_be_followed_is_an_error():
    with pytest.raises(ValueError, match="sendfile"):
        list(operations([*LINES[:3], b"7 sendfile(3</data/a.tmp>, 4</elsewhere>, NULL, 9) = 9"], "/data", lambda _: []))
    with pytest.raises(ValueError, match="into or out of"):
        list(operations([*LINES[:3], b'7 rename("/data/a.tmp", "/elsewhere") = 0'], "/data", lambda _: []))


def test_what_a_client_learns_is_found_in_what_is_sent():
    sent = b'\x04{"v":1,"id":3,"message":{"type":"accepted","job":"1","state":"queued","seq":0},"arrays":[]}\x00'
    other = b'{"v":1,"id":3,"message":{"type":"heartbeat"}} {"v":'
    assert learnt(sent + other) == [{"type": "accepted", "job": "1", "state": "queued", "seq": 0}]


PROGRAM = """
import os, sys, threading, zipfile
root = sys.argv[1]
def work(number):
    with zipfile.ZipFile(f"{root}/{number}.part", "w") as file:
        file.writestr("content", "x" * 5000)
    os.replace(f"{root}/{number}.part", f"{root}/{number}")
threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
os.remove(f"{root}/3")
"""


@pytest.mark.skipif(shutil.which("strace") is None, reason="there is no strace")
def test_a_recorded_program_gives_the_folder_that_it_left(tmp_path: Path):
    root = tmp_path / "root"
    root.mkdir()
    if record([sys.executable, "-c", PROGRAM, str(root)], tmp_path / "log") != 0:
        pytest.skip("strace may not trace here")
    disk = Disk()
    with (tmp_path / "log").open("rb") as lines:
        for operation in operations(list(lines), str(root), lambda _: []):
            disk.apply(operation)
    disk.whole(tmp_path / "replayed")
    assert sorted(os.listdir(tmp_path / "replayed")) == sorted(os.listdir(root)) == ["0", "1", "2"]
    for path in root.iterdir():
        assert (tmp_path / "replayed" / path.name).read_bytes() == path.read_bytes()
