"""SOG of PlayCanvas, version 2: images with one pixel per Gaussian, and ``meta.json``, in a zip archive or a folder.

- ``means_l``, ``means_u``: the low and high bytes of positions, as 65535ths between the bounds of sign(x) log(1 +
  \\|x\\|).
- ``scales``, ``sh0``: one byte per channel, an index into a codebook of 256 log-scales or base colours; the alpha of
  ``sh0`` is the opacity in 255ths.
- ``quats``: the three smaller components of wxyz, from -1/sqrt(2) to 1/sqrt(2); alpha is 252 plus the index of the
  largest.
- ``shN_labels``: the row in a palette, as two bytes. ``shN_centroids``: 64 rows of the palette per image row; each
  palette row is its coefficients in order, one byte per channel, an index into a codebook.

Axes are those of the PLY. Sources: the specification (developer.playcanvas.com) and playcanvas/splat-transform,
`read-sog.ts`.
"""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, BinaryIO

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from protocol.errors import BadSplats
from protocol.expansion import GAUSSIANS, too_much
from protocol.formats import webp
from protocol.formats.clusters import codebook, palette
from protocol.formats.codes import as_bytes, in_steps, logits, with_largest, without_largest
from protocol.splats import SH_COUNTS, Floats, Splats

ZIP = b"PK\x03\x04"
MOST = 20_000_000
"""Most Gaussians, as in an SPZ file."""
STORED = 20
"""Bytes of a Gaussian without view-dependent colour: five pixels."""
FLOOR = 16 << 20
"""Bytes of all Gaussians that any file may unpack to."""
META = "meta.json"
MAX_META = 1 << 20
MAX_PICTURE = 1 << 28
"""Most bytes of an image."""
SPARE = 1 << 16
"""Most pixels of an image beyond four per Gaussian."""
PALETTE = 1 << 16
ROW = 64
"""Palette rows per image row."""
TAG = 252
STEPS = 65535
AGAIN = "Copy or export it again."

Three = Annotated[list[float], Meta(min_length=3, max_length=3)]
Codes = Annotated[list[float], Meta(min_length=1, max_length=256)]
One = Annotated[list[str], Meta(min_length=1, max_length=1)]
Two = Annotated[list[str], Meta(min_length=2, max_length=2)]


class Means(msgspec.Struct):
    mins: Three
    maxs: Three
    files: Two


class Coded(msgspec.Struct):
    codebook: Codes
    files: One


class Plain(msgspec.Struct):
    files: One


class Palette(msgspec.Struct):
    count: Annotated[int, Meta(ge=1, le=PALETTE)]
    bands: Annotated[int, Meta(ge=1, le=3)]
    codebook: Codes
    files: Two


class Record(msgspec.Struct, omit_defaults=True):
    """The content of ``meta.json``."""

    version: Annotated[int, Meta(ge=2, le=2)]
    count: Annotated[int, Meta(ge=1, le=MOST)]
    means: Means
    scales: Coded
    quats: Plain
    sh0: Coded
    shN: Palette | None = None


def read(file: BinaryIO, path: Path) -> Splats:
    """Return the Gaussians of an open file.

    Raises:
        BadSplats: if it is not a complete SOG archive of version 2, or has more than :data:`MOST` Gaussians.
        Unavailable: if Pillow is not installed.
    """
    try:
        length = file.seek(0, os.SEEK_END)
        with zipfile.ZipFile(file) as archive:

            def entry(name: str, most: int) -> bytes:
                return _from_archive(archive, name, most, path)

            return _decode(entry, length, path)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise BadSplats(f"{path} is a damaged SOG archive: {error}.", AGAIN) from error


def read_folder(folder: Path) -> Splats:
    """Return the Gaussians of an archive that was extracted to a folder.

    Raises:
        BadSplats: as :func:`read`, or if an image is not in the folder itself.
        OSError: if a file cannot be read.
        Unavailable: if Pillow is not installed.
    """

    def entry(name: str, most: int) -> bytes:
        return _from_folder(folder, name, most)

    # The same limit as for an archive, which stores its images without compressing them.
    return _decode(entry, sum(file.stat().st_size for file in folder.iterdir() if file.is_file()), folder)


Entry = Callable[[str, int], bytes]
"""Returns the content of a file by its name, with at most so many bytes."""


def _from_archive(archive: zipfile.ZipFile, name: str, most: int, path: Path) -> bytes:
    try:
        wrong = too_much(archive.getinfo(name).compress_size, archive.getinfo(name).file_size)
        if wrong is not None:
            raise BadSplats(f"{path} is not a SOG archive: its {name} {wrong}.", AGAIN)
        with archive.open(name) as stream:
            data = stream.read(most + 1)
    except KeyError:
        raise BadSplats(f"{path} is not a complete SOG archive: {name} is missing.", AGAIN) from None
    return _at_most(most, data, name, path)


def _from_folder(folder: Path, name: str, most: int) -> bytes:
    if Path(name).name != name or not (folder / name).is_file():
        raise BadSplats(f"{folder} is not a complete SOG archive: {name} is missing.", AGAIN)
    with (folder / name).open("rb") as stream:
        return _at_most(most, stream.read(most + 1), name, folder)


def _at_most(most: int, data: bytes, name: str, path: Path) -> bytes:
    if len(data) > most:
        raise BadSplats(f"{path} is not a SOG archive: its {name} has more than {most} bytes.", AGAIN)
    return data


def _decode(entry: Entry, length: int, path: Path) -> Splats:
    """Return the Gaussians of the files that ``entry`` returns, which have ``length`` bytes together."""
    try:
        record = msgspec.json.decode(entry(META, MAX_META), type=Record)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadSplats(f"{path} is not a SOG archive of version 2: {META} cannot be read: {error}.", AGAIN) from error
    wrong = too_much(length, record.count * STORED, GAUSSIANS, FLOOR)
    if wrong is not None:
        raise BadSplats(f"{path} {wrong}.", AGAIN)
    count = record.count

    def pixels(name: str) -> NDArray[np.uint8]:
        return _picture(entry, name, 4 * count + SPARE, count, path).reshape(-1, 4)[:count]

    low, high = (pixels(name)[:, :3] for name in record.means.files)
    shares = (low + high.astype(np.uint16) * 256) / STEPS
    mins, maxs = np.array(record.means.mins), np.array(record.means.maxs)
    with np.errstate(over="ignore", invalid="ignore"):  # absurd bounds make non-finite positions
        logs = mins + (maxs - mins) * shares
        means = (np.sign(logs) * np.expm1(np.abs(logs))).astype(np.float32)
    quats = pixels(record.quats.files[0])
    if (quats[:, 3] < TAG).any():
        raise BadSplats(f"{path} is a damaged SOG archive: {record.quats.files[0]} contains invalid rotations.", AGAIN)
    three = (quats[:, :3] / np.float32(255) - np.float32(0.5)) * np.float32(np.sqrt(2))
    colours = pixels(record.sh0.files[0])
    sh = _looked_up(record.sh0.codebook, colours[:, :3], path)[:, None]
    if record.shN is not None:
        sh = np.concatenate([sh, _beyond(entry, record.shN, pixels(record.shN.files[1]), path)], 1)
    return Splats(
        means=means,
        quats=with_largest(three, quats[:, 3].astype(np.int64) - TAG),
        scales=_looked_up(record.scales.codebook, pixels(record.scales.files[0])[:, :3], path),
        opacities=logits(colours[:, 3]),
        sh=sh,
    )


def _picture(entry: Entry, name: str, most: int, least: int, path: Path) -> NDArray[np.uint8]:
    picture = webp.decode(entry(name, MAX_PICTURE), most)
    if picture is None or picture.shape[0] * picture.shape[1] < least:
        raise BadSplats(f"{path} is a damaged SOG archive: {name} is not an image of {least} values.", AGAIN)
    return picture


def _looked_up(codes: list[float], indices: NDArray[np.uint8], path: Path) -> Floats:
    if indices.size and int(indices.max()) >= len(codes):
        raise BadSplats(
            f"{path} is a damaged SOG archive: a codebook has fewer entries than its images refer to.", AGAIN
        )
    with np.errstate(over="ignore"):
        return np.array(codes).astype(np.float32)[indices]


def _beyond(entry: Entry, found: Palette, labels: NDArray[np.uint8], path: Path) -> Floats:
    """Return the higher-band coefficients, (N, K - 1, 3)."""
    terms = SH_COUNTS[found.bands] - 1
    rows = -(-found.count // ROW)
    centroids = _picture(entry, found.files[0], 2 * rows * ROW * terms + SPARE, rows * ROW * terms, path)
    if centroids.shape[1] != ROW * terms:
        raise BadSplats(f"{path} is a damaged SOG archive: {found.files[0]} is not {ROW * terms} wide.", AGAIN)
    entries = centroids.reshape(-1, terms, 4)[: found.count, :, :3]
    which = labels[:, 0] + labels[:, 1].astype(np.int64) * 256
    if int(which.max()) >= len(entries):
        raise BadSplats(f"{path} is a damaged SOG archive: its palette is shorter than declared.", AGAIN)
    return _looked_up(found.codebook, entries, path)[which]


def write(splats: Splats, path: Path) -> list[str]:
    """Write Gaussians. No value is clamped, so the list is empty. Sort them along a curve first for small files.

    Raises:
        BadSplats: if there are more than :data:`MOST` Gaussians.
        Unavailable: if Pillow is not installed.
    """
    count = len(splats)
    if count > MOST:
        raise BadSplats(f"{path} cannot be written: SOG is limited to {MOST} Gaussians, and there are {count}.")
    logs = np.sign(splats.means) * np.log1p(np.abs(splats.means.astype(np.float64)))
    low, high = logs.min(0), logs.max(0)
    steps = in_steps((logs - low) / np.where(high > low, high - low, 1), STEPS)
    sizes, size_codes = codebook(splats.scales)
    colours, colour_codes = codebook(splats.sh[:, 0])
    three, largest = without_largest(splats.quats)
    pictures = {
        "means_l": _pixels(steps & 255),
        "means_u": _pixels(steps >> 8),
        "scales": _pixels(size_codes),
        "quats": _pixels(as_bytes(three * np.float32(np.sqrt(0.5)) + np.float32(0.5)), largest + TAG),
        "sh0": _pixels(colour_codes, as_bytes(splats.alphas)),
    }
    record = Record(
        version=2,
        count=count,
        means=Means(low.tolist(), high.tolist(), [_file("means_l"), _file("means_u")]),
        scales=Coded(_whole(sizes), [_file("scales")]),
        quats=Plain([_file("quats")]),
        sh0=Coded(_whole(colours), [_file("sh0")]),
    )
    if splats.sh_degree:
        record.shN, further = _palette(splats)
        pictures |= further
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        # ZipInfo has a fixed default date, so that the same Gaussians make the same file.
        archive.writestr(zipfile.ZipInfo(META), msgspec.json.encode(record))
        for name, pixels in pictures.items():
            archive.writestr(zipfile.ZipInfo(_file(name)), webp.encode(pixels))
    return []


def _file(name: str) -> str:
    return f"{name}.webp"


def _whole(codes: Floats) -> list[float]:
    """Return a codebook padded to 256 codes, which some readers require."""
    return np.pad(codes, (0, 256 - len(codes)), "edge").astype(float).tolist()


def _pixels(values: NDArray, alpha: NDArray | None = None) -> NDArray[np.uint8]:
    """Return values (N, 3) as an image whose sides are multiples of 4, with alpha (N,) or 255."""
    count = len(values)
    width = 4 * int(np.ceil(np.sqrt(count) / 4))
    height = 4 * -(-count // (4 * width))
    picture = np.zeros((height * width, 4), np.uint8)
    picture[:, 3] = 255
    picture[:count, :3] = values
    if alpha is not None:
        picture[:count, 3] = alpha
    return picture.reshape(height, width, 4)


def _palette(splats: Splats) -> tuple[Palette, dict[str, NDArray[np.uint8]]]:
    """Return the palette of the higher-band coefficients, and its images."""
    count, terms = len(splats), splats.sh.shape[1] - 1
    rows = splats.sh[:, 1:].reshape(count, 3 * terms)
    entries, which = (rows, np.arange(count)) if count <= PALETTE else palette(rows, PALETTE)
    codes, indices = codebook(entries)
    grid = np.zeros((-(-len(entries) // ROW) * ROW, terms, 4), np.uint8)
    grid[..., 3] = 255
    grid[: len(entries), :, :3] = indices.reshape(-1, terms, 3)
    labels = np.stack([which & 255, which >> 8, np.zeros_like(which)], 1)
    files = [_file("shN_centroids"), _file("shN_labels")]
    pictures = {"shN_centroids": grid.reshape(-1, ROW * terms, 4), "shN_labels": _pixels(labels)}
    return Palette(len(entries), splats.sh_degree, _whole(codes), files), pictures
