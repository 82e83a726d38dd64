"""What is fuzzed: every reader of bytes that come over the wire or lie in a capture, a splat file or a result.

A target has valid samples and reads one input. Compressed formats have two: the file as it is, and its content, which
is changed and then packed again, because nearly every change of packed bytes ends at a checksum.
"""

from __future__ import annotations

import gzip
import io
import json
import random
import shutil
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from backend.scene import load_scene, read_image
from backend.scene.mask_files import load_ids, load_stack, mask_size, may_overlap
from backend.scene.mask_sets import read_mask_set
from protocol import address, pairing
from protocol.errors import Fault
from protocol.formats.read import read_splats
from protocol.formats.registry import format_of
from protocol.formats.write import write_splats
from protocol.job_request import JobRequest
from protocol.manifest import pack_manifest, unpack_manifest
from protocol.messages import (
    MAJOR,
    MINOR,
    Attach,
    Chunk,
    Error,
    FileEntry,
    Get,
    Hello,
    Offer,
    Picture,
    Progress,
    Select,
    Selected,
    Status,
    Submit,
    Survey,
)
from protocol.ply import write_ply
from protocol.result.cameras import read_cameras
from protocol.result.corrections import read_corrections
from protocol.result.embedding import read_embedding
from protocol.result.evidence import read_evidence
from protocol.result.gaussians import read_splats as read_result_splats
from protocol.result.parts import read_parts
from protocol.result.table import read_table
from protocol.splats import Splats
from protocol.wire import decode, encode
from protocol.zmtp_frames import FrameCounter
from tests.backend.scene import writing
from tests.protocol.formats.packing import storable

JOB, DIGEST = "1" * 32, "a" * 64
BETWEEN = b"\xfe\xfd\xfc\xfb"
"""Between two frames of an input."""


@dataclass(frozen=True)
class Target:
    """Samples, made in an empty folder, and how an input is read; a :class:`Fault` is an answer, as is no error."""

    samples: Callable[[Path], Sequence[bytes]]
    read: Callable[[bytes, Path], object]


# The wire


def _frames(_: Path) -> list[bytes]:
    request = JobRequest(method="consensus", seed=3, steps=100, settings={"tau": 0.5, "on": True})
    pixels = np.zeros((4, 5, 3), np.uint8)
    messages = (
        (Hello((MAJOR, MINOR), "client", ["picture"]), ()),
        (Submit(JOB, "kitchen", DIGEST, request), ()),
        (Progress(JOB, 3, "failed", "lift", 0.5, "note", Error("bad-scene", "It is empty.", "Fill it.")), ()),
        (Select(JOB, view="a", x=3, y=4), ()),
        (Selected(JOB, 3, 9, 2), (np.zeros(2, np.uint8), np.zeros(0, np.uint8))),
        (Chunk(DIGEST, 7), (np.zeros(9, np.uint8),)),
        (Picture(JOB), (pixels,)),
        (Offer(DIGEST, 100), ()),
        (Get(DIGEST, 0, 10), ()),
        (Attach(JOB), ()),
        (Status(5), ()),
        (Survey(JOB), ()),
    )
    return [BETWEEN.join(map(bytes, encode(message, arrays, id=5))) for message, arrays in messages]


def _read_frames(data: bytes, _: Path) -> None:
    message, arrays, id = decode(data.split(BETWEEN))
    encode(message, arrays, id=id)


GREETINGS = [b"\xff" + bytes(8) + b"\x7f\x03\x01" + name.ljust(20, b"\0") + bytes(32) for name in (b"NULL", b"CURVE")]
READY = b"\x04\x1c\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER"


def _streams(folder: Path) -> list[bytes]:
    whole = []
    for greeting in GREETINGS:
        stream = greeting + READY
        for sample in _frames(folder):
            parts = [b"", *sample.split(BETWEEN)]
            for number, part in enumerate(parts):
                more = int(number < len(parts) - 1)
                head = bytes([more, len(part)]) if len(part) < 256 else bytes([more | 2]) + struct.pack(">Q", len(part))
                stream += head + part
        whole.append(stream)
    return whole


def _read_stream(data: bytes, _: Path) -> None:
    frames, order, at = FrameCounter(), random.Random(len(data)), 0
    while at < len(data):
        step = order.choice((1, 3, 64, 4096))
        frames.feed(memoryview(data)[at : at + step])
        at += step
        if frames.cost < 0:
            raise AssertionError("the cost is negative")


def _manifests(_: Path) -> list[bytes]:
    entries = [FileEntry(f"images/{number}.png", number, f"{number:064x}") for number in range(9)]
    return [pack_manifest(entries), pack_manifest(entries[:1])]


def _pairings(_: Path) -> list[bytes]:
    key = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"
    return [pairing.Pairing(key, key).text().encode(), b"tcp://127.0.0.1:5757", b"tcp://[::1]:5757", b"tcp://*:*"]


def _read_text(data: bytes, _: Path) -> None:
    text = data.decode("latin-1")
    for read in (pairing.parse, address.parse, address.parse_bind):
        try:
            read(text)
        except Fault:
            continue


# Splat files


def _splats() -> Splats:
    return storable(60, 1, seed=1)


def _file(name: str, format: str | None = None) -> Callable[[Path], list[bytes]]:
    def samples(folder: Path) -> list[bytes]:
        write_splats(_splats(), folder / name, format_of(folder / name, format))
        return [(folder / name).read_bytes()]

    return samples


def _plys(folder: Path) -> list[bytes]:
    write_ply(_splats(), folder / "a.ply")
    return [(folder / "a.ply").read_bytes(), *_file("b.compressed.ply")(folder)]


def _read_splats(name: str) -> Callable[[bytes, Path], Splats]:
    def read(data: bytes, folder: Path) -> Splats:
        (folder / name).write_bytes(data)
        return read_splats(folder / name)

    return read


def _spz_contents(folder: Path) -> list[bytes]:
    """The content of SPZ 2 and 3: 16 bytes of header, then the columns (https://github.com/nianticlabs/spz)."""
    rows, degree = 20, 1
    columns = {2: rows * (9 + 1 + 3 + 3 + 3 + 9), 3: rows * (9 + 1 + 3 + 3 + 4 + 9)}
    order = random.Random(1)
    head = {version: struct.pack("<IIIBBBB", 0x5053474E, version, rows, degree, 12, 0, 0) for version in columns}
    return [head[version] + order.randbytes(columns[version]) for version in columns]


def _read_spz_content(data: bytes, folder: Path) -> Splats:
    return _read_splats("a.spz")(gzip.compress(data, 1, mtime=0), folder)


def _sog_contents(folder: Path) -> list[bytes]:
    _file("a.sog")(folder)
    with zipfile.ZipFile(folder / "a.sog") as archive:
        for name in archive.namelist():
            (folder / f"part-{name}").write_bytes(archive.read(name))
        return [archive.read("meta.json")]


def _read_sog_content(data: bytes, folder: Path) -> Splats:
    with zipfile.ZipFile(folder / "a.sog", "w") as archive:
        for part in folder.glob("part-*"):
            name = part.name.removeprefix("part-")
            archive.writestr(name, data if name == "meta.json" else part.read_bytes())
    return read_splats(folder / "a.sog")


# Masks


def _pictures(folder: Path) -> list[bytes]:
    ids = np.arange(12 * 9, dtype=np.uint8).reshape(9, 12)
    made = [Image.fromarray(ids), Image.fromarray(ids.astype(np.uint16)), Image.fromarray(ids).convert("P")]
    made += [Image.fromarray(np.stack([ids] * 3, -1)), Image.fromarray(ids > 50)]
    found = []
    for image, kind in [*((each, "PNG") for each in made), (made[0], "TIFF"), (made[0], "WEBP"), (made[0], "BMP")]:
        stream = io.BytesIO()
        image.save(stream, kind)
        found.append(stream.getvalue())
    return found


def _read_mask(name: str) -> Callable[[bytes, Path], object]:
    def read(data: bytes, folder: Path) -> None:
        file = folder / name
        file.write_bytes(data)
        for step in (mask_size, load_ids):
            try:
                step(file)
            except Fault:
                continue
        if may_overlap(file):
            load_stack(file)

    return read


def _read_png_content(data: bytes, folder: Path) -> None:
    """Read a picture whose checksums are made right again, so that the changes are seen."""
    fixed, at = bytearray(data[:8]), 8
    while at + 12 <= len(data):
        length = min(int.from_bytes(data[at : at + 4], "big"), len(data) - at - 12)
        body = data[at + 4 : at + 8 + length]
        fixed += length.to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")
        at += 12 + length
    _read_mask("a.png")(bytes(fixed), folder)


def _pngs(folder: Path) -> list[bytes]:
    return [data for data in _pictures(folder) if data.startswith(b"\x89PNG")]


def _arrays(_: Path) -> list[bytes]:
    stack = np.zeros((3, 9, 12), bool)
    stack[1, 2:4] = True
    found = []
    for array in (np.arange(108, dtype=np.int32).reshape(9, 12), stack, np.zeros((9, 12), np.float32)):
        stream = io.BytesIO()
        np.save(stream, array)
        found.append(stream.getvalue())
    return found


def _archives(folder: Path) -> list[bytes]:
    return [_packed(data) for data in _arrays(folder)]


def _packed(data: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("masks.npy", data)
    return stream.getvalue()


def _run_lengths(_: Path) -> list[bytes]:
    segmentation = {"size": [9, 12], "counts": [5, 10, 93]}
    compressed = {"size": [9, 12], "counts": "5:m2"}
    rows = [{"segmentation": each, "area": 10, "predicted_iou": 0.9} for each in (segmentation, compressed)]
    return [json.dumps(rows).encode(), json.dumps(rows[:1]).encode()]


# Captures


def _read_capture(data: bytes, folder: Path, file: str) -> None:
    (folder / file).write_bytes(data)
    scene = load_scene(folder)
    for view in scene.views[:2]:
        read_image(view)
        read_mask_set(view)


def _transforms(folder: Path) -> list[bytes]:
    writing.write_transforms(folder)
    return [(folder / "transforms.json").read_bytes()]


def _colmap(file: str) -> Target:
    place = f"sparse/0/{file}"

    def samples(folder: Path) -> list[bytes]:
        writing.write_colmap(folder, text=file.endswith(".txt"))
        return [(folder / place).read_bytes()]

    return Target(samples, lambda data, folder: _read_capture(data, folder, place))


# Results


def _json(record: object) -> Callable[[Path], list[bytes]]:
    return lambda _: [json.dumps(record).encode()]


def _result(file: str, read: Callable[[Path], object]) -> Callable[[bytes, Path], object]:
    def read_one(data: bytes, folder: Path) -> object:
        (folder / file).write_bytes(data)
        return read(folder)

    return read_one


_ROW = {"id": 1, "name": "cup", "count": 400, "colour": [0.5, 0.5, 0.5], "confidence": 0.9}
_VIEW = {"name": "a", "width": 40, "height": 30, "K": np.eye(3).tolist(), "viewmat": np.eye(4).tolist()}
_CORRECTION = {"kind": "own", "places": [{"name": "cup", "points": [[0.0, 1.0, 2.0]]}]}
_PART = {"id": 1, "whole": 1, "count": 3, "name": "lid", "colour": [0.1, 0.2, 0.3]}


def _embeddings(_: Path) -> list[bytes]:
    stream = io.BytesIO()
    np.save(stream, np.zeros((60, 8), np.float16))
    return [stream.getvalue()]


def _evidences(_: Path) -> list[bytes]:
    arrays = {
        "region": np.zeros(60, np.int32),
        "label": np.ones(1, np.int32),
        "first": np.zeros(0, np.int32),
        "second": np.zeros(0, np.int32),
        "attraction": np.zeros(0, np.float32),
        "visible": np.ones((1, 3), bool),
        "presence": np.ones(2, np.float32),
        "tau": np.array(0.6),
    }
    stream = io.BytesIO()
    np.savez(stream, **arrays)  # pyright: ignore[reportArgumentType]
    return [stream.getvalue()]


def _result_plys(folder: Path) -> list[bytes]:
    splats = _splats()
    splats.extra["label"] = np.ones(len(splats), np.int32)
    splats.extra["confidence"] = np.ones(len(splats), np.float32)
    write_ply(splats, folder / "splats.ply")
    return [(folder / "splats.ply").read_bytes()]


TARGETS: dict[str, Target] = {
    "frames": Target(_frames, _read_frames),
    "zmtp": Target(_streams, _read_stream),
    "manifest": Target(_manifests, lambda data, _: unpack_manifest(data)),
    "pairing": Target(_pairings, _read_text),
    "ply": Target(_plys, _read_splats("a.ply")),
    "spz": Target(_file("a.spz"), _read_splats("a.spz")),
    "spz-content": Target(_spz_contents, _read_spz_content),
    "sog": Target(_file("a.sog"), _read_splats("a.sog")),
    "sog-content": Target(_sog_contents, _read_sog_content),
    "splat": Target(_file("a.splat"), _read_splats("a.splat")),
    "glb": Target(_file("a.glb", "gaussians-glb"), _read_splats("a.glb")),
    "pictures": Target(_pictures, _read_mask("a.png")),
    "png-content": Target(_pngs, _read_png_content),
    "npy": Target(_arrays, _read_mask("a.npy")),
    "npz": Target(_archives, _read_mask("a.npz")),
    "npz-content": Target(_arrays, lambda data, folder: _read_mask("a.npz")(_packed(data), folder)),
    "run-lengths": Target(_run_lengths, _read_mask("a.json")),
    "transforms": Target(_transforms, lambda data, folder: _read_capture(data, folder, "transforms.json")),
    **{f"colmap-{name.partition('.')[0]}": _colmap(name) for name in ("cameras.bin", "images.bin", "points3D.bin")},
    "colmap-text": _colmap("images.txt"),
    "objects": Target(_json({"format": 1, "scene": "room", "objects": [_ROW]}), _result("objects.json", read_table)),
    "cameras": Target(_json({"format": 1, "views": [_VIEW]}), _result("cameras.json", read_cameras)),
    "parts": Target(_json({"format": 1, "level": "whole", "parts": [_PART]}), _result("parts.json", read_parts)),
    "corrections": Target(
        _json({"format": 1, "corrections": [_CORRECTION]}), _result("corrections.json", read_corrections)
    ),
    "embedding": Target(_embeddings, _result("embedding.npy", lambda folder: read_embedding(folder, 60))),
    "evidence": Target(_evidences, _result("evidence.npz", lambda folder: read_evidence(folder, 60))),
    "result-ply": Target(_result_plys, _result("splats.ply", read_result_splats)),
}


def prepare(name: str, folder: Path) -> Sequence[bytes]:
    """Make an empty folder for a target, with the files that surround an input, and return the samples."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return TARGETS[name].samples(folder)
