"""The quality of labels: every lifting method on the same votes, compared with the ceiling of exact masks.

    python -m bench.lift made --objects 25 --results OUT/25.json        # scenes of bench/scenes.py, 3 seeds
    python -m bench.lift made --objects 500 --methods consensus --seeds 1
    python -m bench.lift room ROOM --splats s0.ply --splats s1.ply --results OUT/room25.json
    python -m bench.lift table OUT/25.json OUT/room25.json --markdown   # the rows of several runs as one table

A room is a capture with exact ids, its last 20 % of views held out. Quality is panoptic quality over objects, all
held-out views as one list of pixels. "ceiling" gives every Gaussian the id with most of its weight in exact training
masks. It is not a strict bound: labels that are smoothed over an object can exceed it at edges. "voxels" is the
control: voxel numbers instead of learned codes, decoded by the same evidence, at the best of three sizes. Views are
rasterised into votes once for all methods; the seconds of each include those of the votes, from Gaussians to labels.
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
from scipy.sparse import coo_matrix

from backend.demo.noise import PROFILES
from backend.evaluate.panoptic import Score, panoptic_quality
from backend.lift import METHODS, MaskedView, label_map
from backend.lift.consensus.objects import foreground, objects_from_regions
from backend.lift.consensus.regions import code_regions
from backend.lift.consensus.settings import EvidenceSettings
from backend.lift.consensus.supervoxels import voxel_codes
from backend.lift.embedding.neighbours import scene_extent
from backend.lift.evidence.gather import gather_evidence
from backend.lift.evidence.views import masked_views
from backend.lift.evidence.votes import Evidence
from backend.lift.methods import DEFAULT, find_method, read_settings
from backend.lift.task import Labelling, LiftTask
from backend.lift.unic_lift import method as unic_lift
from backend.lift.unic_lift.decode import bits, decode, frequent_codes
from backend.lift.unic_lift.settings import UnicLiftSettings
from backend.lift.unic_lift.trained import Trained
from backend.progress import silent
from backend.render import Renderer
from backend.scene.types import View
from bench.experiments.code_map import Blend, code_map
from bench.scenes import make_scene
from protocol.ply import read_ply
from protocol.splats import Splats

VOXELS = (0.01, 0.02, 0.03)
"""Edges of the control's voxels as shares of the scene's extent; the best of them is shown."""
CEILING = "ceiling"

Settings = dict[str, float | int | str | bool]


@dataclass(frozen=True)
class Case:
    """Gaussians, training views with spoilt masks, the exact masks of the same views, and held-out views."""

    group: str
    name: str
    splats: Splats
    train: list[MaskedView]
    exact: list[NDArray[np.int32]]
    test: list[MaskedView]


@dataclass(frozen=True)
class Record:
    """One method on one case, as stored on disk; scores in percent.

    Attributes:
        group: the row of the table that the case is averaged in.
        case: which of the group.
        median, smallest: Gaussians that the ceiling gives to an object.
        seconds: from Gaussians to labels; 0 for the ceiling.
    """

    group: str
    case: str
    method: str
    gaussians: int
    objects: int
    median: float
    smallest: int
    pq: float
    sq: float
    tp: int
    fp: int
    fn: int
    mean_iou: float
    boundary_iou: float
    seconds: float


def made_case(objects: int, gaussians: int, views: int, size: int, noise: str, seed: int, void: bool = False) -> Case:
    scene = make_scene(objects=objects, gaussians=gaussians, views=views, size=size, noise=noise, seed=seed, void=void)
    group = ", ".join(
        [f"{objects} objects, made", *([noise] if noise != "detector" else []), *(["void"] if void else [])]
    )
    return Case(group, f"seed {seed}", scene.splats, scene.train, scene.exact, scene.test)


def room_case(room: Path, splats: Path) -> Case:
    """A capture on disk with exact ids in ``gt/instance`` or ``instance``, named like its masks."""
    from backend.scene import load_scene, split_views

    views = split_views(load_scene(room).views, "last:0.2")
    folder = truth_folder(room)
    train, test = ([with_truth(view, folder) for view in part if view.mask_path] for part in views)
    masks = list(masked_views([view for view in views[0] if view.mask_path]))
    name = splats.parent.name if splats.stem == "splats" else splats.stem
    return Case(room.name, name, read_ply(splats).without_columns(), masks, [view.mask for view in train], test)


def truth_folder(room: Path) -> Path:
    """Return where a room keeps its exact ids."""
    return next(f for f in (room / "gt" / "instance", room / "instance") if f.is_dir())


def with_truth(view: View, folder: Path) -> MaskedView:
    """The view with its exact ids as they are on disk, for those mean the same in all views."""
    from backend.scene import read_mask

    assert view.mask_path is not None
    mask = np.asarray(read_mask(replace(view, mask_path=folder / view.mask_path.name)))
    return MaskedView(view.name, view.camera.resized(mask.shape[1], mask.shape[0]), mask)


class Bench:
    """One case made ready: its votes, gathered once, and what its held-out views show."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.renderer = Renderer(case.splats, "cpu")
        begin = time.perf_counter()
        self.evidence: Evidence = gather_evidence(self.renderer, masked_views(case.train), len(case.splats))
        self.vote_seconds = time.perf_counter() - begin
        self.shown = [self.renderer.contributions(view.camera, None, 32) for view in case.test]
        self.truth = [view.mask for view in case.test]
        exact = exact_labels(self.renderer, case)
        self.counts = np.bincount(exact)[1:]
        self.counts = self.counts[self.counts > 0]
        self.ceiling = self.record(CEILING, self.score(exact), 0.0)

    def lift(self, method: str, settings: Settings | None = None, seed: int = 0) -> tuple[Labelling, float]:
        """Return what a method makes of the votes, and the seconds it took with those of the votes."""
        name, chosen = find_method(method)
        values = read_settings(name, chosen, settings)
        begin = time.perf_counter()
        found = chosen.run(self.task(seed), values)
        return found, self.vote_seconds + time.perf_counter() - begin

    def task(self, seed: int = 0) -> LiftTask:
        return LiftTask(self.case.splats, self.case.train, self.renderer, self.evidence, "cpu", seed, silent)

    def trained(self, settings: Settings, seed: int = 0) -> tuple[Trained, UnicLiftSettings, float]:
        """Return what `unic-lift` trains, its settings, and the seconds with those of the votes."""
        values: UnicLiftSettings = read_settings(*find_method("unic-lift"), settings)
        begin = time.perf_counter()
        found = unic_lift.trained(self.task(seed), values)
        return found, values, self.vote_seconds + time.perf_counter() - begin

    def score(self, labels: NDArray[np.integer]) -> Score:
        maps = [label_map(w, labels, view.camera) for w, view in zip(self.shown, self.case.test, strict=True)]
        return panoptic_quality(maps, self.truth)

    def record(self, method: str, score: Score, seconds: float) -> Record:
        return Record(
            self.case.group,
            self.case.name,
            method,
            len(self.case.splats),
            len(self.counts),
            float(np.median(self.counts)),
            int(self.counts.min()),
            score.pq_things,
            score.sq,
            score.tp,
            score.fp,
            score.fn,
            score.mean_iou,
            score.boundary_iou,
            seconds,
        )

    def pixel_codes(
        self, found: Trained, blend: Blend = "signs", frequent: NDArray[np.int64] | None = None
    ) -> list[NDArray[np.int64]]:
        """Codes of the pixels of each held-out view; without a semantic value the commonest is background."""
        shape = self.case.test[0].mask.shape
        codes = [code_map(w, found, (shape[0], shape[1]), blend, frequent) for w in self.shown]
        if found.semantic is not None:
            return codes
        common = np.bincount(np.concatenate([c.ravel() for c in codes])).argmax()
        return [np.where(c == common, 0, c) for c in codes]


def run(case: Case, methods: Sequence[str]) -> Iterator[Record]:
    """Yield the ceiling and each of ``methods`` on one case."""
    bench = Bench(case)
    yield bench.ceiling
    for method in methods:
        if method == "voxels":
            yield max((voxels(bench, edge) for edge in VOXELS), key=lambda record: record.pq)
            continue
        found, seconds = bench.lift(method)
        yield bench.record(method, bench.score(found.labels), seconds)
        if method == "unic-lift":
            codes, values, seconds = bench.trained({"decode": "bits"})
            assert codes.semantic is not None
            labels = decode(codes.embedding, case.splats, bench.evidence, values, codes.semantic)
            yield bench.record("unic-lift, bits", bench.score(labels), seconds)
            on_object = codes.semantic > 0
            frequent = frequent_codes(bits(codes.embedding), bench.evidence, on_object, values.rare_codes)
            pixels = panoptic_quality(bench.pixel_codes(codes, frequent=frequent), bench.truth)
            yield bench.record("unic-lift, bits per pixel", pixels, seconds)


def exact_labels(renderer: Renderer, case: Case) -> NDArray[np.int32]:
    """(N,) int32, the id that holds most of each Gaussian's weight in the exact training masks.

    Of each view the id counts that holds most there.
    """
    rows, ids, weights = [], [], []
    for view, mask in zip(case.train, case.exact, strict=True):
        votes = renderer.votes(view.camera, mask)
        seen = np.flatnonzero(votes.label >= 0)
        rows.append(seen)
        ids.append(votes.label[seen])
        weights.append(votes.own[seen])
    row, column = np.concatenate(rows), np.concatenate(ids)
    shape = (len(case.splats), int(column.max(initial=0)) + 1)
    held = coo_matrix((np.concatenate(weights), (row, column)), shape=shape).tocsr()
    return np.asarray(held.argmax(axis=1)).ravel().astype(np.int32)


def voxels(bench: Bench, edge: float) -> Record:
    """The control: voxels of ``edge`` times the extent instead of learned codes."""
    begin = time.perf_counter()
    means, settings, evidence = bench.case.splats.means, EvidenceSettings(), bench.evidence
    codes = voxel_codes(means, edge * scene_extent(means, evidence.seen))
    regions = code_regions(means, codes, foreground(evidence, settings), smallest=5)
    labels = objects_from_regions(bench.case.splats, evidence, regions, settings)
    seconds = bench.vote_seconds + time.perf_counter() - begin
    return bench.record("voxels", bench.score(labels), seconds)


@dataclass(frozen=True)
class Line:
    """A line of the table: the mean of one method over the cases of a group."""

    method: str
    pq: float
    lowest: float
    sq: float
    boundary_iou: float
    tp: float
    fp: float
    fn: float
    seconds: float


def lines(records: Sequence[Record]) -> list[Line]:
    """Return the means of each method of one group, the ceiling first."""

    def mean(field: str, of: list[Record]) -> float:
        return float(np.mean([getattr(record, field) for record in of]))

    result = []
    for method in dict.fromkeys(record.method for record in records):
        of = [record for record in records if record.method == method]
        fields = (mean(field, of) for field in ("sq", "boundary_iou", "tp", "fp", "fn", "seconds"))
        result.append(Line(method, mean("pq", of), min(record.pq for record in of), *fields))
    return result


def head(records: Sequence[Record]) -> str:
    """Describe a group: number of cases, Gaussians, and Gaussians per object."""
    cases = len({record.case for record in records})
    gaussians = np.mean([record.gaussians for record in records])
    median, smallest = np.mean([record.median for record in records]), min(record.smallest for record in records)
    return (
        f"{records[0].group} ({cases} {'seed' if cases == 1 else 'seeds'}, {gaussians:,.0f} Gaussians, "
        f"{median:,.0f} an object, smallest {smallest})"
    )


def behind(group: Sequence[Line]) -> list[str]:
    """Return the methods that the default is not ahead of."""
    own = next((line for line in group if line.method == DEFAULT), None)
    if own is None:
        return []
    return [line.method for line in group if line.method not in (DEFAULT, CEILING) and line.pq >= own.pq]


COLUMNS = ("method", "things PQ", "lowest", "SQ", "boundary IoU", "found / false / missed", "seconds")


def cells(line: Line) -> tuple[str, ...]:
    counts = " / ".join(f"{n:.1f}" for n in (line.tp, line.fp, line.fn))
    numbers = (f"{n:.1f}" for n in (line.pq, line.lowest, line.sq, line.boundary_iou))
    return line.method, *numbers, counts, f"{line.seconds:.1f}" if line.seconds else "-"


def groups(records: Sequence[Record]) -> Iterator[list[Record]]:
    for group in dict.fromkeys(record.group for record in records):
        yield [record for record in records if record.group == group]


def show(records: Sequence[Record]) -> Iterator[Table]:
    """Yield a table per group, saying below it which methods the default is not ahead of."""
    for of_group in groups(records):
        group = lines(of_group)
        notes = "\n".join(f"{DEFAULT} is not ahead of {method} here" for method in behind(group))
        table = Table(*COLUMNS, title=head(of_group), caption=notes, title_justify="left")
        for line in group:
            table.add_row(*cells(line))
        yield table


def markdown(records: Sequence[Record]) -> Iterator[str]:
    """Yield the same table as Markdown."""
    yield "| " + " | ".join(COLUMNS) + " |"
    yield "|---" * len(COLUMNS) + "|"
    for of_group in groups(records):
        group = lines(of_group)
        yield f"| **{head(of_group)}** " + "| " * (len(COLUMNS) - 1) + "|"
        for line in group:
            yield "| " + " | ".join(cells(line)) + " |"
        for method in behind(group):
            yield f"| *{DEFAULT} is not ahead of {method} here* " + "| " * (len(COLUMNS) - 1) + "|"


def read_records(files: Sequence[Path]) -> list[Record]:
    return [record for file in files for record in msgspec.json.decode(file.read_bytes(), type=list[Record])]


app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
Methods = Annotated[list[str], typer.Option(help="Methods, in the order of the table.")]
Results = Annotated[Path | None, typer.Option(help="JSON file for the records; what it has of other runs is kept.")]
ALL = [*METHODS, "voxels"]


@app.command()
def made(
    objects: Annotated[list[int], typer.Option(help="Objects per scene.")] = [25, 50],  # noqa: B006
    seeds: Annotated[int, typer.Option(help="Seeds per row.")] = 3,
    first_seed: Annotated[int, typer.Option(help="The first of them.")] = 100,
    gaussians: Annotated[int | None, typer.Option(help="Per scene; default: as many as each size needs.")] = None,
    views: Annotated[int, typer.Option(help="Training views.")] = 80,
    size: Annotated[int | None, typer.Option(help="Height and width; default: as each size needs.")] = None,
    noise: Annotated[str, typer.Option(help=f"One of {', '.join(PROFILES)}.")] = "detector",
    void: Annotated[bool, typer.Option("--void", help="Missed objects are void in the masks, not background.")] = False,
    methods: Methods = ALL,
    results: Results = None,
) -> None:
    """Score methods on analytic splats."""
    cases = [
        lambda k=k, seed=seed: made_case(k, *(scene_size(gaussians, size, views, k)), noise, seed, void)
        for k in objects
        for seed in range(first_seed, first_seed + seeds)
    ]
    compare(cases, methods, results)


def scene_size(gaussians: int | None, size: int | None, views: int, objects: int) -> tuple[int, int, int]:
    """Gaussians, views and size: more objects share the views, so they need more Gaussians and pixels."""
    for most, n, pixels in ((25, 50_000, 256), (50, 80_000, 256), (100, 120_000, 384)):
        if objects <= most:
            return gaussians or n, views, size or pixels
    return gaussians or 500 * objects, views, size or 512


@app.command()
def room(
    folder: Annotated[Path, typer.Argument(metavar="ROOM", help="A capture with exact ids.")],
    splats: Annotated[list[Path], typer.Option(help="Its Gaussians, one file per reconstruction.")],
    methods: Methods = ALL,
    results: Results = None,
) -> None:
    """Score methods on reconstructions of a capture."""
    compare([lambda path=path: room_case(folder, path) for path in splats], methods, results)


@app.command()
def table(
    files: Annotated[list[Path], typer.Argument(help="Records that runs have left.")],
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
) -> None:
    """Print the records of several runs as one table."""
    records = read_records(files)
    if as_markdown:
        print("\n".join(markdown(records)))
    else:
        Console().print(*show(records))


def compare(cases: Sequence[Callable[[], Case]], methods: Sequence[str], results: Path | None) -> None:
    console = Console()
    new: list[Record] = []
    for make in cases:
        for record in run(make(), methods):
            new.append(record)
            console.print(
                f"[dim]{record.group}, {record.case}: {record.method} {record.pq:.1f} in {record.seconds:.1f} s[/dim]"
            )
            if results is not None:
                keep(new, results)
    console.print(*show(new))


def keep(new: Sequence[Record], file: Path) -> None:
    """Add records to a file, replacing those of the same method and case."""
    done = {(record.group, record.case, record.method) for record in new}
    old = read_records([file]) if file.is_file() else []
    kept = [record for record in old if (record.group, record.case, record.method) not in done]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(msgspec.json.encode([*kept, *new]))


if __name__ == "__main__":
    app()
