"""What is written is read again, the same within the steps of the format; what cannot be held is said."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocol.errors import BadArgument, BadSplats, Unavailable
from protocol.formats import packages
from protocol.formats.clusters import codebook, palette
from protocol.formats.order import morton_order
from protocol.formats.read import read_splats
from protocol.formats.registry import BY_NAME, FORMATS, check_here, format_of, with_ending
from protocol.formats.write import labels_beside, write_splats
from protocol.splats import Splats
from protocol.transform import transform
from tests.protocol.formats.packing import storable
from tests.protocol.strategies import placements, random_splats

READ = [each for each in FORMATS if each.kind == "gaussians" and each.reads]
names = pytest.mark.parametrize("name", [each.name for each in READ])

Steps = dict[str, float | np.floating]

STEPS: dict[str, Callable[[Splats], Steps]] = {
    "ply": lambda _: {},
    "compressed-ply": lambda s: {
        "mean": np.ptp(s.means, 0).max() / 1023 / 2,
        "scale": np.ptp(s.scales, 0).max() / 1023 / 2,
        "alpha": 0.5 / 255,
        "turn": 4e-3,
        "colour": 0.5 / 255 * max(1, np.ptp(s.sh[:, 0]) * 0.2821) / 0.2821,
        "sh": 1 / 64,
    },
    "spz": lambda s: {
        "mean": max(2**-21, np.abs(s.means).max() * 2**-22),
        "scale": 1 / 32,
        "alpha": 0.5 / 255,
        "turn": 4e-3,
        "colour": 0.5 / 255 / 0.15,
        "sh": 1 / 256,
    },
    "sog": lambda s: {
        # A step of the logarithm of a position grows with the position.
        "mean": (1 + np.abs(s.means).max()) * 2 * np.log1p(np.abs(s.means).max()) / 65535,
        "scale": np.ptp(s.scales) / 127,
        "alpha": 0.5 / 255,
        "turn": 1.4e-2,
        "colour": np.ptp(s.sh[:, 0]) / 127,
        "sh": np.ptp(s.sh[:, 1:]) / 127 if s.sh_degree else 0,
    },
    "splat": lambda _: {"scale": 1e-5, "alpha": 0.5 / 255, "turn": 1.6e-2, "colour": 0.5 / 255 / 0.2821},
    "gaussians-glb": lambda _: {"scale": 1e-5, "alpha": 2e-7, "turn": 1e-6},
}
STEPS["gaussians-glb-spz"] = lambda s: STEPS["spz"](s) | {"turn": 2 * np.sqrt(2 / 127)}
"""Half the steps of each value of each format, at most; what is not listed keeps its bits."""


def written(splats: Splats, path: Path, name: str, **options: bool) -> tuple[Splats, list[str]]:
    """Write and read, and return what was read, and what was said when it was written."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        write_splats(splats, path, BY_NAME[name], **options)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return read_splats(path), [str(each.message) for each in caught]


def in_order(splats: Splats, name: str) -> Splats:
    return splats.pick(morton_order(splats.means)) if BY_NAME[name].sorted else splats


def shapes(splats: Splats) -> np.ndarray:
    """Covariances over their largest variance, (N, 3, 3); they are unchanged by half a turn about an axis."""
    w, x, y, z = (splats.quats / np.linalg.norm(splats.quats, axis=1, keepdims=True)).T.astype(float)
    turn = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    ).transpose(2, 0, 1)
    half = turn * splats.sizes[:, None] / splats.sizes.max(1)[:, None, None]
    return half @ half.transpose(0, 2, 1)


def check(got: Splats, expected: Splats, steps: Steps) -> None:
    assert got.sh.shape == expected.sh.shape

    def near(a: np.ndarray, b: np.ndarray, step: str) -> None:
        assert np.abs(a.astype(float) - b).max(initial=0) <= steps.get(step, 0) * 1.01 + 1e-6 * bool(steps.get(step, 0))

    near(got.means, expected.means, "mean")
    near(got.scales, expected.scales, "scale")
    near(got.alphas, expected.alphas, "alpha")
    near(got.sh[:, 0], expected.sh[:, 0], "colour")
    near(got.sh[:, 1:], expected.sh[:, 1:], "sh")
    same_sizes = Splats(got.means, got.quats, expected.scales, got.opacities, got.sh)
    assert np.abs(shapes(same_sizes) - shapes(expected)).max() <= 4 * steps.get("turn", 0) + 1e-6


@names
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    count=st.integers(1, 700),
    degree=st.integers(0, 3),
    seed=st.integers(0, 2**32 - 1),
    scale=st.sampled_from([1e-3, 1.0, 300.0]),
)
def test_there_and_back(name: str, count: int, degree: int, seed: int, scale: float, tmp_path: Path):
    drawn = storable(count, degree, seed)
    drawn = Splats(drawn.means * np.float32(scale), drawn.quats, drawn.scales, drawn.opacities, drawn.sh)
    path = tmp_path / f"a{BY_NAME[name].endings[0]}"
    got, said = written(drawn, path, name)
    held = drawn if BY_NAME[name].degree else Splats(*_columns(drawn), drawn.sh[:, :1])
    check(got, in_order(held, name), STEPS[name](drawn))
    assert not [sentence for sentence in said if "clipped" in sentence]
    assert any("were dropped" in sentence for sentence in said) == (degree > BY_NAME[name].degree)
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def _columns(splats: Splats) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    return splats.means, splats.quats, splats.scales, splats.opacities


@pytest.mark.parametrize("name", ["compressed-ply", "spz", "sog", "gaussians-glb"])
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(placement=placements(), seed=st.integers(0, 2**16))
def test_what_was_moved_stays_moved(name: str, placement: np.ndarray, seed: int, tmp_path: Path):
    """A matrix that is baked in, with the turn of spherical harmonics, survives the axes of the format."""
    drawn = storable(60, 3, seed)
    moved = transform(Splats(*_columns(drawn), drawn.sh * np.float32(0.2)), placement)
    got, _ = written(moved, tmp_path / f"a{BY_NAME[name].endings[0]}", name)
    if name != "spz" or (moved.scales.min() > -10 and moved.scales.max() < 5.9):
        check(got, in_order(moved, name), STEPS[name](moved))


@names
def test_one_gaussian_and_many_of_one_kind(name: str, tmp_path: Path):
    path = tmp_path / f"a{BY_NAME[name].endings[0]}"
    for count in (1, 2, 300):
        one = storable(1, 1).pick(np.zeros(count, int))
        got, _ = written(one, path, name)
        assert len(got) == count
        assert np.abs(got.means - one.means).max() < 1e-5
        assert np.abs(got.scales - one.scales).max() < 0.04


@names
def test_labels_go_along_or_beside(name: str, tmp_path: Path):
    labels = np.arange(500, dtype=np.int32) * 7 % 65_536
    drawn = storable(500).with_columns(label=labels, confidence=np.linspace(0, 1, 500, dtype=np.float32))
    path = tmp_path / f"a{BY_NAME[name].endings[0]}"
    got, said = written(drawn, path, name, labels=True)
    if BY_NAME[name].labels:
        assert np.array_equal(got.extra["label"], labels)
        assert np.array_equal(got.extra["confidence"], drawn.extra["confidence"])
    else:
        beside = np.load(labels_beside(path), allow_pickle=False)
        assert np.array_equal(beside, in_order(drawn, name).extra["label"])
        assert any("has no labels" in sentence for sentence in said)
        assert any("has no confidences" in sentence for sentence in said)
    assert not written(drawn, path, name)[0].extra


@pytest.mark.parametrize(
    ("name", "change", "sentence"),
    [
        ("spz", {"scales": -12}, "7 Gaussians have log-scales outside the range -10 to 5.9375"),
        ("spz", {"sh": 5}, "7 Gaussians have coefficients of the constant colour outside the range"),
        ("splat", {"sh": 5}, "7 Gaussians have colours outside the range 0 to 1"),
        ("compressed-ply", {"scales": -30}, "7 Gaussians have log-scales outside the range -20 to 20"),
        ("gaussians-glb", {"scales": -100}, "7 Gaussians have log-scales outside the range -87 to 88"),
    ],
)
def test_values_beyond_the_range_are_bounded_and_said(name: str, change: dict, sentence: str, tmp_path: Path):
    drawn = storable(20)
    for column, value in change.items():
        getattr(drawn, column)[:7] = value
    path = tmp_path / f"a{BY_NAME[name].endings[0]}"
    _, said = written(drawn, path, name)
    assert [each for each in said if sentence in each and str(path) in each]


@pytest.mark.parametrize("name", ["spz", "sog", "compressed-ply", "splat", "gaussians-glb"])
def test_what_cannot_be_used_is_dropped_and_said(name: str, tmp_path: Path):
    drawn = storable(20)
    drawn.means[3] = np.nan
    drawn.quats[4] = 0
    drawn.scales[5] = -np.inf
    path = tmp_path / f"a{BY_NAME[name].endings[0]}"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        write_splats(drawn, path, BY_NAME[name])
    assert len(read_splats(path)) == 18
    said = " ".join(str(each.message) for each in caught)
    assert "1 Gaussians with values that are not finite" in said
    assert "1 Gaussians with a zero quaternion" in said
    assert np.isnan(drawn.means[3]).all(), "what was given is left as it was"
    assert np.isneginf(drawn.scales[5]).all()
    drawn.means[:] = np.nan
    with pytest.raises(BadSplats, match="None of the 20 Gaussians"):
        write_splats(drawn, tmp_path / path.name.replace("a.", "b."), BY_NAME[name])


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1), spread=st.sampled_from([1e-30, 1.0, 100.0]), degree=st.integers(0, 3))
def test_wild_values_make_files_that_are_read(seed: int, spread: float, degree: int, tmp_path: Path):
    drawn = random_splats(30, degree, seed, spread=spread)
    for each in READ:
        path = tmp_path / f"a{each.endings[0]}"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            write_splats(drawn, path, each)
            got = read_splats(path)
        assert len(got) == 30
        assert all(np.isfinite(column).all() for column in (*_columns(got), got.sh))


@names
def test_nothing_is_refused(name: str, tmp_path: Path):
    with pytest.raises(BadSplats, match="no Gaussians to write"):
        write_splats(storable(3).pick(np.zeros(0, int)), tmp_path / "a", BY_NAME[name])
    assert not list(tmp_path.iterdir())


def test_gaussians_beyond_the_numbers_of_spz(tmp_path: Path):
    drawn = storable(3)
    drawn.means[0] = 5e6
    with pytest.raises(BadSplats, match="within 4194304 units of the origin"):
        write_splats(drawn, tmp_path / "a.spz", BY_NAME["spz"])
    assert not list(tmp_path.iterdir())


def test_an_earlier_file_stays_where_writing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "a.spz"
    path.write_bytes(b"earlier")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(BadSplats, match=r"a\.spz cannot be written: No space left on device"):
        write_splats(storable(3), path, BY_NAME["spz"])
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("a.spz", b"earlier")]


def test_a_package_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(packages, "MODULES", dict.fromkeys(packages.MODULES, "no_such_module"))
    for name, package in (("spz", "zstandard"), ("sog", "pillow"), ("gaussians-usd", "usd-core")):
        with pytest.raises(Unavailable, match=f"needs the package {package}, which is not installed"):
            write_splats(storable(3), tmp_path / "a", BY_NAME[name])
        assert BY_NAME[name].missing == (package,)
    check_here(BY_NAME["gaussians-glb"])
    with pytest.raises(Unavailable, match=r"^SPZ 4 needs the package zstandard"):
        packages.needed("zstandard", "no_such_module", "SPZ 4")


# Formats by name and by ending


@pytest.mark.parametrize(
    ("file", "name", "found"),
    [
        ("a.ply", None, "ply"),
        ("a.compressed.ply", None, "compressed-ply"),
        ("A.SPZ", None, "spz"),
        ("a.sog", None, "sog"),
        ("a.splat", None, "splat"),
        ("a.glb", None, "mesh-glb"),
        ("a.glb", "gaussians-glb", "gaussians-glb"),
        ("a.ply", "compressed-ply", "compressed-ply"),
        ("a.ply", "mesh-ply", "mesh-ply"),
        ("a.mesh.ply", None, "mesh-ply"),
        ("a.usdc", None, "mesh-usd"),
        ("a.usd", "gaussians-usd", "gaussians-usd"),
        ("a.json", None, "masks-coco"),
        ("masks", "masks-png", "masks-png"),
        ("a.npy", None, "labels-npy"),
    ],
)
def test_formats_are_found(file: str, name: str | None, found: str):
    assert format_of(Path(file), name).name == found


def test_among_gaussians_alone_glb_means_gaussians():
    assert format_of(Path("a.glb"), kinds=("gaussians",)).name == "gaussians-glb"


@pytest.mark.parametrize(
    ("file", "name", "sentence"),
    [
        ("a.docx", None, "file type of a.docx is not supported"),
        ("a", None, "file type of a is not supported"),
        ("a.ply", "fbx", "format 'fbx' does not exist"),
        ("a.obj", "spz", "a.obj does not have the ending of SPZ 4"),
    ],
)
def test_other_formats_are_refused(file: str, name: str | None, sentence: str):
    with pytest.raises(BadArgument, match=sentence):
        format_of(Path(file), name)


@pytest.mark.parametrize(
    ("file", "name", "found"),
    [
        ("mug.ply", "spz", "mug.spz"),
        ("mug.compressed.ply", "compressed-ply", "mug.compressed.ply"),
        ("mug.compressed.ply", "ply", "mug.ply"),
        ("mug.2", "sog", "mug.2.sog"),
        ("mug.USDA", "gaussians-usd", "mug.USDA"),
        ("mug.mesh.ply", "spz", "mug.spz"),
    ],
)
def test_endings_are_replaced(file: str, name: str, found: str):
    assert with_ending(Path("/a") / file, BY_NAME[name]) == Path("/a") / found


# Few values for many


def test_few_values_are_their_own_codebook():
    values = np.array([[3, 1], [1, 2]], np.float32)
    codes, indices = codebook(values)
    assert codes.tolist() == [1, 2, 3]
    assert np.array_equal(codes[indices], values)


@pytest.mark.parametrize("draw", [lambda r: r.normal(size=20_000), lambda r: r.standard_cauchy(20_000)])
def test_a_codebook_is_better_than_even_steps(draw: Callable):
    values = draw(np.random.default_rng(0)).astype(np.float32)
    codes, indices = codebook(values)
    assert len(codes) == 256
    assert (np.diff(codes) >= 0).all()
    error = np.square(codes[indices] - values).mean()
    low, high = float(values.min()), float(values.max())
    even = low + (high - low) * np.rint((values - low) / (high - low) * 255) / 255
    assert error < 0.6 * np.square(even - values).mean()
    assert np.array_equal(indices, np.abs(codes[None] - values[:200, None]).argmin(1)) or (
        np.square(codes[indices[:200]] - values[:200]).sum()
        <= np.square(np.abs(codes[None] - values[:200, None]).min(1)).sum() + 1e-12
    )


def test_a_palette_of_rows():
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(16, 9)).astype(np.float32)
    rows = centres[rng.integers(0, 16, 4000)]
    entries, which = palette(rows, 64)
    assert np.abs(entries[which] - rows).max() < 1e-5
    noisy = rng.normal(size=(4000, 9)).astype(np.float32)
    errors = []
    for size in (1, 16, 256, 4096):
        entries, which = palette(noisy, size)
        assert len(entries) <= size
        errors.append(float(np.square(entries[which] - noisy).mean()))
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 0.9
    assert errors[2] < 0.6


def test_the_order_along_a_curve_keeps_neighbours_together():
    means = np.random.default_rng(0).uniform(-5, 5, (4096, 3)).astype(np.float32)
    order = morton_order(means)
    assert sorted(order) == list(range(4096))
    steps = np.linalg.norm(np.diff(means[order], axis=0), axis=1).mean()
    assert steps < 0.25 * np.linalg.norm(np.diff(means, axis=0), axis=1).mean()
    assert morton_order(np.array([[0, 0, 0], [1, 1, 1], [0, 0, 1], [0, 1, 0], [1, 0, 0]], np.float32)).tolist() == [
        0, 4, 3, 2, 1,
    ]  # fmt: skip
