"""The number of corrections that an artist needs, the time of one, and the quality of objects and parts before them.

    python -m bench.interaction corrections ROOM --splats SPLATS.ply
    python -m bench.interaction corrections ROOM --splats SPLATS.ply --masks MASKS    # of everything, which overlap
    python -m bench.interaction time --gaussians 100000 --objects 100
    python -m bench.interaction hierarchy --first-seed 11

The artist is an oracle. It compares each true object (ceiling: exact masks, see :mod:`bench.lift`) with the labels,
selects the pair of a true object and a label with the most wrong weight, and corrects that pair. "plain" moves exactly
the wrong Gaussians of the pair, which is the best that merge, split and assign can do with a perfect selection.
"corrections" gives the same pair to :mod:`backend.corrections`. Both continue until the panoptic quality of the
held-out views is 99 % of the ceiling, or until ``--most``. The artist checks the changes elsewhere before it applies a
correction, and applies it without them (``--here``) if they would reduce the quality. ``time`` measures the corrections
of generated regions: each is one call of the solver on everything, from the points of a correction to the label of each
Gaussian. ``hierarchy`` scores objects and parts of generated scenes whose objects have two halves each, from nested
masks of wholes and halves (:mod:`bench.everything`): "flat" is a lift of the masks painted flat, "objects" the level of
objects, "parts" the parts of these objects against the exact halves. An object without parts counts as one part.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import time
from collections.abc import Iterator
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from backend.corrections.anchors import anchored, points_of
from backend.corrections.solve import State
from backend.evaluate.panoptic import panoptic_quality
from backend.levels import choose
from backend.lift import label_map, lift
from backend.lift.evidence.views import masked_views
from backend.lift.labels import largest_first
from backend.lift.region_evidence import region_evidence
from backend.render import Renderer
from backend.scene import load_scene, split_views
from bench.everything import made_case
from bench.lift import Bench, exact_labels, room_case
from protocol.errors import Fault
from protocol.result.corrections import Correction, Place
from protocol.result.evidence import RegionEvidence

GOAL = 0.99
app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


def worst_pairs(
    exact: NDArray[np.int32], labels: NDArray[np.int32], weight: NDArray[np.float64]
) -> Iterator[tuple[int, int, int]]:
    """Yield (true object, wrong label, right label) from the pair with the most wrong weight on; right may be 0.

    The right label of a true object is the one that holds most of it and of which it is the largest part; -1 if there
    is none, so that it needs an object of its own.
    """
    held = np.zeros((exact.max() + 1, labels.max() + 1))
    np.add.at(held, (exact, labels), weight)
    right = np.full(len(held), -1)
    right[0] = 0
    for true in range(1, len(held)):
        mine = [label for label in range(1, held.shape[1]) if held[:, label].argmax() == true and held[true, label] > 0]
        if mine:
            right[true] = max(mine, key=lambda label: held[true, label])
    wrong = held.copy()
    known = right >= 0
    wrong[np.flatnonzero(known), right[known]] = 0
    for cell in np.argsort(-wrong, axis=None, kind="stable"):
        true, label = divmod(int(cell), held.shape[1])
        if wrong[true, label] <= 0:
            return
        yield true, label, int(right[true])


def plain_edits(
    bench: Bench, exact: NDArray[np.int32], labels: NDArray[np.int32], goal: float, most: int
) -> list[float]:
    """Return the score after each plain edit, the first before all of them."""
    scores = [bench.score(labels).pq_things]
    while scores[-1] < goal and len(scores) <= most:
        pair = next(worst_pairs(exact, labels, bench.evidence.weight), None)
        if pair is None:
            break
        true, label, right = pair
        target = right if right >= 0 else int(labels.max()) + 1
        labels = np.where((exact == true) & (labels == label), target, labels).astype(np.int32)
        scores.append(bench.score(labels).pq_things)
    return scores


def corrections(
    bench: Bench, exact: NDArray[np.int32], state: State, goal: float, most: int
) -> tuple[list[float], list[float]]:
    """Return the score after each correction, the first before all of them, and the seconds of each solution."""
    scores, seconds = [bench.score(state.gaussians).pq_things], []
    while scores[-1] < goal and len(scores) <= most:
        best = None
        for pair in list(worst_pairs(exact, state.gaussians, bench.evidence.weight))[:8]:
            for here in (False, True):
                begin = time.perf_counter()
                tried = taken(bench, exact, state, pair, here)
                seconds.append(time.perf_counter() - begin)
                if tried is not None and (score := bench.score(tried.gaussians).pq_things) > scores[-1]:
                    best = max(best or (score, tried), (score, tried), key=lambda each: each[0])
            if best is not None:
                break
        if best is None:
            break
        scores.append(best[0])
        state = best[1]
    return scores, seconds


def taken(bench: Bench, exact: NDArray[np.int32], state: State, pair: tuple[int, int, int], here: bool) -> State | None:
    """Return the state after the correction of a pair; None if the solver refuses it."""
    true, label, right = pair
    means, region, labels = bench.case.splats.means, state.evidence.region, state.gaussians

    def place(rows: NDArray[np.bool_]) -> Place:
        return Place(name="place", points=points_of(means, region, np.flatnonzero(rows)))

    wrong = place((exact == true) & (labels == label))
    if true == 0:
        mostly = bench.evidence.weight[(labels == label) & (exact > 0)].sum()
        if mostly > bench.evidence.weight[(labels == label) & (exact == 0)].sum():
            return None
        correction = Correction(kind="background", places=[wrong], here=here)
    elif right < 0:
        correction = Correction(kind="own", places=[wrong], here=here)
    else:
        own = place((labels == right) & (exact == true))
        whole = bench.evidence.weight[labels == label].sum()
        share = bench.evidence.weight[(labels == label) & (exact == true)].sum() / max(whole, 1e-12)
        correction = Correction(kind="one" if label and share > 0.5 else "there", places=[wrong, own], here=here)
    copied = copy(state)
    copied.taken = list(state.taken)
    try:
        copied.take(anchored(means, state.evidence, [correction])[0])
    except Fault:
        return None
    return copied


@app.command("corrections")
def count_corrections(
    room: Annotated[Path, typer.Argument(help="The capture.")],
    splats: Annotated[Path, typer.Option(help="Its Gaussians.")],
    most: Annotated[int, typer.Option(help="Most corrections.")] = 40,
    masks: Annotated[Path | None, typer.Option(help="Overlapping masks. Default: those of the room.")] = None,
) -> None:
    """Count corrections and plain edits until 99 % of the ceiling."""
    case = room_case(room, splats)
    if masks is not None:
        train, _ = split_views(load_scene(room, masks).views, "last:0.2")
        case = replace(case, train=list(masked_views(choose(case.splats, train).views)))
    bench = Bench(case)
    exact = exact_labels(bench.renderer, bench.case)
    labels = largest_first(bench.lift("consensus")[0].labels)
    finite = np.ones(len(labels), bool)
    begin = time.perf_counter()
    evidence = region_evidence(bench.case.splats.means, bench.evidence, labels, finite)
    typer.echo(f"{len(labels):,} Gaussians, {len(evidence.label):,} regions in {time.perf_counter() - begin:.1f} s")
    goal = GOAL * bench.ceiling.pq
    typer.echo(f"ceiling {bench.ceiling.pq:.1f}, goal {goal:.1f}")
    for name, scores in (
        ("plain", plain_edits(bench, exact, labels, goal, most)),
        ("corrections", corrections(bench, exact, State.start(evidence), goal, most)[0]),
    ):
        reached = "reached" if scores[-1] >= goal else "not reached"
        typer.echo(f"{name}: {len(scores) - 1}, goal {reached}: {' '.join(f'{score:.1f}' for score in scores)}")


def made_evidence(gaussians: int, objects: int, seed: int, views: int = 100, each: int = 60) -> RegionEvidence:
    """Regions of objects of which one in ten is two by the labels, and one in ten a pair that masks often join."""
    rng = np.random.default_rng(seed)
    true = np.repeat(np.arange(1, objects + 1), each)
    label = np.where((true % 10 == 0) & (np.arange(len(true)) % each < each // 2), objects + true // 10, true)
    visible = np.repeat(rng.random((objects, views)) < 0.6, each, axis=0) & (rng.random((len(true), views)) < 0.9)
    first, second = np.triu_indices(each, 1)
    offset = each * np.arange(objects)[:, None]
    first, second = (offset + first).ravel(), (offset + second).ravel()
    both = (visible[first] & visible[second]).sum(1)
    weak = label[first] != label[second]
    attraction = both * np.where(weak, 0.5, 0.9) * rng.uniform(0.9, 1, len(both))
    return RegionEvidence(
        np.sort(rng.integers(0, len(true), gaussians)).astype(np.int32),
        label.astype(np.int32),
        first.astype(np.int32),
        second.astype(np.int32),
        attraction.astype(np.float32),
        visible,
        np.ones(label.max() + 1, np.float32),
        np.array(0.6),
    )


@app.command("time")
def measure_time(
    gaussians: Annotated[int, typer.Option(help="Gaussians.")] = 100_000,
    objects: Annotated[int, typer.Option(help="Objects.")] = 100,
    count: Annotated[int, typer.Option(help="Corrections.")] = 20,
    seed: Annotated[int, typer.Option(help="Of the draws.")] = 0,
) -> None:
    """Measure corrections of generated regions: joins and splits in turn."""
    evidence = made_evidence(gaussians, objects, seed, each=60 if gaussians <= 200_000 else 150)
    means = np.random.default_rng(seed).normal(size=(gaussians, 3)).astype(np.float32)
    rng = np.random.default_rng(seed)
    seconds, processor = [], []
    for number in range(count + 1):
        state = State.start(evidence)
        chosen = int(rng.integers(1, objects // 10 + 1))
        rows = [np.flatnonzero(state.gaussians == label) for label in (10 * chosen, objects + chosen)]
        if number % 2:
            whole = np.flatnonzero(state.gaussians == 10 * chosen - 1)
            rows = [whole[: len(whole) // 2], whole[len(whole) // 2 + len(whole) // 10 :]]
        places = [Place(name="place", points=points_of(means, evidence.region, each)) for each in rows]
        correction = Correction(kind="two" if number % 2 else "one", places=places)
        begin, used = time.perf_counter(), time.process_time()
        ready = anchored(means, evidence, [correction])[0]
        state.take(ready)
        assert len(state.gaussians) == gaussians
        seconds.append(time.perf_counter() - begin)
        processor.append(time.process_time() - used)
    typer.echo(
        f"{gaussians:,} Gaussians, {objects} objects, {len(evidence.label):,} regions, {len(evidence.first):,} pairs: "
        f"median {np.median(seconds[1:]):.2f} s, worst {max(seconds[1:]):.2f} s, the first call {seconds[0]:.2f} s; "
        f"processor time: median {np.median(processor[1:]):.2f} s, worst {max(processor[1:]):.2f} s"
    )


@app.command("hierarchy")
def score_hierarchy(
    objects: Annotated[int, typer.Option(help="Objects per scene.")] = 25,
    first_seed: Annotated[int, typer.Option(help="Seed of the first scene.")] = 0,
    seeds: Annotated[int, typer.Option(help="Scenes.")] = 3,
    views: Annotated[int, typer.Option(help="Training views.")] = 80,
    size: Annotated[int, typer.Option(help="Height and width of a view.")] = 256,
) -> None:
    """Score objects and parts of generated scenes."""
    for seed in range(first_seed, first_seed + seeds):
        case = made_case(objects, "halves", seed, views, size)
        flat = lift(case.splats, case.train).labels
        choice = choose(case.splats, case.train)
        labels = lift(case.splats, choice.views).labels
        parts = choice.parts(case.splats, labels)
        units = with_parts(labels, parts.part)
        renderer = Renderer(case.splats, "cpu")
        assert case.test_parts is not None
        whole, halves = [view.mask for view in case.test], case.test_parts
        said = []
        for name, found, truth in (("flat", flat, whole), ("objects", labels, whole), ("parts", units, halves)):
            maps = [label_map(renderer, found, view.camera) for view in case.test]
            score = panoptic_quality(maps, truth)
            said.append(f"{name} {score.pq_things:.1f} ({score.tp} / {score.fp} / {score.fn})")
        typer.echo(f"{case.group}, seed {seed}: {', '.join(said)}")


def with_parts(labels: NDArray[np.int32], part: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return (N,) one label for each part, and for each object without parts; 0 for background."""
    return np.where(labels > 0, np.where(part > 0, labels.max(initial=0) + part, labels), 0).astype(np.int32)


if __name__ == "__main__":
    app()
