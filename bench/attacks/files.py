"""Attacks by the files of an upload: lists that are none, names, and many."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

from bench.attacks.serving import (
    Commanded,
    answers,
    attached,
    attack,
    done_job,
    plain,
    served,
)
from bench.chaos import write_scene
from protocol.manifest import digest_of
from protocol.messages import (
    MAJOR,
    Error,
    Get,
    Offer,
    Stored,
    Wanted,
)
from tests.backend.scene import bombs, writing
from tests.backend.server.client import Client


@attack
def offers_of_what_is_no_manifest(place: Path) -> str:
    """A stored photograph, a result's file, a wrong size, an empty file, and the same folder 50 times."""
    with plain(place) as server, attached(server) as client:
        scene = write_scene(place / "scene", "write out 1000", "done", photo=3 << 20)
        manifest, _ = client.offer(scene)
        photo = digest_of((scene / "images" / "photo").read_bytes())
        assert client.bulk is not None
        empty = digest_of(b"")
        for offer in (Offer(photo, 3 << 20), Offer(photo, 1), Offer(manifest, 1), Offer(empty, 0), Offer(empty, 5)):
            client.send(offer, client.bulk)
        for _ in range(50):
            client.send(Offer(manifest, 10), client.bulk)
        answers(client, 1.5, bulk=True)
        client.attach()
        client.offer(scene)
        return "the folder is still stored"


@attack
def many_tiny_files(place: Path) -> str:
    """20,000 files of a few bytes in 20 folders."""
    with plain(place) as server, attached(server) as client:
        scene = place / "scene"
        write_scene(scene, "done")
        for number in range(20_000):
            folder = scene / f"{number % 20}"
            folder.mkdir(exist_ok=True)
            (folder / f"{number}").write_text(f"{number}")
        begin = time.monotonic()
        client.offer(scene)
        return f"stored after {time.monotonic() - begin:.0f} s"


@attack
def names_of_windows(place: Path) -> str:
    """Names that some system reads as another file, or as a device."""
    names = (
        *("con", "CON.txt", "nul .png", "aux.tar.gz", "com1", "COM\u00b9", "lpt\u00b2.txt", "conin$", "CONOUT$"),
        *("a:b", "a.", "a ", "..", "../a", "/a", "\\a", "C:\\a", "a\x00b", "a\nb", "a\u202eb", "a//b", "", ".", "./a"),
        *("a/../b", "~/a/..", "\ud800", "a|b", "a*", "a" * 300, "a/" * 40 + "b"),
    )
    taken = []
    with plain(place) as server, attached(server) as client:
        for name in names:
            data = b'{"files":[{"path":%s,"size":1,"digest":"%s"}]}' % (json.dumps(name).encode(), b"a" * 64)
            if _manifest_verdict(client, data) is None:
                taken.append(name)
        assert not taken, f"accepted: {taken}"
        return f"{len(names)} names refused"


@attack
def names_that_are_one_elsewhere(place: Path) -> str:
    """Paths that are the same file on a system that ignores case or the normal form of letters."""
    pairs = (
        *(("A.png", "a.png"), ("\u00e9", "e\u0301"), ("stra\u00dfe", "STRASSE"), ("\u0130", "i\u0307")),
        *(("a", "a/b"), ("A", "a/b"), ("\u212a", "k")),
    )
    taken = []
    with plain(place) as server, attached(server) as client:
        for pair in pairs:
            entries = [{"path": name, "size": 1, "digest": "a" * 64} for name in pair]
            if _manifest_verdict(client, json.dumps({"files": entries}).encode()) is None:
                taken.append(pair)
        assert not taken, f"accepted: {taken}"
        return f"{len(pairs)} pairs refused"


def _manifest_verdict(client: Client, data: bytes) -> str | None:
    """Offer a manifest; return the sentence of its refusal, None if its files are requested."""
    assert client.bulk is not None
    id = client.send(Offer(digest_of(data), len(data)), client.bulk)
    while True:
        message, _, of = client.receive(client.bulk)
        if isinstance(message, Get) and message.digest == digest_of(data):
            client.send_chunk(message.digest, message.offset, data[message.offset :][: message.length], of)
        elif isinstance(message, Error):
            return message.sentence
        elif isinstance(message, Wanted | Stored) and of == id:
            client.send(Error("gone", "x"), client.bulk)
            answers(client, 0.2, bulk=True)
            return None


def _flood(path: Path) -> None:
    path.write_bytes(b'{"frames":[' + b"[]," * 20_000_000 + b"[]]}")


def _postscript(path: Path) -> None:
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 40 30\n%%EndComments\nshowpage\n")


def _end(client: Client, job: str) -> str:
    """Return the sentence of a failed job, which must be one, or "done"."""
    error = client.sync(job).error
    if error is None:
        client.result(job)
        return "done"
    assert error.sentence.endswith("."), error.sentence
    assert "\n" not in error.sentence, error.sentence
    assert "Traceback" not in error.sentence, error.sentence
    return error.sentence


@attack
def captures_that_are_bombs(place: Path) -> str:
    """Jobs with the real worker on captures whose files declare much, unpack to much, or are nested."""
    spoil: dict[str, Callable[[Path], object]] = {
        "transforms.json": _flood,
        "images/v_1.png": _postscript,
        "images/v_2.png": lambda path: bombs.png(path, 13000, 13000),
        "masks/v_1.npz": lambda path: bombs.npz(path, 400 << 20),
        "masks/v_2.json": lambda path: path.write_bytes(b"[" * 5_000_000),
        "a.ply": lambda path: bombs.text_row(path, 10_000_000),
        "a.spz": lambda path: bombs.spz(path, 1_000_000),
        "a.sog": lambda path: bombs.sog(path, 1000),
    }
    said = []
    with served(Commanded(place / "data", "--device", "cpu")) as server, attached(server) as client:
        for number, (name, write) in enumerate(spoil.items()):
            scene = place / f"scene{number}"
            writing.write_transforms(scene)
            (scene / name).parent.mkdir(exist_ok=True)
            write(scene / name)
            splats = name if (scene / name).parent == scene and not name.endswith(".json") else None
            job = client.submit(client.offer(scene)[0], splats=splats).job
            client.until(job, patience=120.0)
            said.append(f"{name}: {_end(client, job)}")
    return " | ".join(said)


IDS = (
    "..",
    "../" * 10 + "etc/passwd",
    "A" * 32,
    "0" * 31,
    "0" * 33,
    "0" * 64 + "\n",
    "\u0660" * 32,
    "0" * 1_000_000,
    "\0" * 32,
)
NAMED = {
    "job": ("sync", "cancel", "getresult", "select", "correct", "selecttext", "nameobjects", "submit"),
    "digest": ("get", "chunk"),
    "manifest": ("offer", "stored"),
    "session": ("attach",),
    "scene": ("submit",),
    "base": ("correct", "nameobjects"),
    "nonce": ("challenge",),
    "mac": ("proof",),
    "token": ("survey",),
}


@attack
def ids_that_are_none(place: Path) -> str:
    """Ids of jobs, files, sessions and corrections that are paths, too long or too short, or of other characters."""
    count = 0
    with plain(place) as server, attached(server) as client:
        job = done_job(client, place)
        for field, kinds in NAMED.items():
            for kind in kinds:
                for id in IDS:
                    fields = {"job": job, "digest": "a" * 64, "scene": "a" * 64, "manifest": "a" * 64, field: id}
                    message = {"type": kind, **fields}
                    for socket in (client.control, client.bulk):
                        assert socket is not None
                        socket.send(json.dumps({"v": MAJOR, "id": 7, "message": message}).encode())
                        answer = client.receive(socket)[0]
                        assert isinstance(answer, Error), (field, kind, answer)
                        assert len(answer.sentence) < 2001
                        count += 1
    return f"{count} errors"
