from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from plyfile import PlyData, PlyElement

from protocol.errors import BadSplats
from protocol.ply import BLOCK, read_ply, read_ply_steps, write_ply
from protocol.splats import Splats
from tests.protocol.strategies import random_splats, splats

STOCK = ["x", "y", "z", "f_dc_0", "f_dc_1", "f_dc_2", "opacity"]
STOCK += ["scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"]

in_one_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def ply(properties: list[str], count: int | str, rows: bytes = b"", kind: str = "binary_little_endian") -> bytes:
    """A PLY file with these ``property`` lines ("float x") in its element vertex."""
    lines = ["ply", f"format {kind} 1.0", f"element vertex {count}", *(f"property {p}" for p in properties)]
    return "\n".join([*lines, "end_header\n"]).encode() + rows


def floats(names: list[str]) -> list[str]:
    return [f"float {name}" for name in names]


def without(name: str) -> list[str]:
    return floats([column for column in STOCK if column != name])


def compressed() -> bytes:
    return (
        b"ply\nformat binary_little_endian 1.0\nelement chunk 0\nproperty float min_x\nelement vertex 0\n"
        b"property uint packed_position\nproperty uint packed_rotation\nend_header\n"
    )


def same(a: Splats, b: Splats) -> None:
    """Check that two splats are the same bit for bit, column types included."""
    for name in ("means", "quats", "scales", "opacities", "sh"):
        left, right = getattr(a, name), getattr(b, name)
        assert left.dtype == right.dtype == np.float32
        assert left.shape == right.shape
        assert left.tobytes() == right.tobytes(), name
    assert list(a.extra) == list(b.extra)
    for name, column in a.extra.items():
        assert column.dtype == b.extra[name].dtype
        assert column.tobytes() == b.extra[name].tobytes(), name


def read_quietly(path: Path) -> Splats:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return read_ply(path)


# What is read and written


@in_one_folder
@given(drawn=splats())
def test_a_file_written_and_read_again_is_the_same_bit_for_bit(drawn: Splats, tmp_path: Path):
    write_ply(drawn, tmp_path / "a.ply")
    same(read_quietly(tmp_path / "a.ply"), drawn)
    assert [path.name for path in tmp_path.iterdir()] == ["a.ply"]


def test_more_rows_than_one_block_keep_their_order(tmp_path: Path):
    many = random_splats(2 * BLOCK + 17, 1, extra={"label": "int32"})
    write_ply(many, tmp_path / "a.ply")
    same(read_quietly(tmp_path / "a.ply"), many)


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_columns_stand_in_the_stock_order_with_extra_columns_last(degree: int, tmp_path: Path):
    write_ply(random_splats(3, degree, extra={"label": "int32"}), tmp_path / "a.ply")
    names = [p.name for p in PlyData.read(str(tmp_path / "a.ply"))["vertex"].properties]
    rest = [f"f_rest_{i}" for i in range(3 * ((degree + 1) ** 2 - 1))]
    assert names == [*STOCK[:3], "nx", "ny", "nz", *STOCK[3:6], *rest, *STOCK[6:], "label"]


def test_coefficients_lie_channel_by_channel(tmp_path: Path):
    drawn = random_splats(5, 2)
    write_ply(drawn, tmp_path / "a.ply")
    rows = PlyData.read(str(tmp_path / "a.ply"))["vertex"].data
    assert np.array_equal(rows["f_dc_2"], drawn.sh[:, 0, 2])
    assert np.array_equal(rows["f_rest_0"], drawn.sh[:, 1, 0])
    assert np.array_equal(rows["f_rest_8"], drawn.sh[:, 1, 1])
    assert np.array_equal(rows["f_rest_23"], drawn.sh[:, 8, 2])
    assert not any(rows[name].any() for name in ("nx", "ny", "nz"))


def test_plyfile_and_gsplat_agree_on_the_columns(tmp_path: Path):
    import torch
    from gsplat import export_splats

    drawn = random_splats(7, 3)
    columns = {name: torch.from_numpy(getattr(drawn, name)) for name in ("means", "scales", "quats", "opacities")}
    sh = torch.from_numpy(drawn.sh)
    export_splats(**columns, sh0=sh[:, :1], shN=sh[:, 1:], format="ply", save_to=str(tmp_path / "a.ply"))
    same(read_quietly(tmp_path / "a.ply"), drawn)


@pytest.mark.parametrize("kind", ["<", ">", "ascii"])
def test_every_encoding_of_ply_reads_the_same(kind: str, tmp_path: Path):
    drawn = random_splats(50, 1, extra={"label": "uint16", "weight": "float64"})
    write_ply(drawn, tmp_path / "a.ply")
    table = PlyData.read(str(tmp_path / "a.ply"))
    other = PlyData(table.elements, text=kind == "ascii", byte_order="=" if kind == "ascii" else kind)
    other.write(str(tmp_path / "b.ply"))
    same(read_quietly(tmp_path / "b.ply"), drawn)


def test_columns_of_other_types_and_in_another_order_are_converted(tmp_path: Path):
    drawn = random_splats(9)
    write_ply(drawn, tmp_path / "a.ply")
    rows = PlyData.read(str(tmp_path / "a.ply"))["vertex"].data
    mixed = np.zeros(9, [(name, "i2" if name == "f_dc_1" else "f8") for name in reversed(STOCK)])
    for name in STOCK:
        mixed[name] = rows[name] if name != "f_dc_1" else 7
    PlyData([PlyElement.describe(mixed, "vertex")]).write(str(tmp_path / "b.ply"))
    sh = drawn.sh.copy()
    sh[:, 0, 1] = 7
    same(read_quietly(tmp_path / "b.ply"), Splats(drawn.means, drawn.quats, drawn.scales, drawn.opacities, sh))


def test_other_elements_before_and_after_are_passed_over(tmp_path: Path):
    drawn = random_splats(4)
    write_ply(drawn, tmp_path / "a.ply")
    vertex = PlyData.read(str(tmp_path / "a.ply"))["vertex"]
    other = np.array([(1, 2.0), (3, 4.0)], [("a", "u1"), ("b", "f8")])
    for text in (False, True):
        elements = [PlyElement.describe(other, "before"), vertex, PlyElement.describe(other, "after")]
        PlyData(elements, text=text).write(str(tmp_path / "b.ply"))
        same(read_quietly(tmp_path / "b.ply"), drawn)


def test_comments_in_any_language_and_foreign_line_ends_are_read(tmp_path: Path):
    write_ply(random_splats(2), tmp_path / "a.ply")
    header, end, rows = (tmp_path / "a.ply").read_bytes().partition(b"end_header\n")
    header = header.replace(b"1.0\n", "1.0\ncomment größer: 大\n".encode(), 1)
    (tmp_path / "b.ply").write_bytes((header + end).replace(b"\n", b"\r\n") + rows)
    same(read_quietly(tmp_path / "b.ply"), random_splats(2))


def test_an_element_after_the_gaussians_may_promise_anything(tmp_path: Path):
    for kind, row in (("binary_little_endian", ROW), ("ascii", TEXT_ROW)):
        content = ply(floats(STOCK), 1, row, kind).replace(b"end_header", b"element x %d\nend_header" % 10**30)
        (tmp_path / "a.ply").write_bytes(content)
        assert len(read_quietly(tmp_path / "a.ply")) == 1


def test_reading_in_steps_says_how_far_it_is_and_lets_go_when_stopped(tmp_path: Path):
    many = random_splats(5 * BLOCK, extra={"label": "int32"})
    write_ply(many, tmp_path / "a.ply")
    steps, shares = read_ply_steps(tmp_path / "a.ply"), []
    while True:
        try:
            shares.append(next(steps))
        except StopIteration as end:
            same(end.value, many)
            break
    assert shares == sorted(shares)
    assert len(shares) >= 5
    assert 0 <= shares[0] < shares[-1] <= 1
    stopped = read_ply_steps(tmp_path / "a.ply")
    next(stopped)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        stopped.close()


# What is read with a warning


def test_trailing_bytes_are_counted_and_ignored(tmp_path: Path):
    write_ply(random_splats(3), tmp_path / "a.ply")
    with (tmp_path / "a.ply").open("ab") as file:
        file.write(b"\0" * 11)
    with pytest.warns(UserWarning, match=r"a\.ply has 11 extra bytes after its last Gaussian"):
        same(read_ply(tmp_path / "a.ply"), random_splats(3))


def test_trailing_text_is_counted_and_ignored(tmp_path: Path):
    (tmp_path / "a.ply").write_bytes(
        ply(floats(STOCK), 2, b"1 " * 13 + b"1\n" + b"1 " * 13 + b"1\n\xffrubbish", "ascii")
    )
    with pytest.warns(UserWarning, match="has 8 extra bytes after"):
        assert len(read_ply(tmp_path / "a.ply")) == 2


def test_gaussians_that_are_not_finite_are_counted_and_dropped(tmp_path: Path):
    broken = random_splats(BLOCK + 6, 1, extra={"label": "int32"})
    broken.means[1, 2] = np.nan
    broken.sh[3, 2, 1] = np.inf
    broken.quats[3, 0] = np.nan
    broken.opacities[BLOCK + 5] = np.nan
    write_ply(broken, tmp_path / "a.ply")
    with pytest.warns(UserWarning, match="has 3 Gaussians with values that are not finite"):
        kept = read_ply(tmp_path / "a.ply")
    same(kept, broken.pick(np.setdiff1d(np.arange(BLOCK + 6), [1, 3, BLOCK + 5])))


def test_a_double_beyond_float32_counts_as_not_finite(tmp_path: Path):
    rows = np.ones(2, [(name, "<f8") for name in STOCK])
    rows["x"][0] = 1e300
    (tmp_path / "a.ply").write_bytes(ply([f"double {name}" for name in STOCK], 2, rows.tobytes()))
    with pytest.warns(UserWarning, match="has 1 Gaussians with values that are not finite"):
        assert len(read_ply(tmp_path / "a.ply")) == 1


# Files of other programs


def test_the_splats_of_other_programs_are_read(data: Path):
    fixtures = data / "splat-fixtures"
    train = fixtures / "metalsplatter/SplatIO/TestData/test-splat.3-points-from-train.ply"
    read = read_quietly(train)
    assert (len(read), read.sh_degree) == (3, 3)
    rows = PlyData.read(str(train))["vertex"].data
    assert np.array_equal(read.sh[:, 15, 2], rows["f_rest_44"])
    with pytest.warns(UserWarning, match="has 14029 extra bytes after"):
        short = read_ply(fixtures / "pc_short.ply")
    assert (len(short), short.sh_degree) == (100, 3)
    for path in (fixtures / "playcanvas-test/test.ply", data / "playcanvas-splats/biker.compressed.ply"):
        with pytest.raises(BadSplats, match="compressed PLY of PlayCanvas"):
            read_ply(path)


# What is refused

ROW = np.ones(14, "<f4").tobytes()
TEXT_ROW = b"1 " * 13 + b"1\n"

# Name, bytes of the file, the sentence that the user reads.
BAD_PLY: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is not a PLY file: it does not begin with 'ply'"),
    "another format": (b"\x89PNG\r\n\x1a\n" + b"\0" * 50, "is not a PLY file: it does not begin with 'ply'"),
    "four bytes": (b"ply\n", "has a PLY header without end_header"),
    "header without end": (b"ply\nformat ascii 1.0\nelement vertex 3\n", "has a PLY header without end_header"),
    "endless header": (b"ply\n" + b"comment so long\n" * 20_000, "has a PLY header without end_header"),
    "header ends in a line": (b"ply\nformat ascii 1.0\ncomment end_header", "header that cannot be read: .*early end"),
    "no format": (b"ply\nelement vertex 3\nend_header\n", "header that cannot be read: line 2: expected one of"),
    "unknown format": (ply(floats(STOCK), 1, ROW, "binary_pdp"), "header that cannot be read: .*binary_pdp"),
    "unknown type": (ply([*floats(STOCK), "float128 w"], 1, ROW), "header that cannot be read: .*float128"),
    "one column twice": (ply(floats([*STOCK, "x"]), 1, ROW), "header that cannot be read: two properties"),
    "count in words": (ply(floats(STOCK), "three", ROW), "header that cannot be read: .*expected integer count"),
    "negative count": (ply(floats(STOCK), -1, ROW), "invalid number of rows for vertex: -1"),
    "absurd count": (
        ply(floats(STOCK), 10**18, ROW),
        f"truncated: its header declares {10**18} Gaussians and it contains 1",
    ),
    "absurd count as text": (
        ply(floats(STOCK), 10**18, TEXT_ROW, "ascii"),
        f"declares {10**18} Gaussians and it contains 1",
    ),
    "no row": (ply(floats(STOCK), 1), "truncated: its header declares 1 Gaussians and it contains 0"),
    "one byte short": (
        ply(floats(STOCK), 3, (3 * ROW)[:-1]),
        "truncated: its header declares 3 Gaussians and it contains 2",
    ),
    "text cut short": (
        ply(floats(STOCK), 3, TEXT_ROW, "ascii"),
        "truncated: its header declares 3 Gaussians and it contains 1",
    ),
    "text that is words": (
        ply(floats(STOCK), 1, b"a b c d e f g h i j k l m n\n", "ascii"),
        "malformed line between Gaussians 1 and 1; every line must have 14 numbers",
    ),
    "text with a short row": (
        ply(floats(STOCK), 2, b"1 1 1\n" + 9 * TEXT_ROW, "ascii"),
        "malformed line between Gaussians 1 and 2; every line must have 14 numbers",
    ),
    "text with an empty row": (
        ply(floats(STOCK), 2, b"\n" + 9 * TEXT_ROW, "ascii"),
        "malformed line between Gaussians 1 and 2; every line must have 14 numbers",
    ),
    "no vertices": (b"ply\nformat ascii 1.0\nelement face 0\nend_header\n", "no element named vertex"),
    "point cloud": (ply(floats(["x", "y", "z"]), 1, ROW[:12]), "columns are missing: f_dc_0, .*, opacity, .*, rot_3"),
    "2D Gaussians": (
        ply(without("scale_2"), 1, ROW[:52]),
        "does not contain 3D Gaussians: these columns are missing: scale_2",
    ),
    "no columns": (ply([], 5), "these columns are missing: x, y, z"),
    "SH degree 5": (ply(floats([*STOCK, *(f"f_rest_{i}" for i in range(105))]), 0), "has 105 f_rest columns"),
    "SH degree 4 with a gap": (
        ply(floats([*STOCK, *(f"f_rest_{i}" for i in range(73) if i != 70)]), 0),
        "columns are missing: f_rest_70",
    ),
    "nothing that can be used": (
        ply(floats(STOCK), 2, bytes(2 * 14 * 4)),
        "None of the 2 Gaussians of .* is usable: 0 are not finite, 2 have a zero quaternion",
    ),
    "odd SH columns": (
        ply(floats([*STOCK, "f_rest_0"]), 1, ROW + b"\0" * 4),
        "has 1 f_rest columns; expected 0, 9, 24, 45 or 72",
    ),
    "SH with a gap": (
        ply(floats([*STOCK, *(f"f_rest_{i}" for i in range(1, 10))]), 0),
        "columns are missing: f_rest_0",
    ),
    "text with empty rows alone": (
        ply(floats(STOCK), 2, b"\n\n" + b" " * 99, "ascii"),
        "Gaussians 1 and 2; every line must have 14 numbers",
    ),
    "list of a vertex": (
        ply([*floats(STOCK), "list uchar int ids"], 1, ROW + b"\0"),
        r"contains list properties \(vertex: ids\)",
    ),
    "mesh": (
        b"ply\nformat ascii 1.0\nelement vertex 0\nproperty float x\nelement face 1\n"
        b"property list uchar int vertex_indices\nend_header\n3 0 0 0\n",
        r"contains list properties \(face: vertex_indices\)",
    ),
    "compressed": (compressed(), "is a compressed PLY of PlayCanvas SuperSplat"),
}


@pytest.mark.parametrize("name", BAD_PLY)
def test_a_bad_file_is_refused_with_a_sentence(name: str, tmp_path: Path):
    content, sentence = BAD_PLY[name]
    path = tmp_path / "bad.ply"
    path.write_bytes(content)
    with pytest.raises(BadSplats) as caught:
        read_quietly(path)
    said = caught.value.sentence
    assert re.search(sentence, said), said
    assert str(path) in said
    assert said.endswith(".")
    assert "\n" not in said
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


BAD_PLACES: dict[str, tuple[Callable[[Path], Path], str]] = {
    "a file that is not there": (lambda folder: folder / "none.ply", "The file .*none.ply does not exist"),
    "a folder": (lambda folder: folder, "does not exist"),
    "a device": (lambda _: Path("/dev/zero"), "The file /dev/zero does not exist"),
    "a name no system takes": (lambda folder: folder / "a\0b.ply", "does not exist"),
}


@pytest.mark.parametrize("name", BAD_PLACES)
def test_a_place_without_a_file_is_refused(name: str, tmp_path: Path):
    place, sentence = BAD_PLACES[name]
    with pytest.raises(BadSplats, match=sentence):
        read_ply(place(tmp_path))


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.data())
def test_mangled_files_raise_nothing_but_bad_splats(content: st.DataObject, tmp_path: Path):
    kind = content.draw(st.sampled_from(["binary_little_endian", "binary_big_endian", "ascii"]))
    rows = 3 * (TEXT_ROW if kind == "ascii" else ROW)
    whole = bytearray(content.draw(st.sampled_from([ply(floats(STOCK), 3, rows, kind), compressed()])))
    for _ in range(content.draw(st.integers(0, 6))):
        at = content.draw(st.integers(0, len(whole)))
        piece = st.binary(max_size=6) | st.sampled_from(
            [b"\n", b" ", b"-", b"9" * 20, b"list ", b"\r", b"vertex", b"e"]
        )
        whole[at : at + content.draw(st.integers(0, 12))] = content.draw(piece)
    whole = whole[: content.draw(st.integers(0, len(whole)))] if content.draw(st.booleans()) else whole
    path = tmp_path / "mangled.ply"
    path.write_bytes(whole)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "(?s).*mangled.ply has ")
        warnings.filterwarnings("error", category=RuntimeWarning)
        try:
            read = read_ply(path)
        except BadSplats:
            return
    assert np.isfinite(read.means).all()


@in_one_folder
@given(garbage=st.binary(max_size=400))
def test_garbage_raises_nothing_but_bad_splats(garbage: bytes, tmp_path: Path):
    path = tmp_path / "garbage.ply"
    for content in (garbage, b"ply\n" + garbage, b"ply\nformat ascii 1.0\n" + garbage + b"\nend_header\n"):
        path.write_bytes(content)
        with pytest.raises(BadSplats):
            read_ply(path)


@in_one_folder
@given(cut=st.integers(0, 10**6))
def test_a_file_cut_anywhere_is_refused(cut: int, tmp_path: Path):
    write_ply(random_splats(20, 1), tmp_path / "a.ply")
    whole = (tmp_path / "a.ply").read_bytes()
    (tmp_path / "b.ply").write_bytes(whole[: cut % len(whole)])
    with pytest.raises(BadSplats, match=r"b\.ply"):
        read_ply(tmp_path / "b.ply")


# What is not written

BAD_COLUMNS: dict[str, tuple[str, np.ndarray, str]] = {
    "64-bit labels": ("label", np.zeros(2, np.int64), "column label of type int64 cannot be written to"),
    "half floats": ("half", np.zeros(2, np.float16), "column half of type float16 cannot be written to"),
    "truth values": ("seen", np.zeros(2, bool), "column seen of type bool cannot be written to"),
    "text": ("name", np.array(["a", "b"]), "column name of type <U1 cannot be written to"),
    "complex numbers": ("wave", np.zeros(2, np.complex64), "column wave of type complex64 cannot be written to"),
    "a stock name": ("opacity", np.zeros(2, np.float32), "extra column opacity cannot be written to"),
    "a normal": ("nx", np.zeros(2, np.float32), "extra column nx cannot be written to"),
    "a stock name of another degree": (
        "f_rest_9",
        np.zeros(2, np.float32),
        "extra column f_rest_9 cannot be written to",
    ),
    "a name with a space": ("my label", np.zeros(2, np.int32), "name 'my label' cannot be written to"),
    "a name with a line end": ("a\nelement", np.zeros(2, np.int32), "cannot be written to"),
    "a name in another script": ("größe", np.zeros(2, np.int32), "name 'größe' cannot be written to"),
    "no name": ("", np.zeros(2, np.int32), "name '' cannot be written to"),
}


@pytest.mark.parametrize("name", BAD_COLUMNS)
def test_a_column_that_ply_has_not_is_refused_before_anything_is_written(name: str, tmp_path: Path):
    column, values, sentence = BAD_COLUMNS[name]
    with pytest.raises(BadSplats, match=sentence):
        write_ply(random_splats(2).with_columns(**{column: values}), tmp_path / "a.ply")
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_refused_and_left_clean(tmp_path: Path):
    with pytest.raises(BadSplats, match=r"none/a\.ply cannot be written: No such file"):
        write_ply(random_splats(2), tmp_path / "none" / "a.ply")
    (tmp_path / "a.ply").mkdir()
    with pytest.raises(BadSplats, match=r"a\.ply cannot be written: Is a directory"):
        write_ply(random_splats(2), tmp_path / "a.ply")
    assert [path.name for path in tmp_path.iterdir()] == ["a.ply"]


def test_a_write_that_fails_half_way_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(self: PlyData, stream) -> None:
        stream.write(b"ply\n")
        raise OSError(28, "No space left on device")

    write_ply(random_splats(2), tmp_path / "a.ply")
    monkeypatch.setattr(PlyData, "write", full)
    with pytest.raises(BadSplats, match="cannot be written: No space left on device"):
        write_ply(random_splats(5), tmp_path / "a.ply")
    same(read_quietly(tmp_path / "a.ply"), random_splats(2))
    assert [path.name for path in tmp_path.iterdir()] == ["a.ply"]


def test_bytes_of_colour_stand_for_the_constant_where_a_file_has_no_other(tmp_path: Path):
    drawn = random_splats(9)
    write_ply(drawn, tmp_path / "a.ply")
    stock = PlyData.read(str(tmp_path / "a.ply"))["vertex"].data
    kept = [name for name in STOCK if not name.startswith("f_dc_")]
    rows = np.zeros(9, [*((name, "f4") for name in kept), ("red", "u1"), ("green", "u1"), ("blue", "u1")])
    for name in kept:
        rows[name] = stock[name]
    rows["red"], rows["green"], rows["blue"] = 255, 0, np.arange(9)
    PlyData([PlyElement.describe(rows, "vertex")]).write(str(tmp_path / "b.ply"))
    read = read_quietly(tmp_path / "b.ply")
    assert read.extra == {}
    assert np.array_equal(read.opacities, drawn.opacities)
    shown = 0.5 + 0.28209479 * read.sh[:, 0]
    np.testing.assert_allclose(shown, np.stack([np.ones(9), np.zeros(9), np.arange(9) / 255], 1), atol=1e-6)


def test_bytes_of_colour_beside_the_constant_are_a_column_like_any_other(tmp_path: Path):
    drawn = random_splats(4, extra={"red": "uint8", "green": "uint8", "blue": "uint8"})
    write_ply(drawn, tmp_path / "a.ply")
    same(read_quietly(tmp_path / "a.ply"), drawn)
