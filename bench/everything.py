"""What masks of everything are worth: wholes, parts and pieces of the floor, nested and scored, against flat ones.

    python -m bench.everything made --objects 25 --results OUT/25.json       # scenes of bench/scenes.py, 3 seeds
    python -m bench.everything made --objects 25 --profile poor
    python -m bench.everything masks ROOM OUT --seed 0                       # such masks of a room with exact ids
    python -m bench.everything room ROOM --splats s.ply --masks OUT --results OUT/room.json
    python -m bench.everything table OUT/25.json OUT/room.json --markdown

The masks simulate a model that segments everything, from exact ids: in each view an object has a mask of the whole,
masks of its parts and now and then one mask with its neighbour, each by chance; parts follow the colours of the
photograph, or in the profiles "poor" and "halves" the left and right half of each object; floor and walls are cut into
pieces of one colour. Scores are drawn about a mean of each kind. Columns: "flat" paints smaller masks on larger ones;
"levels" is all that :mod:`backend.levels` does, then the same without scores, without nesting (of the masks painted
flat) and without the planes that bound the scene. "parts" scores ``level="part"`` against the exact halves, where the
scene has them.
The Gaussians of all columns are the same, and the last 20 % of a room's views are held out.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
import typer
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from skimage.segmentation import felzenszwalb

from backend.evaluate.panoptic import panoptic_quality
from backend.levels.background import in_planes
from backend.levels.deciding import Decision, decide
from backend.levels.votes import LayerVotes, gather_layer_votes
from backend.lift import MaskedView, label_map, lift
from backend.lift.evidence.views import ChosenView, LayeredView, layered_view
from backend.render import Renderer
from backend.scene import load_scene, read_image, split_views
from backend.scene.mask_sets import flattened, layered
from bench.lift import exact_labels, truth_folder, with_truth
from bench.lift import room_case as room_and_truth
from bench.scenes import MadeScene, make_scene
from protocol.splats import Splats

SMALLEST = 40
"""Pixels of a mask, at least."""
SMALLEST_PIECE = 300
"""Pixels of a piece of the background, at least."""


@dataclass(frozen=True)
class Profile:
    """What a model gives, by chance.

    Attributes:
        whole, part, stuff: chance of a mask for each object, each of its parts, and each piece of the background.
        merge: chance of one mask of an object together with a neighbour.
        jitter: pixels by which outlines wobble.
        halves: whether parts are the halves of objects, and not patches of one colour.
    """

    whole: float = 0.85
    part: float = 0.7
    stuff: float = 0.8
    merge: float = 0.04
    jitter: float = 1.5
    halves: bool = False


PROFILES = {
    "usual": Profile(),
    "poor": Profile(0.65, 0.5, 0.95, 0.1, 2.0, halves=True),
    "halves": Profile(part=0.9, halves=True),
}
COLUMNS = ("flat", "levels", "no scores", "no nesting", "no planes", "parts", "ceiling")


class Record(msgspec.Struct, frozen=True):
    """One column on one case; scores in percent, seconds from Gaussians to labels."""

    group: str
    case: str
    column: str
    pq: float
    tp: int
    fp: int
    fn: int
    seconds: float


@dataclass(frozen=True)
class Case:
    """Gaussians, what a model gives of the training views, held-out views with exact ids and halves, sparse points."""

    group: str
    name: str
    splats: Splats
    train: list[LayeredView]
    test: list[MaskedView]
    ceiling: NDArray[np.int32]
    test_parts: list[NDArray[np.int32]] | None = None
    points: NDArray[np.float32] | None = None


def simulated(
    photograph: NDArray[np.uint8],
    ids: NDArray[np.int32],
    parts: NDArray[np.int32] | None,
    profile: Profile,
    rng: np.random.Generator,
) -> tuple[list[NDArray[np.bool_]], list[float]]:
    """Return masks (H, W) of one view in any order, and their scores.

    Args:
        photograph: (H, W, 3) uint8.
        ids: (H, W), exact objects, 0 for background.
        parts: (H, W), exact parts; None for patches of one colour.
        profile: the chances.
        rng: of the draws.
    """
    masks: list[NDArray[np.bool_]] = []
    scores: list[float] = []

    def add(mask: NDArray[np.bool_], mean: float, deviation: float) -> None:
        wobbled = _wobbled(mask, 1.5 * profile.jitter, rng)
        if wobbled.sum() >= SMALLEST:
            masks.append(wobbled)
            scores.append(float(np.clip(rng.normal(mean, deviation), 0.5, 1)))

    fine = felzenszwalb(photograph, scale=60, sigma=0.8, min_size=30) + 1 if parts is None else parts
    coarse = felzenszwalb(photograph, scale=480, sigma=1.0, min_size=200)
    for i in np.unique(ids[ids > 0]):
        inside = ids == i
        area = inside.sum()
        if area < SMALLEST:
            continue
        if rng.random() < profile.whole:
            add(inside, 0.93, 0.03)
        for j in np.unique(fine[inside]):
            part = inside & (fine == j)
            if max(SMALLEST, 0.08 * area) <= part.sum() < 0.85 * area and rng.random() < profile.part:
                add(part, 0.89, 0.05)
        if rng.random() < profile.merge:
            ring = np.unique(ids[ndimage.binary_dilation(inside, iterations=2) & ~inside])
            beside = ring[(ring > 0) & (ring != i)]
            if len(beside):
                add(inside | (ids == rng.choice(beside)), 0.82, 0.06)
    for j in np.unique(coarse[ids == 0]):
        piece = (ids == 0) & (coarse == j)
        if piece.sum() >= SMALLEST_PIECE and rng.random() < profile.stuff:
            add(piece, 0.9, 0.05)
    order = rng.permutation(len(masks))
    return [masks[i] for i in order], [scores[i] for i in order]


def _wobbled(mask: NDArray[np.bool_], pixels: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    fields = [ndimage.gaussian_filter(rng.normal(size=mask.shape), 4) for _ in range(2)]
    places = [
        np.clip(np.rint(axis + field / np.abs(field).max() * pixels).astype(int), 0, size - 1)
        for axis, field, size in zip(np.indices(mask.shape), fields, mask.shape, strict=True)
    ]
    return mask[places[0], places[1]]


def made_case(objects: int, profile: str, seed: int, views: int = 80, size: int = 256) -> Case:
    """A scene of :mod:`bench.scenes` with simulated masks of its views."""
    scene = make_scene(objects=objects, gaussians=2000 * objects, views=views, size=size, noise="clean", seed=seed)
    renderer = Renderer(scene.splats, "cpu")
    halves = _halves(scene)
    rng = np.random.default_rng(seed)
    train = []
    for view, ids in zip(scene.train, scene.exact, strict=True):
        photograph = np.rint(255 * renderer.image(view.camera).clip(0, 1)).astype(np.uint8)
        parts = label_map(renderer, halves, view.camera) if PROFILES[profile].halves else None
        masks, scores = simulated(photograph, ids, parts, PROFILES[profile], rng)
        found = layered(masks, np.array(scores, np.float32))
        train.append(LayeredView(view.name, view.camera, found.layers, found.scores))
    group = f"{objects} objects, made" + (f", {profile}" if profile != "usual" else "")
    test_parts = [label_map(renderer, halves, view.camera) for view in scene.test]
    halved = test_parts if PROFILES[profile].halves else None
    return Case(group, f"seed {seed}", scene.splats, train, scene.test, scene.labels, halved)


def _halves(scene: MadeScene) -> NDArray[np.int32]:
    """(N,) int32, the left and the right half of each object."""
    place, labels = scene.splats.means[:, 0].astype(np.float64), scene.labels
    middle = np.bincount(labels, place) / np.maximum(np.bincount(labels), 1)
    return np.where(labels > 0, 2 * labels - (place < middle[labels]), 0).astype(np.int32)


def room_case(room: Path, splats: Path, masks: Path) -> Case:
    """A capture on disk with exact ids, and masks of its training views in a folder."""
    scene = load_scene(room, masks)
    train, _ = split_views(scene.views, "last:0.2")
    exact = room_and_truth(room, splats)
    ceiling = exact_labels(Renderer(exact.splats, "cpu"), exact)
    layers = [view for view in map(layered_view, train) if view is not None]
    return Case(room.name, masks.name, exact.splats, layers, exact.test, ceiling, points=scene.points)


def run(case: Case) -> Iterator[Record]:
    """Yield each column of one case."""
    shown = [Renderer(case.splats, "cpu").contributions(view.camera, None, 32) for view in case.test]

    def record(column: str, labels: NDArray[np.int32], seconds: float, truth: Sequence[NDArray[np.int32]]) -> Record:
        maps = [label_map(w, labels, view.camera) for w, view in zip(shown, case.test, strict=True)]
        score = panoptic_quality(maps, list(truth))
        return Record(case.group, case.name, column, score.pq_things, score.tp, score.fp, score.fn, seconds)

    truth = [view.mask for view in case.test]
    yield record("ceiling", case.ceiling, 0.0, truth)
    begin = time.perf_counter()
    yield record("flat", lift(case.splats, case.train).labels, time.perf_counter() - begin, truth)
    renderer = Renderer(case.splats, "cpu")
    begin = time.perf_counter()
    votes = gather_layer_votes(renderer, case.train, len(case.splats))
    cameras = [view.camera for view in case.train]
    inside, _ = in_planes(case.splats, cameras, case.points, "cpu", 0)
    spent = time.perf_counter() - begin
    unscored = replace(votes, trust=np.ones_like(votes.trust))
    flat = gather_layer_votes(renderer, list(map(_flattened, case.train)), len(case.splats))
    nowhere = np.zeros_like(inside)
    ways = {
        "levels": (case.train, votes, inside, "whole"),
        "no scores": (case.train, unscored, inside, "whole"),
        "no nesting": (list(map(_flattened, case.train)), flat, inside, "whole"),
        "no planes": (case.train, votes, nowhere, "whole"),
    }
    if case.test_parts is not None:
        ways["parts"] = (case.train, votes, inside, "part")
    for column, (views, of_way, in_plane, level) in ways.items():
        begin = time.perf_counter()
        found = decide(case.splats.means, cameras, of_way, in_plane, level)
        labels = lift(case.splats, chosen(views, of_way, found)).labels
        seconds = spent + time.perf_counter() - begin
        yield record(column, labels, seconds, case.test_parts if level == "part" and case.test_parts else truth)


def chosen(views: Sequence[LayeredView], votes: LayerVotes, found: Decision) -> list[ChosenView]:
    """Return the views with the masks that were chosen."""
    result = []
    for number, view in enumerate(views):
        of_view = np.flatnonzero(votes.mask_view == number)
        ids = np.zeros(int(view.layers.max(initial=0)) + 1, np.int32)
        ids[votes.mask_id[of_view]] = found.numbers[of_view]
        result.append(ChosenView(view, ids))
    return result


def _flattened(view: LayeredView) -> LayeredView:
    """The view with smaller masks painted on larger ones, in one layer."""
    ids = np.arange(int(view.layers.max(initial=0)) + 1, dtype=np.int32)
    return replace(view, layers=flattened(view.layers, ids)[None])


def table(records: Sequence[Record]) -> Iterator[str]:
    """Yield the means of each group as lines of a Markdown table, with found / false / missed."""
    yield "| scene | " + " | ".join(COLUMNS) + " |"
    yield "|---" * (len(COLUMNS) + 1) + "|"
    for group in dict.fromkeys(record.group for record in records):
        cells = []
        for column in COLUMNS:
            of = [record for record in records if (record.group, record.column) == (group, column)]
            means = [f"{np.mean([getattr(r, name) for r in of]):.1f}" for name in ("pq", "tp", "fp", "fn") if of]
            cells.append(f"{means[0]} ({' / '.join(means[1:])})" if of else "")
        cases = len({record.case for record in records if record.group == group})
        yield f"| {group}, {cases} seeds | " + " | ".join(cells) + " |"


app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
Results = Annotated[Path | None, typer.Option(help="JSON file for the records; what it has of other runs is kept.")]


def _keep(records: Sequence[Record], results: Path | None) -> None:
    for line in table(records):
        typer.echo(line)
    if results is not None:
        before = msgspec.json.decode(results.read_bytes(), type=list[Record]) if results.is_file() else []
        new = {(record.group, record.case, record.column) for record in records}
        kept = [record for record in before if (record.group, record.case, record.column) not in new]
        results.write_bytes(msgspec.json.encode([*kept, *records]))


@app.command()
def made(
    objects: Annotated[int, typer.Option(help="Objects per scene.")] = 25,
    seeds: Annotated[int, typer.Option(help="Scenes.")] = 3,
    first_seed: Annotated[int, typer.Option(help="The first of them.")] = 0,
    profile: Annotated[str, typer.Option(help=f"One of {', '.join(PROFILES)}.")] = "usual",
    views: Annotated[int, typer.Option(help="Training views.")] = 80,
    size: Annotated[int, typer.Option(help="Height and width of a view.")] = 256,
    results: Results = None,
) -> None:
    """Score generated scenes."""
    for seed in range(first_seed, first_seed + seeds):
        _keep(list(run(made_case(objects, profile, seed, views, size))), results)


@app.command()
def masks(
    room: Annotated[Path, typer.Argument(help="The capture.")],
    out: Annotated[Path, typer.Argument(help="A folder for the masks, one file of run lengths a photograph.")],
    seed: Annotated[int, typer.Option(help="Of the draws.")] = 0,
    profile: Annotated[str, typer.Option(help=f"One of {', '.join(PROFILES)}.")] = "usual",
) -> None:
    """Simulate masks of a room; its parts are patches of one colour in every profile."""
    folder = truth_folder(room)
    out.mkdir(parents=True, exist_ok=True)
    for number, view in enumerate(load_scene(room).views):
        exact = with_truth(view, folder).mask
        photograph = np.asarray(Image.fromarray(read_image(view)).resize((exact.shape[1], exact.shape[0])))
        found = simulated(photograph, exact, None, PROFILES[profile], np.random.default_rng([seed, number]))
        items = [{"segmentation": _run_lengths(m), "score": round(s, 4)} for m, s in zip(*found, strict=True)]
        (out / f"{view.image_path.stem}.json").write_text(json.dumps(items))


def _run_lengths(mask: NDArray[np.bool_]) -> dict:
    flat = np.concatenate([[False], mask.T.ravel(), [False]])
    ends = np.flatnonzero(flat[1:] != flat[:-1])
    return {"size": list(mask.shape), "counts": np.diff(np.concatenate([[0], ends, [mask.size]])).tolist()}


@app.command("room")
def of_room(
    room: Annotated[Path, typer.Argument(help="The capture.")],
    splats: Annotated[Path, typer.Option(help="Its Gaussians.")],
    mask: Annotated[list[Path], typer.Option("--masks", help="A folder of masks; repeatable, one for each seed.")],
    results: Results = None,
) -> None:
    """Score a room."""
    for folder in mask:
        _keep(list(run(room_case(room, splats, folder))), results)


@app.command("table")
def of_results(files: Annotated[list[Path], typer.Argument(help="Records.")]) -> None:
    """Print the table of several runs."""
    for line in table([r for file in files for r in msgspec.json.decode(file.read_bytes(), type=list[Record])]):
        typer.echo(line)


if __name__ == "__main__":
    app()
