"""Selection by words and by clicks: how often the right object is selected, and how long a click takes.

    python -m bench.interaction_select words ROOM RESULT --seed 0        # of a scene with exact ids, and a result of it
    python -m bench.interaction_select clicks ROOM RESULT --seed 0
    python -m bench.blender_click ROOM RESULT --seed 0                   # the same clicks in Blender
    python -m bench.interaction_select parts --seed 0                    # of made scenes whose objects have two halves

Words: a simulated detector (bench/simulated_detector.py) reads the exact ids of a view instead of the photograph. Half
of the words that match nothing have a similar object in the scene, which gets a box for them in one view of five. An
answer is right if it is the object and no other. "one view" is the protocol of Contrastive Gaussian Clustering: the
detector is used in one view, and the object in the box is the answer. "best view" uses the view that shows the object
best, which only the ground truth tells.

Clicks: at random pixels of the views with id maps, which are the held-out ones, each on a random object that the view
shows, two pixels or more inside its outline. Times are also measured on the same Gaussians cut into more.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import typer
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, minimum_filter
from scipy.spatial.transform import Rotation

from backend.evaluate.folders import find_maps, find_predicted, read_ids
from backend.levels import choose
from backend.lift import label_map, lift
from backend.render import Renderer
from backend.scene.types import Camera
from backend.select import Opened, open_result
from backend.select.clicking import Clicks
from backend.words.choosing import cover
from backend.words.detecting import NULL_WORDS
from backend.words.matching import strengths
from backend.words.search import find_words
from backend.words.views import Shown, sampled_centres, shown_in, views_of
from bench.everything import made_case
from bench.lift import truth_folder
from bench.simulated_detector import SimulatedDetector, look_alikes, numbered_picture, true_boxes
from protocol.errors import BadArgument
from protocol.splats import Splats

ABSENT = "absent"

Room = Annotated[Path, typer.Argument(metavar="ROOM", help="A scene with exact ids.")]
Made = Annotated[Path, typer.Argument(metavar="RESULT", help="A result of it.")]
HeldOut = Annotated[Path, typer.Argument(metavar="RESULT", help="A result of it, with held-out views.")]
PixelSeed = Annotated[int, typer.Option(help="Of the pixels.")]
Count = Annotated[int, typer.Option(help="Number of clicks.")]

app = typer.Typer(pretty_exceptions_enable=False)


@app.callback()
def _commands() -> None:
    """Selecting by words and by clicks."""


def right_labels(views: Sequence[Shown], truth: dict[str, NDArray[np.int64]]) -> dict[int, int]:
    """Return the label that each true object has in the result: the one of largest intersection over union."""
    return matches([truth[view.name] for view in views], [view.ids for view in views])


def one_view(word: str, view: Shown, picture: NDArray[np.uint8], detector: SimulatedDetector) -> int | None:
    """Return the object in the best box of one view, or None."""
    boxes = detector(picture, [word])[0]
    if not boxes:
        return None
    best = max(boxes, key=lambda box: box.score)
    found = strengths([best], view)
    return int(found.argmax()) if found.any() else None


@app.command()
def words(
    room: Room,
    result: Made,
    seed: Annotated[int, typer.Option(help="Of the detector.")] = 0,
    trials: Annotated[int, typer.Option(help="Words for objects, and words that match nothing.")] = 200,
) -> None:
    """Search for objects with the simulated detector."""
    files = find_maps(truth_folder(room))
    views, _ = views_of(open_result(result), result)
    views = [view for view in views if view.name in files]
    truth = {view.name: read_ids(files[view.name]) for view in views}
    labels = right_labels(views, truth)
    objects = sorted({int(k) for each in truth.values() for k in np.unique(each) if k})
    pictures = {name: numbered_picture(number, ids.shape) for number, (name, ids) in enumerate(truth.items())}
    boxes = [true_boxes(ids) for ids in truth.values()]
    named = {str(k): k for k in objects}
    rng = np.random.default_rng(seed)
    present, absent, single, best, looked = [], [], [], [], []
    shown = np.array([view.shown for view in views])
    reference = cover(shown[:, 1:], 1)[0]
    while len(present) < trials:
        alike = look_alikes(objects, rng)
        names = [str(k) for k in rng.permutation(objects)[: trials - len(present)]]
        for number, name in enumerate(names):
            nothing = f"{ABSENT} {number}"
            if number % 2:
                alike[nothing] = int(rng.choice(objects))
            detector = SimulatedDetector(boxes, named, alike, rng)
            right = labels.get(int(name))
            for word, scores in ((name, present), (nothing, absent)):
                answer = find_words([word], views, lambda view: pictures[view.name], detector, null_words=NULL_WORDS)[0]
                wanted = [right] if word == name else []
                scores.append([found.label for found in answer.found] == wanted)
                looked.append(len(answer.views))
            at = int(shown[:, right].argmax()) if right is not None else reference
            for view, scores in ((views[reference], single), (views[at], best)):
                picture = pictures[view.name]
                scores.append(
                    (
                        one_view(name, view, picture, detector) == right,
                        one_view(nothing, view, picture, detector) is None,
                    )
                )
    print(f"{len(objects)} objects, {len(labels)} of them in the result; {trials} words of each kind, seed {seed}")
    for way, right, nothing in (
        ("several views", np.mean(present), np.mean(absent)),
        ("one view", *np.mean(single, 0)),
        ("best view", *np.mean(best, 0)),
    ):
        print(f"{way:>14}: right object {right:.1%}, nothing for words that match nothing {nothing:.1%}")
    print(f"views looked in: mean {np.mean(looked):.1f}, at most {max(looked)} of {len(views)}")


class ClickPlace(NamedTuple):
    """A pixel to click, x from the left and y from the top, and the label that is right there."""

    camera: Camera
    x: float
    y: float
    label: int | None


def click_places(room: Path, result: Path, opened: Opened, seed: int, count: int) -> list[ClickPlace]:
    """Draw random pixels; see the module."""
    files = find_maps(truth_folder(room))
    stored = {name: file for name, file in find_predicted(result).items() if name in files}
    truth = {name: read_ids(files[name]) for name in stored}
    samples = sampled_centres(opened.splats.means, opened.labels, int(opened.labels.max()))
    views = [
        shown_in(name, opened.cameras[name], read_ids(file).astype(np.int32), samples) for name, file in stored.items()
    ]
    labels = right_labels(views, truth)
    rng = np.random.default_rng(seed)
    places = []
    while len(places) < count:
        view = views[int(rng.integers(len(views)))]
        ids = truth[view.name]
        inside = (minimum_filter(ids, 5) == maximum_filter(ids, 5)) & (ids > 0)
        if inside.any():
            k = int(rng.choice(np.unique(ids[inside])))
            y, x = rng.choice(np.argwhere(inside & (ids == k)))
            places.append(ClickPlace(view.camera, int(x) + 0.5, int(y) + 0.5, labels.get(k)))
    return places


def spread(milliseconds: Sequence[float]) -> str:
    return f"median {np.median(milliseconds):.1f} ms, at most {max(milliseconds):.1f} ms"


@app.command()
def clicks(room: Room, result: HeldOut, seed: PixelSeed = 0, count: Count = 200) -> None:
    """Click objects at random pixels."""
    opened = open_result(result)
    places = click_places(room, result, opened, seed, count)
    for gaussians in (len(opened.splats), 100_000, 1_000_000):
        times = max(1, round(gaussians / len(opened.splats)))
        clicked = Clicks(cut(opened.splats, times), np.repeat(opened.labels, times))
        right, seconds = 0, []
        for camera, x, y, label in places:
            begin = time.perf_counter()
            try:
                found, _ = clicked.click(camera, x, y)
            except BadArgument:
                found = 0
            seconds.append(1e3 * (time.perf_counter() - begin))
            right += found == label
        print(
            f"{len(clicked.labels):,} Gaussians, {count} clicks, seed {seed}: right object {right / count:.1%}; "
            f"{spread(seconds)}"
        )


@app.command()
def parts(
    objects: Annotated[int, typer.Option(help="Objects of the scene.")] = 25,
    seed: Annotated[int, typer.Option(help="Of the scene, its masks and the pixels.")] = 0,
    count: Count = 200,
) -> None:
    """Click the halves of objects: first the object, then the part."""
    case = made_case(objects, "halves", seed)
    assert case.test_parts is not None
    choice = choose(case.splats, case.train, seed=seed)
    labels = lift(case.splats, choice.views, seed=seed).labels
    part = choice.parts(case.splats, labels).part
    renderer = Renderer(case.splats, "cpu")
    names = [view.name for view in case.test]
    shown = {
        kind: [label_map(renderer, of, view.camera) for view in case.test] for kind, of in (("o", labels), ("p", part))
    }
    right_object = matches([view.mask for view in case.test], shown["o"])
    right_part = matches(case.test_parts, shown["p"])
    rng = np.random.default_rng(seed)
    found_object = found_part = 0
    for _ in range(count):
        number = int(rng.integers(len(names)))
        halves, view = case.test_parts[number], case.test[number]
        inside = (minimum_filter(halves, 5) == maximum_filter(halves, 5)) & (halves > 0)
        half = int(rng.choice(np.unique(halves[inside])))
        y, x = rng.choice(np.argwhere(inside & (halves == half)))
        clicked = Clicks(case.splats, labels, part)
        try:
            first, _ = clicked.click(view.camera, x + 0.5, y + 0.5)
            _, second = clicked.click(view.camera, x + 0.5, y + 0.5)
        except BadArgument:
            continue
        found_object += first == right_object.get(int(view.mask[y, x]))
        found_part += second > 0 and second == right_part.get(half)
    print(
        f"{len(case.splats):,} Gaussians, {objects} objects, {len(right_part)} of {2 * objects} halves are parts, "
        f"{count} clicks, seed {seed}: right object {found_object / count:.1%}, right part {found_part / count:.1%}"
    )


def matches(truth: Sequence[NDArray[np.integer]], found: Sequence[NDArray[np.integer]]) -> dict[int, int]:
    """Return the id of each true id in other maps of the same views: that of an intersection over union above 0.5."""
    kinds, others = (1 + max(int(each.max()) for each in maps) for maps in (truth, found))
    common = np.zeros((kinds, others), np.int64)
    for true, own in zip(truth, found, strict=True):
        common += np.bincount(true.ravel() * others + own.ravel(), minlength=kinds * others).reshape(kinds, others)
    iou = common / np.maximum(common.sum(1, keepdims=True) + common.sum(0, keepdims=True) - common, 1)
    return {k: int(iou[k, 1:].argmax()) + 1 for k in range(1, kinds) if iou[k, 1:].max(initial=0) > 0.5}


def cut(splats: Splats, times: int) -> Splats:
    """Return the Gaussians with each replaced by ``times`` smaller ones inside it."""
    if times == 1:
        return splats
    rng = np.random.default_rng(0)
    many = splats.pick(np.repeat(np.arange(len(splats)), times))
    offsets = rng.normal(size=many.means.shape) * np.exp(many.scales) * 0.7
    turned = Rotation.from_quat(np.roll(many.quats, -1, axis=1)).apply(offsets)
    smaller = (many.scales - np.log(times) / 2).astype(np.float32)
    return replace(many, means=(many.means + turned).astype(np.float32), scales=smaller)


if __name__ == "__main__":
    app()
