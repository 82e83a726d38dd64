"""The text protocol of LERF-Mask and 3D-OVS in one command: segment, search for each prompt, score the masks.

    python -m bench.text_prompts score ROOT --protocol lerf-mask --out OUT
    python -m bench.text_prompts score ROOT --protocol 3d-ovs --out OUT --masks M   # masks in folder M of each scene
    python -m bench.text_prompts make FOLDER --protocol lerf-mask                   # a small made scene
    python -m bench.text_prompts score FOLDER --protocol lerf-mask --out OUT --splats splats.ply --simulated

Each scene folder below ROOT, or ROOT itself, is segmented with its test views held out; a result that is in OUT is used
again. All prompts of a scene are searched for as ``backend select --text`` does, in the photographs of the training
views. The mask of a prompt in a test view is what its objects cover in the label map; a prompt without an answer gets
an empty mask. Scores follow backend/evaluate/lerf_mask.py and ovs.py. Objects never include background, so a class such
as "floor" of 3D-OVS needs a separate mask to be found.

In the published protocol of LERF-Mask the detector looks once, in the rendered image of the first test view, with the
objects inside its mask as the answer; ``bench.tables --detections`` does that with the masks of a detector.

The detector is one of transformers on this machine. ``--simulated`` uses that of bench/simulated_detector.py for made
folders, whose exact ids and names are known; its figures measure the search, not a detector.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.table import Table

from backend.evaluate.folders import find_maps, read_ids
from backend.evaluate.lerf_mask import LerfMaskScore, score_lerf_mask
from backend.evaluate.ovs import CLASSES, OvsScore, read_classes, score_ovs
from backend.evaluate.prompt_masks import mask_files
from backend.render import device_of
from backend.scene import load_scene, split_views
from backend.segmenter import find_weights
from backend.segmenter.library import check_installed
from backend.segmenter.weights import Weights
from backend.select import open_result
from backend.words import Answer, find_words
from backend.words.models import default_detector, load_detector, load_masker
from backend.words.views import Pictures, Shown, views_of
from bench.made_prompts import EXACT, Layout, read_names, write_made
from bench.prompts import LabelMaps, write_masks
from bench.published import LERF_MASK, OVS, Published
from bench.simulated_detector import SimulatedDetector, look_alikes, numbered_picture, true_boxes
from bench.tables import Device, Method, OurMasks, Out, Root, Seed, cell, console, masks_table, run, scenes_below
from protocol.errors import BadArgument, Fault, Unavailable
from protocol.job_request import JobRequest
from protocol.words import check_word

Search = Callable[[Path, Sequence[Shown], Pictures, Sequence[str]], list[Answer]]
"""Answers words: the scene folder, what its training views show, their photographs, and the words."""


@dataclass(frozen=True)
class Protocol:
    """A layout and its published figures.

    Attributes:
        title: of the data set.
        truth: folder of true masks in a scene.
        parts: what a scene folder contains.
    """

    title: str
    truth: str
    parts: tuple[str, ...]
    published: tuple[Published, ...]


PROTOCOLS: dict[Layout, Protocol] = {
    "lerf-mask": Protocol("LERF-Mask", "test_mask", ("sparse", "images_train", "test_mask"), LERF_MASK),
    "3d-ovs": Protocol("3D-OVS", "segmentations", ("sparse", "segmentations"), OVS),
}

app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)

ProtocolName = Annotated[Layout, typer.Option("--protocol", help="The data set whose layout and scores are used.")]


@app.callback()
def _commands() -> None:
    """The text protocol of LERF-Mask and 3D-OVS."""


@app.command()
def score(
    root: Root,
    protocol: ProtocolName,
    out: Out,
    model: Annotated[
        str | None, typer.Option(help="Detector: a folder or a name on the hub. Default: as select.")
    ] = None,
    masks_model: Annotated[str | None, typer.Option(help="Mask model for the boxes, such as SAM 2.1.")] = None,
    simulated: Annotated[bool, typer.Option("--simulated", help="Use the simulated detector (made folders).")] = False,
    masks: Annotated[str | None, typer.Option(help="Mask folder inside each scene, if not a usual one.")] = None,
    splats: Annotated[str | None, typer.Option(help="Gaussians inside each scene. Default: reconstruct.")] = None,
    method: Method = None,
    device: Device = "auto",
    seed: Seed = 0,
) -> None:
    """Answer every prompt of each scene by text and print the scores, below the published ones."""
    if simulated and (model or masks_model):
        raise BadArgument("--simulated excludes --model and --masks-model.", "Remove one of them.")
    search = simulated_search(seed) if simulated else detector_search(model, masks_model, device_of(device))
    kind, found = PROTOCOLS[protocol], {}
    for scene in scenes_below(root, kind.parts):
        request = JobRequest(
            splats=splats,
            masks=masks,
            method=method,
            test_views="own",
            device=device,
            seed=seed,
            meshes=False,
            gallery=False,
        )
        result = out / scene.name
        seconds = run(scene, result, request)
        answers, scored = score_scene(scene, result, protocol, search, device_of(device))
        edge = 100 * scored.mean_boundary_iou if isinstance(scored, LerfMaskScore) else None
        found[scene.name] = OurMasks(100 * scored.mean_iou, edge, seconds)
        console().print(scene_table(scene.name, answers, scored))
    how = "the simulated detector" if simulated else f"{model or default_detector()}"
    console().print(masks_table(kind.title, kind.published, found, f"Ours: objects chosen by text, with {how}."))


@app.command()
def make(
    folder: Annotated[Path, typer.Argument(help="A new scene folder.")],
    protocol: ProtocolName,
    objects: Annotated[int, typer.Option(min=2, help="Number of objects, at most 9.")] = 5,
    seed: Seed = 0,
) -> None:
    """Make a small scene folder for the simulated detector."""
    write_made(folder, protocol, objects=objects, seed=seed)


def score_scene(
    scene: Path, result: Path, protocol: Layout, search: Search, device: str = "cpu"
) -> tuple[dict[str, Answer], LerfMaskScore | OvsScore]:
    """Answer the prompts of a scene, write the masks to ``result/text`` and score them.

    Args:
        scene: a folder in the layout of the protocol.
        result: its result, with the test views held out.
        protocol: the layout and the scores.
        search: finds the objects.
        device: for rendering: "cpu" or "cuda".

    Returns:
        The answer of each prompt, and the scores.

    Raises:
        BadArgument: if there is no prompt, a prompt cannot be searched for, or the result shows no training view.
        Fault: if the scene, the result or a mask is damaged.
    """
    truth = scene / PROTOCOLS[protocol].truth
    wanted = list(mask_files(truth))
    prompts = read_classes(truth / CLASSES) if protocol == "3d-ovs" else list(dict.fromkeys(name for _, name in wanted))
    if not prompts:
        raise BadArgument(f"No masks of prompts were found in {truth}; expected <view>/<prompt>.png.")
    words = {prompt: check_word(prompt) for prompt in prompts}
    opened = open_result(result, device)
    train = {view.name: view for view in split_views(load_scene(scene).views, "own")[0] if view.name in opened.cameras}
    if not train:
        raise BadArgument(f"{result} shows no training view of {scene}.", "Choose another folder with --out.")
    opened = replace(opened, cameras={name: opened.cameras[name] for name in train})
    views, pictures = views_of(opened, result, train)
    found = {answer.word: answer for answer in search(scene, views, pictures, list(dict.fromkeys(words.values())))}
    answers = {prompt: found[word] for prompt, word in words.items()}
    chosen = {prompt: [each.label for each in answer.found] for prompt, answer in answers.items()}
    masks = result / "text"
    write_masks(LabelMaps(result, scene), [pair for pair in wanted if pair[1] in answers], chosen, masks)
    return answers, (score_lerf_mask if protocol == "lerf-mask" else score_ovs)(masks, scene)


def scene_table(name: str, answers: dict[str, Answer], scored: LerfMaskScore | OvsScore) -> Table:
    """Return the answer and the scores of each prompt of a scene, with their means."""
    edges = scored.boundary_iou if isinstance(scored, LerfMaskScore) else None
    looked = max(len(answer.views) for answer in answers.values())
    note = f"{scored.masks} masks; the detector looked in {looked} views."
    if isinstance(scored, OvsScore):
        note += f" Accuracy {100 * scored.accuracy:.1f} %."
    table = Table("prompt", "answer", title=f"{name}, percent", caption=note)
    table.add_column("IoU", justify="right")
    if edges is not None:
        table.add_column("boundary IoU", justify="right")
    for prompt, answer in answers.items():
        said = ", ".join(f"object {each.label} ({each.score:.3f})" for each in answer.found) or "none"
        scores = [each.get(prompt) for each in (scored.iou, edges) if each is not None]
        table.add_row(prompt, said, *(cell(None if value is None else 100 * value) for value in scores))
    table.add_section()
    means = [scored.mean_iou, *([scored.mean_boundary_iou] if isinstance(scored, LerfMaskScore) else [])]
    table.add_row("mean", "", *(cell(100 * value) for value in means))
    return table


def detector_search(model: str | None, masks_model: str | None, device: str) -> Search:
    """Return a search with models on this machine.

    Args:
        model: the detector; None for the first known one on this machine.
        masks_model: draws the thing in each box; None to compare boxes with objects.
        device: "cpu" or "cuda".

    Raises:
        Unavailable: if a model is not on this machine, or transformers is not installed.
        BadArgument: if a model is of another kind or damaged.
    """
    check_installed()
    detector, warnings = load_detector(_weights(model or default_detector()), device)
    masker = None if masks_model is None else load_masker(_weights(masks_model), device)
    for warning in warnings:
        print(f"bench.text_prompts: {warning}", file=sys.stderr)

    def search(_scene: Path, views: Sequence[Shown], pictures: Pictures, words: Sequence[str]) -> list[Answer]:
        return find_words(words, views, pictures, detector, masker=masker)

    return search


def simulated_search(seed: int) -> Search:
    """Return a search with the simulated detector in the exact ids of made folders; ``seed`` is of its chances."""

    def search(scene: Path, views: Sequence[Shown], _pictures: Pictures, words: Sequence[str]) -> list[Answer]:
        names, files = read_names(scene), find_maps(scene / EXACT)
        exact = [read_ids(files[view.name]) for view in views]
        pictures = {view.name: numbered_picture(i, exact[i].shape) for i, view in enumerate(views)}
        rng = np.random.default_rng(seed)
        numbers = look_alikes(list(names.values()), rng)
        alike = {name: numbers[str(label)] for name, label in names.items()}
        detector = SimulatedDetector([true_boxes(ids) for ids in exact], names, alike, rng)
        return find_words(words, views, lambda view: pictures[view.name], detector)

    return search


def _weights(name: str) -> Weights:
    found = find_weights(name)
    if found is None:
        raise Unavailable(
            f"The model {name} is not on this machine.",
            "Download it with backend select RESULT --text WORD --yes, adding --model or --masks-model, or give the "
            "folder of a local copy.",
        )
    return found


def main() -> None:
    try:
        app()
    except Fault as fault:
        sys.exit(f"bench.text_prompts: {fault}")


if __name__ == "__main__":
    main()
