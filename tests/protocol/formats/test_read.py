from __future__ import annotations

import gzip
import io
import struct
import tracemalloc
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import zstandard
from gsplat import export_splats
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.spatial import KDTree

from protocol.errors import BadSplats
from protocol.formats import webp
from protocol.formats.axes import to_ply_axes
from protocol.formats.read import read_splats, read_splats_and_warnings
from protocol.ply import write_ply
from protocol.sh import rotate_sh
from protocol.splats import Splats
from protocol.transform import transform
from tests.protocol.formats.packing import (
    compressed_ply_bytes,
    glb_with,
    record,
    sog_with,
    splat_bytes,
    spz_bytes,
    spz_of,
    spz_sections,
    storable,
)

FIXTURES = "splat-fixtures"
THREE = f"{FIXTURES}/metalsplatter/SplatIO/TestData/test-splat.3-points-from-train"


def read_quietly(path: Path) -> Splats:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return read_splats(path)


def agree(a: Splats, b: Splats, *, mean: float, scale: float, alpha: float, quat: float, colour: float, sh: float = 0):
    """Check that two splats are the same within a step of a format; ``quat`` is the sine of half the angle between."""
    assert a.sh.shape == b.sh.shape
    assert np.abs(a.means - b.means).max() <= mean
    assert np.abs(a.scales - b.scales).max() <= scale
    assert np.abs(a.alphas - b.alphas).max() <= alpha
    units = [s.quats / np.linalg.norm(s.quats, axis=1, keepdims=True) for s in (a, b)]
    cosine = np.abs((units[0].astype(float) * units[1]).sum(1)).clip(0, 1)
    assert np.sqrt(1 - cosine**2).max() <= quat
    assert np.abs(a.sh[:, 0] - b.sh[:, 0]).max() <= colour
    assert np.abs(a.sh[:, 1:] - b.sh[:, 1:]).max(initial=0) <= sh


# What each format gives back, against writers that follow its source one Gaussian at a time


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
@pytest.mark.parametrize("version", [2, 3, 4])
def test_spz(version: int, degree: int, tmp_path: Path):
    drawn = storable(300, degree, seed=version)
    (tmp_path / "a.spz").write_bytes(spz_bytes(drawn, version))
    read = read_quietly(tmp_path / "a.spz")
    # Version 2 leaves w to be found from x, y, z, which is a root of a difference where w is small.
    quat = 0.1 if version == 2 else 2e-3
    agree(read, drawn, mean=2**-13 + 1e-6, scale=1 / 32 + 1e-5, alpha=0.003, quat=quat, colour=0.014, sh=1 / 250)


def test_spz_with_another_step_of_positions(tmp_path: Path):
    drawn = storable(20)
    (tmp_path / "a.spz").write_bytes(spz_bytes(drawn, 3, fraction_bits=18))
    assert np.abs(read_quietly(tmp_path / "a.spz").means - drawn.means).max() <= 2**-19 + 1e-6


def test_the_signs_of_spz_are_those_of_half_a_turn():
    from protocol.formats.spz import FLIP_SH

    sh = storable(5, 3).sh
    turned = rotate_sh(sh, np.diag([1.0, -1.0, -1.0]))
    np.testing.assert_allclose(turned[:, 1:], sh[:, 1:] * FLIP_SH[:, None], atol=1e-5)


@pytest.mark.parametrize("colour_bounds", [True, False])
@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_compressed_ply(degree: int, colour_bounds: bool, tmp_path: Path):
    drawn = storable(600, degree)
    (tmp_path / "a.ply").write_bytes(compressed_ply_bytes(drawn, colour_bounds))
    read = read_quietly(tmp_path / "a.ply")
    agree(read, drawn, mean=4e-3, scale=5e-3, alpha=0.003, quat=2e-3, colour=8e-3, sh=1 / 60)


def test_splat(tmp_path: Path):
    drawn = storable(300)
    (tmp_path / "a.splat").write_bytes(splat_bytes(drawn))
    agree(read_quietly(tmp_path / "a.splat"), drawn, mean=0, scale=1e-5, alpha=0.003, quat=1.5e-2, colour=0.008)


@pytest.mark.parametrize(("kind", "ending", "degree"), [("splat", "splat", 0), ("ply_compressed", "ply", 2)])
def test_what_gsplat_writes(kind, ending: str, degree: int, tmp_path: Path):
    drawn = storable(500, degree)
    columns = {name: torch.from_numpy(getattr(drawn, name)) for name in ("means", "scales", "quats", "opacities")}
    sh = torch.from_numpy(drawn.sh)
    path = tmp_path / f"a.{ending}"
    export_splats(**columns, sh0=sh[:, :1], shN=sh[:, 1:], format=kind, save_to=str(path))
    read = read_quietly(path)
    # gsplat sorts the Gaussians along a curve.
    read = read.pick(np.asarray(KDTree(read.means).query(drawn.means)[1]))
    agree(read, drawn, mean=8e-3, scale=8e-3, alpha=0.005, quat=2.5e-2, colour=0.02, sh=1 / 30)


def test_an_uncompressed_ply_is_read_as_ever_under_any_name(tmp_path: Path):
    drawn = storable(20, 3)
    write_ply(drawn, tmp_path / "a.bin")
    agree(read_quietly(tmp_path / "a.bin"), drawn, mean=0, scale=0, alpha=0, quat=1e-3, colour=0)


# Files of other programs


def test_three_gaussians_in_three_formats(data: Path):
    ply = read_splats(data / f"{THREE}.ply")
    spz = read_splats(data / f"{THREE}.spz")
    agree(spz, ply, mean=2**-13 + 1e-6, scale=1 / 32, alpha=0.002, quat=2e-3, colour=0.014, sh=0.07)
    splat = read_splats(data / f"{THREE}.splat")
    constant = Splats(ply.means, ply.quats, ply.scales, ply.opacities, ply.sh[:, :1])
    agree(splat, constant, mean=0, scale=1e-5, alpha=0.004, quat=1.5e-2, colour=0.014)


def test_a_scene_in_spz_4_and_in_compressed_ply(data: Path):
    ply = read_splats(data / "playcanvas-splats/biker.compressed.ply")
    spz = read_splats(data / "playcanvas-splats/biker.spz")
    assert len(ply) == len(spz) == 152_746
    # SPZ has no sizes below exp(-10); the other has.
    clipped = Splats(ply.means, ply.quats, ply.scales.clip(-10), ply.opacities, ply.sh)
    agree(spz, clipped, mean=2**-13 + 1e-5, scale=0.032, alpha=1e-6, quat=2e-3, colour=0.014)


@pytest.mark.parametrize(
    ("name", "count", "terms"),
    [
        ("playcanvas-splats/guitar.compressed.ply", 90_854, 1),
        (f"{FIXTURES}/playcanvas-test/test.ply", 64, 16),
    ],
)
def test_other_scenes(name: str, count: int, terms: int, data: Path):
    splats = read_quietly(data / name)
    assert splats.sh.shape == (count, terms, 3)
    np.testing.assert_allclose(np.linalg.norm(splats.quats, axis=1), 1, atol=1e-5)


def test_trailing_bytes_are_warned_of(data: Path):
    with pytest.warns(UserWarning, match="14029 extra bytes after its last Gaussian"):
        assert len(read_splats(data / f"{FIXTURES}/pc_short.ply")) == 100


# Files that are wrong

GOOD: dict[str, Callable[[], bytes]] = {
    "2.spz": lambda: spz_bytes(storable(40, 1), 2),
    "3.spz": lambda: spz_bytes(storable(40, 2), 3),
    "4.spz": lambda: spz_bytes(storable(40, 3), 4),
    "a.splat": lambda: splat_bytes(storable(40)),
    "a.ply": lambda: compressed_ply_bytes(storable(300, 1)),
    "a.sog": sog_with,
    "a.glb": glb_with,
    "spz.glb": lambda: glb_with(name="glb-spz"),
}


@pytest.mark.parametrize("name", GOOD)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_bytes_are_read_or_refused_in_a_sentence(name: str, data: st.DataObject, tmp_path: Path):
    content = bytearray(GOOD[name]())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, min(len(content), data.draw(st.sampled_from([40, 1200, 1 << 20]))) - 1))
        kind = data.draw(st.sampled_from(["set", "cut", "insert", "remove"]))
        if kind == "set":
            content[at] = data.draw(st.integers(0, 255))
        elif kind == "insert":
            content[at:at] = data.draw(st.binary(min_size=1, max_size=40))
        elif kind == "remove":
            del content[at : at + data.draw(st.integers(1, 40))]
        else:
            del content[max(at, 1) :]
        if not content:
            return
    path = tmp_path / name
    path.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        splats, sentence = _read_or_sentence(path)
    if splats is None:
        assert str(path) in sentence
    else:
        assert all(np.isfinite(c).all() for c in (splats.means, splats.scales, splats.opacities, splats.sh))


def _read_or_sentence(path: Path) -> tuple[Splats | None, str]:
    try:
        return read_splats(path), ""
    except BadSplats as error:
        return None, str(error)


@pytest.mark.parametrize("name", [name for name in GOOD if name != "a.sog"])
def test_every_cut_is_noticed(name: str, tmp_path: Path):
    content = GOOD[name]()
    for length in {*range(0, 40), *range(0, len(content) - 1, 97), len(content) - 1}:
        if name == "a.splat" and length and length % 32 == 0:
            continue  # a format without a header is whole there
        (tmp_path / name).write_bytes(content[:length])
        with pytest.raises(BadSplats):
            read_splats(tmp_path / name)


def peak_mib(path: Path) -> float:
    """Return the most memory that reading a file which must be refused takes, in MiB."""
    tracemalloc.start()
    try:
        with pytest.raises(BadSplats):
            read_splats(path)
        return tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("count", [20_000_001, 2**32 - 1, 15_000_000])
def test_counts_that_lie_cost_no_memory(count: int, tmp_path: Path):
    for version in (3, 4):
        start = struct.pack("<4sIIBBB", b"NGSP", version, count, 0, 12, 0)
        whole = spz_bytes(storable(50), version)
        lying = gzip.compress(start + gzip.decompress(whole)[15:]) if version == 3 else start + whole[15:]
        (tmp_path / "a.spz").write_bytes(lying)
        assert peak_mib(tmp_path / "a.spz") < 40
    text = compressed_ply_bytes(storable(50)).replace(b"element vertex 50", b"element vertex %d" % count)
    (tmp_path / "a.ply").write_bytes(text)
    assert peak_mib(tmp_path / "a.ply") < 5


def test_streams_that_unpack_to_more_than_was_promised_are_not_unpacked(tmp_path: Path):
    whole = spz_bytes(storable(50), 3)
    (tmp_path / "a.spz").write_bytes(gzip.compress(gzip.decompress(whole) + bytes(1 << 27), 1))
    tracemalloc.start()
    with pytest.warns(UserWarning, match="after its last Gaussian"):
        assert len(read_splats(tmp_path / "a.spz")) == 50
    assert tracemalloc.get_traced_memory()[1] < 5 << 20
    tracemalloc.stop()
    bomb = zstandard.compress(bytes(1 << 28))
    start = struct.pack("<4sIIBBBBI12x", b"NGSP", 4, 50, 0, 12, 0, 5, 32)
    sizes = [450, 50, 150, 150, 200]
    table = b"".join(struct.pack("<QQ", len(bomb), size) for size in sizes)
    (tmp_path / "b.spz").write_bytes(start + table + bomb * 5)
    tracemalloc.start()
    assert len(read_splats(tmp_path / "b.spz")) == 50
    assert tracemalloc.get_traced_memory()[1] < 5 << 20
    tracemalloc.stop()


@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize(("number", "signs"), [(0, (1, -1, -1)), (4, (1, -1, -1)), (6, (1, 1, 1)), (7, (-1, -1, 1))])
def test_spz_that_declares_its_axes(version: int, number: int, signs: tuple[int, int, int], tmp_path: Path):
    drawn = storable(40, 3)
    # The writer turns what it is given by half a turn, as axes of RUB ask for.
    stored = to_ply_axes(drawn, "RUB")
    axes = record(0xADBE0002, bytes(12)) + record(0xADBE0003, struct.pack("<I", number))
    (tmp_path / "a.spz").write_bytes(spz_bytes(drawn, version, extensions=axes))
    read = read_quietly(tmp_path / "a.spz")
    np.testing.assert_allclose(read.means, stored.means * signs, atol=2**-12)
    expected = stored if number == 6 else drawn if number in (0, 4) else to_ply_axes(stored, "LUF")
    agree(read, expected, mean=2**-13 + 1e-6, scale=1 / 32 + 1e-5, alpha=0.003, quat=2e-3, colour=0.014, sh=1 / 250)


@pytest.mark.parametrize("version", [2, 4])
def test_other_extensions_of_spz_are_named_and_passed_over(version: int, tmp_path: Path):
    drawn = storable(5)
    (tmp_path / "a.spz").write_bytes(spz_bytes(drawn, version, extensions=record(0xDEAD0001, b"hello")))
    with pytest.warns(UserWarning, match="has the unsupported extension 0xDEAD0001"):
        assert len(read_splats(tmp_path / "a.spz")) == 5


@pytest.mark.parametrize("version", [3, 4])
def test_spz_of_degree_4_is_read_without_its_fourth_band(version: int, tmp_path: Path):
    drawn = storable(4, 3)
    *others, rest = spz_sections(drawn, version)
    longer = b"".join(rest[i * 45 : i * 45 + 45] + bytes(27) for i in range(4))
    (tmp_path / "a.spz").write_bytes(spz_of([*others, longer], version, 4))
    with pytest.warns(UserWarning, match="degree 4; the fourth band was ignored"):
        read = read_splats(tmp_path / "a.spz")
    np.testing.assert_allclose(read.sh[:, 1:], drawn.sh[:, 1:], atol=1 / 250)


def test_sizes_of_nothing_are_kept_and_quaternions_of_zeros_are_not(tmp_path: Path):
    content = bytearray(splat_bytes(storable(5)))
    content[12:16] = struct.pack("<f", 0)
    content[2 * 32 + 28 : 3 * 32] = bytes([128] * 4)
    (tmp_path / "a.splat").write_bytes(content)
    read, said = read_splats_and_warnings(tmp_path / "a.splat")
    assert (len(read), read.scales[0, 0]) == (4, -20)
    assert [sentence.split(" has ")[1].split(";")[0] for sentence in said] == [
        "1 Gaussians with size 0 or with opacity 0 or 1",
        "1 Gaussians with a zero quaternion",
    ]


def test_one_flat_gaussian_costs_its_chunk_nothing(tmp_path: Path):
    drawn = storable(300)
    content = compressed_ply_bytes(drawn)
    bounds = content.index(b"end_header\n") + len(b"end_header\n")
    flat = bytearray(content)
    flat[bounds + 24 : bounds + 28] = struct.pack("<f", -np.inf)  # min_scale_x of the first chunk
    (tmp_path / "a.ply").write_bytes(flat)
    with pytest.warns(UserWarning, match=r"has 255 Gaussians with size 0"):
        read = read_splats(tmp_path / "a.ply")
    assert len(read) == 300
    largest = drawn.scales[:256, 0].argmax()
    expected = np.full(256, -20, np.float32)
    expected[largest] = drawn.scales[largest, 0]
    np.testing.assert_allclose(read.scales[:256, 0], expected, atol=1e-5)
    np.testing.assert_allclose(read.scales[:, 1:], drawn.scales[:, 1:], atol=5e-3)


def test_warnings_come_as_sentences(tmp_path: Path):
    (tmp_path / "a.splat").write_bytes(splat_bytes(storable(5)))
    assert read_splats_and_warnings(tmp_path / "a.splat")[1] == []
    content = bytearray(splat_bytes(storable(5)))
    content[32:36] = struct.pack("<f", np.nan)
    (tmp_path / "a.splat").write_bytes(content)
    splats, said = read_splats_and_warnings(tmp_path / "a.splat")
    assert len(splats) == 4
    assert said == [f"{tmp_path / 'a.splat'} has 1 Gaussians with values that are not finite; they were dropped."]


def test_what_is_not_finite_is_dropped(tmp_path: Path):
    content = bytearray(splat_bytes(storable(5)))
    content[32:36] = struct.pack("<f", np.nan)
    content[64 + 12 : 64 + 16] = struct.pack("<f", -1)
    (tmp_path / "a.splat").write_bytes(content)
    with pytest.warns(UserWarning, match="2 Gaussians with values that are not finite"):
        assert len(read_splats(tmp_path / "a.splat")) == 3
    (tmp_path / "b.splat").write_bytes(content[32:64])
    with pytest.raises(BadSplats, match="None of the 1 Gaussians"):
        read_splats(tmp_path / "b.splat")


def spz_header(version: int, count: int = 0, degree: int = 0, bits: int = 12) -> bytes:
    start = struct.pack("<4sIIBBB", b"NGSP", version, count, degree, bits, 0)
    return gzip.compress(start + b"\0", mtime=0) if version < 4 else start + bytes(17)


def zip_of(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return stream.getvalue()


def picture(height: int, width: int) -> bytes:
    """A transparent picture."""
    return webp.encode(np.zeros((height, width, 4), np.uint8))


BAD_FILES: dict[str, tuple[str, bytes, str]] = {
    "an SPZ file of something else": ("a.spz", b"hello", "is not a supported splat file"),
    "a format that is not read": ("a.ksplat", bytes(4096), "is not a supported splat file"),
    "an empty .splat": ("a.splat", b"", "not a complete .splat"),
    "a .splat with half a Gaussian": (
        "a.splat",
        splat_bytes(storable(3))[:80],
        "its size, 80 bytes, is not a multiple of 32",
    ),
    "a .splat of nothing finite": ("a.splat", b"\xff" * 64, "None of the 2 Gaussians"),
    "gzip of something else": ("a.spz", gzip.compress(b"hello" * 10, mtime=0), "but is not an SPZ file"),
    "SPZ of version 1": ("a.spz", spz_header(1), "of version 1"),
    "SPZ of version 9": ("a.spz", spz_header(9), "of version 9"),
    "SPZ of degree 7": ("a.spz", spz_header(3, degree=7), "header is invalid"),
    "SPZ of no fraction": ("a.spz", spz_header(3, bits=0), "header is invalid"),
    "SPZ of too many Gaussians": ("a.spz", spz_header(3, 2**32 - 1), "declares 4294967295 Gaussians"),
    "SPZ with a count that lies": ("a.spz", spz_header(3, 100_000), "is truncated"),
    "SPZ with a count that lies much": ("a.spz", spz_header(3, 10_000_000), "declares 200,000,000 bytes of data in"),
    "SPZ 3 cut short": ("a.spz", spz_bytes(storable(9), 3)[:-20], "damaged SPZ file|truncated"),
    "SPZ with unknown axes": (
        "a.spz",
        spz_bytes(storable(3), 4, extensions=record(0xADBE0003, struct.pack("<I", 17))),
        "declares the axes number 17",
    ),
    "SPZ with an extension cut short": (
        "a.spz",
        spz_bytes(storable(3), 3, extensions=record(0xADBE0003, bytes(4))[:-1]),
        "its extensions are truncated or too long",
    ),
    "SPZ 4 with an extension cut short": (
        "a.spz",
        spz_bytes(storable(3), 4, extensions=struct.pack("<II", 1, 2**32 - 1)),
        "its extensions are truncated or too long",
    ),
    "SPZ 4 cut short": ("a.spz", spz_bytes(storable(9), 4)[:-20], "is truncated"),
    "SPZ 4 with a table of nothing": ("a.spz", spz_header(4, 5), "its table does not match its 5 Gaussians"),
    "SPZ 4 with a damaged stream": (
        "a.spz",
        spz_bytes(storable(9), 4)[:112] + b"damaged!" + spz_bytes(storable(9), 4)[120:],
        "damaged SPZ file",
    ),
    "compressed PLY cut short": ("a.ply", compressed_ply_bytes(storable(9))[:-20], "is truncated"),
    "compressed PLY with a count that lies": (
        "a.ply",
        compressed_ply_bytes(storable(9)).replace(b"vertex 9", b"vertex 900"),
        "is inconsistent",
    ),
    "a zip file of something else": ("a.sog", zip_of({"a.txt": b"hello"}), "meta.json is missing"),
    "a damaged zip file": ("a.sog", sog_with()[:-30], "a damaged SOG archive"),
    "SOG of version 1": ("a.sog", sog_with(lambda meta: meta.pop("version")), "not a SOG archive of version 2"),
    "SOG of no Gaussians": ("a.sog", sog_with(lambda meta: meta.update(count=0)), "not a SOG archive of version 2"),
    "SOG of too many Gaussians": ("a.sog", sog_with(lambda meta: meta.update(count=2**32)), "not a SOG archive"),
    "SOG with a count that lies": (
        "a.sog",
        sog_with(lambda meta: meta.update(count=90_000)),
        "means_l.webp is not an image of 90000 values",
    ),
    "SOG with a count that lies much": (
        "a.sog",
        sog_with(lambda meta: meta.update(count=9_000_000)),
        "declares 180,000,000 bytes of data in",
    ),
    "SOG without a picture": ("a.sog", sog_with(quats=None), "quats.webp is missing"),
    "SOG with an image that cannot be read": (
        "a.sog",
        sog_with(scales=b"hello"),
        "scales.webp is not an image of 40 values",
    ),
    "SOG with a picture that is too large": (
        "a.sog",
        sog_with(scales=picture(4096, 4096)),
        "scales.webp is not an image",
    ),
    "SOG with pictures as rotations": ("a.sog", sog_with(quats=picture(8, 8)), "contains invalid rotations"),
    "SOG with a short codebook": (
        "a.sog",
        sog_with(lambda meta: meta["scales"].update(codebook=[0.5])),
        "a codebook has fewer entries",
    ),
    "SOG with a short palette": ("a.sog", sog_with(lambda meta: meta["shN"].update(count=3)), "its palette is shorter"),
    "SOG with a palette of another degree": (
        "a.sog",
        sog_with(lambda meta: meta["shN"].update(bands=3)),
        "shN_centroids.webp is not an image",
    ),
    "a GLB file of a mesh": (
        "a.glb",
        glb_with(lambda d: d["meshes"][0]["primitives"][0].pop("extensions")),
        "contains no Gaussians",
    ),
    "GLB of version 1": ("a.glb", b"glTF\1\0\0\0" + bytes(40), "not a GLB file of version 2"),
    "GLB cut short": ("a.glb", glb_with()[:-20], "is truncated"),
    "GLB with broken JSON": ("a.glb", glb_with().replace(b'"asset"', b'"asset'), "not a readable GLB file"),
    "GLB with an accessor that lies": (
        "a.glb",
        glb_with(lambda d: d["accessors"][0].update(count=100_000)),
        "an accessor is longer than its bytes",
    ),
    "GLB with an accessor that lies much": (
        "a.glb",
        glb_with(lambda d: d["accessors"][0].update(count=10_000_000)),
        "declares 120,003,840 bytes of data in",
    ),
    "GLB with an accessor beyond 20 million": (
        "a.glb",
        glb_with(lambda d: d["accessors"][0].update(count=2**40)),
        "declares more than 20000000 Gaussians",
    ),
    "GLB of SPZ with another number of points": (
        "a.glb",
        glb_with(lambda d: [each.update(count=41) for each in d["accessors"]], name="glb-spz"),
        "its compressed Gaussians do not match its points",
    ),
    "GLB with a column that is shorter": (
        "a.glb",
        glb_with(lambda d: d["accessors"][3].update(count=39)),
        "SCALE does not match its points",
    ),
    "GLB without opacities": (
        "a.glb",
        glb_with(lambda d: d["meshes"][0]["primitives"][0]["attributes"].pop("KHR_gaussian_splatting:OPACITY")),
        "KHR_gaussian_splatting:OPACITY is missing",
    ),
    "GLB of another kernel": (
        "a.glb",
        glb_with(
            lambda d: d["meshes"][0]["primitives"][0]["extensions"]["KHR_gaussian_splatting"].update(kernel="cone")
        ),
        "with the kernel 'cone'",
    ),
    "GLB with bytes elsewhere": (
        "a.glb",
        glb_with(lambda d: d["bufferViews"][2].update(buffer=1)),
        "refers to data in another file",
    ),
    "GLB with an accessor that is not there": (
        "a.glb",
        glb_with(lambda d: d["meshes"][0]["primitives"][0]["attributes"].update(POSITION=99)),
        "refers to missing data",
    ),
    "GLB with a node in itself": (
        "a.glb",
        glb_with(lambda d: d["nodes"][0].update(children=[0])),
        "a node is listed twice in its scene",
    ),
    "GLB with an uneven scale": (
        "a.glb",
        glb_with(lambda d: d["nodes"][0].update(scale=[1, 2, 1])),
        "The transform of a node in .* cannot be applied to Gaussians: .* non-uniform",
    ),
    "compressed PLY with a column less": (
        "a.ply",
        compressed_ply_bytes(storable(9)).replace(b"property float max_scale_z\n", b""),
        "of an unsupported type",
    ),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_files_end_in_a_sentence(case: str, tmp_path: Path):
    name, content, sentence = BAD_FILES[case]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadSplats, match=sentence):
        read_splats(tmp_path / name)


def test_a_file_that_is_not_there(tmp_path: Path):
    with pytest.raises(BadSplats, match="does not exist"):
        read_splats(tmp_path / "absent.ply")


def test_archives_and_nodes_that_lie_cost_no_memory(tmp_path: Path):
    (tmp_path / "a.sog").write_bytes(sog_with(lambda meta: meta.update(count=19_999_999)))
    assert peak_mib(tmp_path / "a.sog") < 10
    bomb = zip_of({"meta.json": bytes(1 << 26)})
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("meta.json", bytes(1 << 28))
    assert len(stream.getvalue()) < len(bomb) / 100
    (tmp_path / "b.sog").write_bytes(stream.getvalue())
    assert peak_mib(tmp_path / "b.sog") < 10


@pytest.mark.parametrize(
    ("nodes", "count", "sentence"), [(10_000, 2001, "declares more than 20000000"), (20_000, 40, "has 20000 nodes")]
)
def test_many_nodes_that_show_one_mesh_cost_no_memory(nodes: int, count: int, sentence: str, tmp_path: Path):
    def many_times(document: dict) -> None:
        document["nodes"] *= nodes
        document["scenes"] = [{"nodes": list(range(nodes))}]

    (tmp_path / "a.glb").write_bytes(glb_with(many_times, count))
    with pytest.raises(BadSplats, match=sentence):
        read_splats(tmp_path / "a.glb")
    assert peak_mib(tmp_path / "a.glb") < 40


@pytest.mark.parametrize(
    ("node", "turned"),
    [
        ({"translation": [1, 2, 3]}, [[1, 0, 0, 1], [0, 1, 0, 2], [0, 0, 1, 3], [0, 0, 0, 1]]),
        ({"rotation": [0, 0, 2**-0.5, 2**-0.5]}, [[0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]),
        ({"scale": [2, 2, 2]}, np.diag([2, 2, 2, 1])),
        (
            {"matrix": [0, 1, 0, 0, -1, 0, 0, 0, 0, 0, 1, 0, 5, 0, 0, 1]},
            [[0, -1, 0, 5], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]],
        ),
    ],
)  # fmt: skip
def test_nodes_of_glb_place_gaussians(node: dict, turned, tmp_path: Path):
    drawn = storable(40, 1)
    (tmp_path / "a.glb").write_bytes(glb_with(lambda d: d["nodes"][0].update(node)))
    half = np.diag([1, -1, -1, 1])  # between the axes of glTF and of a PLY
    expected = transform(drawn, half @ np.array(turned, float) @ half)
    agree(read_quietly(tmp_path / "a.glb"), expected, mean=1e-4, scale=1e-5, alpha=1e-6, quat=1e-3, colour=0, sh=1e-5)


def test_gaussians_of_several_nodes_are_all_read(tmp_path: Path):
    def twice(document: dict) -> None:
        document["nodes"] = [{"children": [1, 2]}, {"mesh": 0}, {"mesh": 0, "translation": [9, 0, 0]}, {"mesh": 0}]

    (tmp_path / "a.glb").write_bytes(glb_with(twice))
    read = read_quietly(tmp_path / "a.glb")
    assert len(read) == 80
    np.testing.assert_allclose(read.means[40:], read.means[:40] + np.array([9, 0, 0]), atol=1e-5)


def test_sog_of_another_program(data: Path):
    """Pictures of a SOG of version 1: a picture of as many pixels as Gaussians, with tags of rotations."""
    folder = data / "playcanvas-splats/playcanvas-logo"
    quats = webp.decode((folder / "quats.webp").read_bytes(), 1 << 20)
    assert quats is not None
    tags = quats.reshape(-1, 4)[:307_128, 3]
    assert set(np.unique(tags).tolist()) <= {252, 253, 254, 255}
    assert webp.decode((folder / "quats.webp").read_bytes(), 1000) is None


def extracted(folder: Path, archive: bytes) -> Path:
    with zipfile.ZipFile(io.BytesIO(archive)) as whole:
        whole.extractall(folder)
    return folder


def test_an_extracted_sog_archive_is_read_from_its_folder(tmp_path: Path) -> None:
    (tmp_path / "a.sog").write_bytes(sog_with())
    wanted = read_quietly(tmp_path / "a.sog")
    folder = extracted(tmp_path / "a", sog_with())
    for path in (folder, folder / "meta.json"):
        read = read_quietly(path)
        for name in ("means", "quats", "scales", "opacities", "sh"):
            np.testing.assert_array_equal(getattr(read, name), getattr(wanted, name))


def test_an_extracted_sog_archive_that_is_not_complete(tmp_path: Path) -> None:
    folder = extracted(tmp_path / "a", sog_with(quats=None))
    with pytest.raises(BadSplats, match=r"a is not a complete SOG archive: quats\.webp is missing"):
        read_splats(folder)
    (folder / "meta.json").unlink()
    with pytest.raises(BadSplats, match=r"a is a folder without meta\.json, not a splat file"):
        read_splats(folder)


@pytest.mark.parametrize("name", ["../secret.webp", "/etc/hostname", ".."])
def test_an_extracted_sog_archive_does_not_lead_out_of_its_folder(tmp_path: Path, name: str) -> None:
    folder = extracted(tmp_path / "a", sog_with(lambda meta: meta["quats"].update(files=[name])))
    (folder / "quats.webp").rename(tmp_path / "secret.webp")
    with pytest.raises(BadSplats, match="is missing"):
        read_splats(folder)


def test_the_conformance_file_of_glb(data: Path):
    """Written for a draft in which sizes were logarithms, with every type of number that values may have."""
    read, said = read_splats_and_warnings(data / f"{FIXTURES}/khr_gaussian_splatting/khr_conformance_matrix.glb")
    assert [sentence.split(" has ")[1].split(";")[0] for sentence in said[:2]] == [
        "colours in the space lin_rec709_display and srgb_rec709_display",
        "sizes below 0",
    ]
    assert read.sh.shape == (15, 16, 3)
    np.testing.assert_allclose(read.scales[:3], [[0, 0.5, -0.5]] * 3)
    np.testing.assert_allclose(read.scales[4:6], [[1, -2, 3], [1, 0, -1]], atol=1e-6)
    np.testing.assert_allclose(np.abs(read.quats[:3]), [[0, 1, 0, 0]] * 3, atol=1e-6)
    np.testing.assert_allclose(read.alphas[8:11], [0.75, 64 / 255, 0.25], atol=1e-5)


def test_a_flood_of_nodes_is_refused_before_it_is_parsed(tmp_path: Path):
    text = b'{"nodes":[' + b"{}," * 1_000_000 + b"{}]}"
    (tmp_path / "a.glb").write_bytes(struct.pack("<4sIII4s", b"glTF", 2, 20 + len(text), len(text), b"JSON") + text)
    assert peak_mib(tmp_path / "a.glb") < 8
