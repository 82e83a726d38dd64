"""What UniC-Lift's own decode is worth: labels read off the bits of the embedding, with no clustering.

    python -m bench.unic_lift scenes --objects 25 --results OUT/25.json      # made scenes, three decodes
    python -m bench.unic_lift scenes --objects 25 --noise clean
    python -m bench.unic_lift room ROOM --splats SPLATS.ply                  # the same on a reconstructed capture
    python -m bench.unic_lift codes                                          # what false codes are
    python -m bench.unic_lift changes                                        # what each change is worth
    python -m bench.unic_lift bits                                           # d = 8, 12, 16, 24
    python -m bench.unic_lift losses                                         # the paper's Table 4
    python -m bench.unic_lift hdbscan                                        # the paper's Table 5
    python -m bench.unic_lift masks                                          # the paper's Figure 9
    python -m bench.unic_lift sizes                                          # the paper's Figure 8
    python -m bench.unic_lift time                                           # 1 M Gaussians and a view of 1 MP

Scenes are those of bench/scenes.py, exact Gaussians, detector-like masks; rooms are captures with exact ids, the last
fifth of their views held out. "pixels" renders codes and takes the bits of each pixel, as the paper does; "Gaussians"
takes the bits of each Gaussian and draws labels. "lookup" sends rare codes to the nearest frequent one, which the paper
does not mention; "plain" does not. PQ^scene is the mean of the objects' PQ and the background's, as of Messy-Rooms.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.ndimage import distance_transform_edt
from scipy.spatial import KDTree

from backend.demo.noise import PROFILES
from backend.evaluate.panoptic import Score, panoptic_quality
from backend.lift.embedding.clustering import cluster_centroids
from backend.lift.unic_lift.decode import bits, by_bits, decode, frequent_codes, nearest_codes
from backend.lift.unic_lift.settings import CODES, UnicLiftSettings
from backend.lift.unic_lift.trained import Trained
from bench.ablations import LOSSES, SCALES, SHARES, fewer_masks, smaller_masks
from bench.experiments.code_map import Blend
from bench.lift import Bench, Case, Settings, exact_labels, made_case, room_case, scene_size

BITS: Settings = {"decode": "bits"}

DEFAULTS = UnicLiftSettings()

CHANGES: dict[str, Settings] = {
    "all changes": {},
    "no semantic value": {"lambda_semantic": 0.0},
    "background is a segment": {"void_is_segment": True},
    "sigmoid after blending (paper)": {"squash": "pixel"},
    "hinge in place of the printed push": {"push": "hinge"},
    "every Gaussian starts on its own (paper)": {"start_length": 0.0},
    "3D loss: weight 0.1 (paper)": {"lambda_3d": 0.1},
    "3D loss: radius 0.01 (paper), 4 neighbours": {"radius": 0.01, "neighbours": 4},
    "no triplets": {"lambda_triplet": 0.0},
    "none of the changes": {name: getattr(DEFAULTS, name) for name in CODES},
}
"""The settings of :data:`CODES`, each set back alone."""


@dataclass(frozen=True)
class Row:
    """One decode on one case, scores in percent.

    Attributes:
        group: the table's part, over whose cases rows are averaged.
        case: which of them.
        name: the row.
        seconds: from Gaussians to labels; 0 where no time was taken.
    """

    group: str
    case: str
    name: str
    pq: float
    pq_scene: float
    sq: float
    tp: int
    fp: int
    fn: int
    seconds: float


class Rows:
    """Rows as they come: printed, kept in a file if there is one, and shown as means at the end."""

    def __init__(self, results: Path | None) -> None:
        self.rows: list[Row] = []
        self.results = results

    def add(self, case: Case, name: str, score: Score, seconds: float) -> None:
        numbers = (score.pq_things, score.pq_scene, score.sq, score.tp, score.fp, score.fn, seconds)
        row = Row(case.group, case.name, name, *numbers)
        self.rows.append(row)
        counts = f"{row.tp} / {row.fp} / {row.fn}"
        print(f"{row.group}, {row.case}: {name} {row.pq:.1f}, scene {row.pq_scene:.1f}, {counts}", flush=True)
        if self.results is not None:
            self.results.parent.mkdir(parents=True, exist_ok=True)
            self.results.write_bytes(msgspec.json.encode(self.rows))

    def show(self) -> None:
        for line in markdown(self.rows):
            print(line)


def markdown(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the means over cases as a table."""
    yield "| | things PQ | lowest | PQ^scene | SQ | found / false / missed | seconds |"
    yield "|---" * 7 + "|"
    for group in dict.fromkeys(row.group for row in rows):
        of_group = [row for row in rows if row.group == group]
        cases = len({row.case for row in of_group})
        yield f"| **{group} ({cases} {'case' if cases == 1 else 'cases'})** " + "| " * 6 + "|"
        for name in dict.fromkeys(row.name for row in of_group):
            of = [row for row in of_group if row.name == name]
            pq, scene, sq, tp, fp, fn, seconds = np.mean(
                [(r.pq, r.pq_scene, r.sq, r.tp, r.fp, r.fn, r.seconds) for r in of], axis=0
            )
            lowest = min(row.pq for row in of)
            took = f"{seconds:.1f}" if seconds else ""
            yield (
                f"| {name} | {pq:.1f} | {lowest:.1f} | {scene:.1f} | {sq:.1f} "
                f"| {tp:.1f} / {fp:.1f} / {fn:.1f} | {took} |"
            )


@dataclass(frozen=True)
class Codes:
    """One training of `unic-lift` for the decode by bits, on a case made ready."""

    bench: Bench
    found: Trained
    settings: UnicLiftSettings
    seconds: float

    @classmethod
    def train(cls, bench: Bench, settings: Settings) -> Codes:
        return cls(bench, *bench.trained(BITS | settings))

    def pixels(self, rare: float, blend: Blend | None = None) -> Score:
        """Score codes of pixels; ``rare`` is the share below which a code is looked up, 0 for none."""
        blend = blend or ("signs" if self.settings.squash == "gaussian" else "values")
        frequent = None
        if rare and self.found.semantic is not None:
            on_object = self.found.semantic > 0
            frequent = frequent_codes(bits(self.found.embedding), self.bench.evidence, on_object, rare)
        return panoptic_quality(self.bench.pixel_codes(self.found, blend, frequent), self.bench.truth)

    def gaussians(self, rare: float) -> Score:
        """Score labels of Gaussians."""
        found, settings = self.found, replace(self.settings, rare_codes=rare)
        labels = decode(found.embedding, self.bench.case.splats, self.bench.evidence, settings, found.semantic)
        return self.bench.score(labels)


def add_decodes(rows: Rows, bench: Bench, settings: Settings, name: str = "") -> Codes:
    """Add a row for each decode of one training."""
    codes = Codes.train(bench, settings)
    rare, case, prefix = float(CODES["rare_codes"]), bench.case, f"{name}, " if name else ""
    rows.add(case, f"{prefix}pixels, plain", codes.pixels(0.0), codes.seconds)
    rows.add(case, f"{prefix}pixels, lookup", codes.pixels(rare), codes.seconds)
    return codes


app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
Objects = Annotated[int, typer.Option(help="Objects per scene.")]
Seeds = Annotated[int, typer.Option(help="Scenes per row.")]
First = Annotated[int, typer.Option(help="Seed of the first scene.")]
Size = Annotated[int | None, typer.Option(help="Height and width of views; default: as each number of objects needs.")]
Count = Annotated[int | None, typer.Option(help="Gaussians per scene; default: as many as the objects need.")]
Views = Annotated[int, typer.Option(help="Training views.")]
Noise = Annotated[str, typer.Option(help=f"Errors of the masks: one of {', '.join(PROFILES)}.")]
Results = Annotated[Path | None, typer.Option(help="JSON file for the rows.")]


def cases(
    objects: int, first: int, seeds: int, size: int | None, gaussians: int | None, views: int, noise: str
) -> Iterator[Case]:
    for seed in range(first, first + seeds):
        yield made_case(objects, *scene_size(gaussians, size, views, objects), noise, seed)


def on_made_scenes(measure: Callable[[Rows, Case], None]) -> Callable[..., None]:
    """Return the command that adds what ``measure`` finds on each made scene, and shows all rows."""

    def command(
        objects: Objects = 25,
        seeds: Seeds = 3,
        first_seed: First = 100,
        size: Size = None,
        gaussians: Count = None,
        views: Views = 80,
        noise: Noise = "detector",
        results: Results = None,
    ) -> None:
        rows = Rows(results)
        for case in cases(objects, first_seed, seeds, size, gaussians, views, noise):
            measure(rows, case)
        rows.show()

    # Not functools.wraps: typer would then read the options of the wrapped function.
    command.__name__, command.__doc__ = measure.__name__, measure.__doc__
    return command


@app.command()
@on_made_scenes
def scenes(rows: Rows, case: Case) -> None:
    """Decode made scenes by bits."""
    add_all(rows, case)


def add_all(rows: Rows, case: Case) -> None:
    """Add the rows of :func:`scenes` for one case."""
    bench = Bench(case)
    ceiling = bench.score(exact_labels(bench.renderer, case))
    rows.add(case, "ceiling of exact masks", ceiling, 0.0)
    rows.add(case, "exact codes, pixels, plain", exact_codes(bench), 0.0)
    codes = add_decodes(rows, bench, {})
    rows.add(case, "Gaussians, plain", codes.gaussians(0.0), codes.seconds)
    rows.add(case, "Gaussians, lookup", codes.gaussians(float(CODES["rare_codes"])), codes.seconds)


def exact_codes(bench: Bench) -> Score:
    """Score codes of pixels where every Gaussian has the code of its exact object: all false codes are blends."""
    found = random_codes(exact_labels(bench.renderer, bench.case), DEFAULTS.dimensions)
    return panoptic_quality(bench.pixel_codes(found, "signs"), bench.truth)


def random_codes(labels: NDArray[np.int32], dimensions: int) -> Trained:
    """Return the embedding of (N,) labels whose objects have random signs; 0 is background."""
    code = np.random.default_rng(0).choice([-1, 1], size=(labels.max() + 1, dimensions)).astype(np.float32)
    return Trained(code[labels], np.where(labels > 0, 1, -1).astype(np.float32))


@app.command()
def room(
    folder: Annotated[Path, typer.Argument(metavar="ROOM", help="A capture with exact ids.")],
    splats: Annotated[list[Path], typer.Option(help="Its Gaussians, one file per reconstruction.")],
    results: Results = None,
) -> None:
    """Decode reconstructions of a capture by bits."""
    rows = Rows(results)
    for path in splats:
        add_all(rows, room_case(folder, path))
    rows.show()


@app.command()
@on_made_scenes
def changes(rows: Rows, case: Case) -> None:
    """Set each change of the training back alone."""
    bench = Bench(case)
    for name, settings in CHANGES.items():
        codes = add_decodes(rows, bench, settings, name)
        if not settings:
            rows.add(case, f"{name}, sigmoids blended, plain", codes.pixels(0.0, "sigmoids"), codes.seconds)
            rows.add(case, f"{name}, values blended, plain", codes.pixels(0.0, "values"), codes.seconds)


@app.command(name="bits")
@on_made_scenes
def dimensions(rows: Rows, case: Case) -> None:
    """Train codes of 8, 12, 16 and 24 bits."""
    bench = Bench(case)
    for d in (8, 12, 16, 24):
        add_decodes(rows, bench, {"dimensions": d}, f"{d} bits")


@app.command()
@on_made_scenes
def losses(rows: Rows, case: Case) -> None:
    """Switch losses off, as the paper's Table 4."""
    bench = Bench(case)
    for name, (settings, paper) in LOSSES.items():
        add_decodes(rows, bench, settings, f"{name} (paper {paper})")


@app.command(name="hdbscan")
@on_made_scenes
def against_hdbscan(rows: Rows, case: Case) -> None:
    """Compare with HDBSCAN, as the paper's Table 5 (94.0 by bits, 94.6 by HDBSCAN)."""
    bench = Bench(case)
    codes = add_decodes(rows, bench, {}, "bits")
    assert codes.found.semantic is not None
    begin = time.perf_counter()
    labels = clustered(codes.found, bench, codes.settings)
    seconds = codes.seconds + time.perf_counter() - begin
    rows.add(case, "HDBSCAN of the same embedding", bench.score(labels), seconds)
    found, seconds = bench.lift("hdbscan")
    rows.add(case, "cluster loss alone, then HDBSCAN (paper's CL+3DGS)", bench.score(found.labels), seconds)


def clustered(found: Trained, bench: Bench, settings: UnicLiftSettings) -> NDArray[np.int32]:
    """Return (N,) labels by HDBSCAN of the squashed embedding; the semantic value tells the background."""
    assert found.semantic is not None
    rows = np.flatnonzero(found.semantic > 0)
    squashed = 1 / (1 + np.exp(-found.embedding))
    weight = bench.evidence.weight[rows]
    rng = np.random.default_rng(0)
    drawn = rows[np.argsort(rng.exponential(size=len(rows)) / np.maximum(weight, 1e-9))[:HDBSCAN_SAMPLE]]
    masks = bench.evidence.masks / max(bench.evidence.views, 1)
    centroids = cluster_centroids(squashed[drawn], max(2, round(0.1 * len(drawn) / masks)), 10)
    labels = np.zeros(len(found.embedding), np.int32)
    labels[rows] = np.asarray(KDTree(centroids).query(squashed[rows])[1]) + 1
    return labels


@app.command()
@on_made_scenes
def masks(rows: Rows, case: Case) -> None:
    """Give only a share of the views their masks, as the paper's Figure 9."""
    for share in SHARES:
        add_decodes(rows, Bench(fewer_masks(case, share)), {}, f"{share:.0%} of the masks")


@app.command()
@on_made_scenes
def sizes(rows: Rows, case: Case) -> None:
    """Give smaller masks, as the paper's Figure 8."""
    for scale in SCALES:
        add_decodes(rows, Bench(smaller_masks(case, scale)), {}, f"{scale:g}x masks")


@dataclass(frozen=True)
class Kind:
    """Codes of one kind: how many, how many pixels they hold, and how many of these lie near an outline."""

    codes: int
    share: float
    near_outline: float
    one_bit: float


OUTLINE = 2
"""Pixels within this distance of another true object count as at an outline."""


@app.command(name="codes")
def kinds(
    objects: Objects = 25,
    seeds: Seeds = 1,
    first_seed: First = 100,
    size: Size = None,
    gaussians: Count = None,
    views: Views = 80,
    noise: Noise = "detector",
) -> None:
    """Say what false codes are, with none of the changes and with all."""
    for case in cases(objects, first_seed, seeds, size, gaussians, views, noise):
        bench = Bench(case)
        table = Table("training, codes", "codes", "% of pixels", "% of these at outlines", "% one bit from its object")
        for name in ("none of the changes", "all changes"):
            codes = Codes.train(bench, CHANGES[name])
            maps = bench.pixel_codes(codes.found, "signs" if codes.settings.squash == "gaussian" else "values")
            for kind, of in code_kinds(maps, bench.truth).items():
                cells = (f"{100 * of.share:.2f}", f"{100 * of.near_outline:.0f}", f"{100 * of.one_bit:.0f}")
                table.add_row(f"{name}: {kind}", str(of.codes), *cells)
        Console().print(table)


def code_kinds(maps: Sequence[NDArray[np.int64]], truth: Sequence[NDArray[np.int32]]) -> dict[str, Kind]:
    """Sort the codes of held-out views (code + 1; 0 is background) by what they lie on.

    A code is an object's own if it holds most of its pixels. False codes are sorted by where most of their pixels lie:
    on the background, or on objects, and there by how many pixels they have.
    """
    found, exact = np.concatenate([m.ravel() for m in maps]), np.concatenate([t.ravel() for t in truth])
    near = np.concatenate([_near_outline(t).ravel() for t in truth])
    own = {
        int(k): int(np.bincount(found[(exact == k) & (found > 0)]).argmax())
        for k in np.unique(exact[exact > 0])
        if ((exact == k) & (found > 0)).any()
    }
    groups: dict[str, list[tuple[NDArray[np.bool_], bool]]] = {name: [] for name in KINDS}
    for code in np.unique(found[found > 0]):
        lies = found == code
        main = int(np.bincount(exact[lies]).argmax())
        if code in own.values():
            kind = KINDS[0]
        elif main == 0:
            kind = KINDS[1]
        else:
            kind = KINDS[2] if np.count_nonzero(lies) >= 0.1 * np.count_nonzero(exact == main) else KINDS[3]
        one = main in own and bin((own[main] - 1) ^ (int(code) - 1)).count("1") == 1
        groups[kind].append((lies, one))
    return {kind: _kind(of, near) for kind, of in groups.items()}


KINDS = (
    "an object's own",
    "on background",
    "on an object, a tenth of it or more",
    "on an object, less than a tenth",
)


def _kind(of: Sequence[tuple[NDArray[np.bool_], bool]], near: NDArray[np.bool_]) -> Kind:
    held = np.array([np.count_nonzero(lies) for lies, _ in of], float)
    at_outline = sum(np.count_nonzero(lies & near) for lies, _ in of)
    total = max(held.sum(), 1)
    one = np.array([one for _, one in of], float)
    return Kind(len(of), held.sum() / len(near), at_outline / total, float(one @ held) / total if of else 0.0)


def _near_outline(truth: NDArray[np.int32]) -> NDArray[np.bool_]:
    same = np.ones(truth.shape, bool)
    same[:, 1:] &= truth[:, 1:] == truth[:, :-1]
    same[1:] &= truth[1:] == truth[:-1]
    if same.all():
        return np.zeros(truth.shape, bool)
    return np.asarray(distance_transform_edt(same)) <= OUTLINE


@app.command(name="time")
def decode_time(
    gaussians: Annotated[int, typer.Option(help="Gaussians to decode.")] = 1_000_000,
    pixels: Annotated[int, typer.Option(help="Pixels of a rendered view to decode.")] = 1_000_000,
    objects: Objects = 100,
    dimensions: Annotated[int, typer.Option(help="Bits of a code.")] = 12,
) -> None:
    """Time the decode of an embedding: random codes, one in a hundred values on the wrong side."""
    rng = np.random.default_rng(0)
    centres = np.sign(rng.normal(size=(objects, dimensions)))
    table = Table("decode", f"{gaussians:,} Gaussians, s", f"{pixels:,} pixels, s")
    points = [
        (centres[rng.integers(objects, size=n)] * np.abs(rng.normal(1, 0.4, (n, dimensions)))).astype(np.float32)
        for n in (gaussians, pixels)
    ]
    frequent = bits(centres.astype(np.float32))
    ways: dict[str, Callable[[NDArray[np.float32]], NDArray]] = {
        "bits": bits,
        "bits to labels": lambda p: by_bits(bits(p), np.ones(len(p), bool)),
        "bits, rare codes looked up": lambda p: nearest_codes(bits(p), frequent),
        "nearest centroid (KD tree)": lambda p: np.asarray(KDTree(centres).query(p)[1]),
        f"HDBSCAN of {HDBSCAN_SAMPLE:,} points, then nearest centroid": by_centroids,
    }
    for name, way in ways.items():
        seconds = []
        for of in points:
            begin = time.perf_counter()
            way(of)
            seconds.append(time.perf_counter() - begin)
        table.add_row(name, *(f"{each:.3f}" for each in seconds))
    Console().print(table)


HDBSCAN_SAMPLE = 10_000
"""Points that HDBSCAN clusters, as in the method `hdbscan`."""


def by_centroids(points: NDArray[np.float32]) -> NDArray:
    """Cluster a sample of the points by HDBSCAN and give each point the nearest centroid."""
    drawn = points[np.random.default_rng(0).permutation(len(points))[:HDBSCAN_SAMPLE]]
    return np.asarray(KDTree(cluster_centroids(drawn, 20, 10)).query(points)[1])


if __name__ == "__main__":
    app()
