"""The papers' tables with our row, for data sets on disk.

    python -m bench.tables messy-rooms ROOT --out OUT        # each scene folder below ROOT, or ROOT itself
    python -m bench.tables panoptic-lifting ROOT --out OUT   # ScanNet or Replica as Panoptic-Lifting prepares them
    python -m bench.tables lerf-mask ROOT --out OUT          # LERF-Mask as Gaussian Grouping publishes it
    python -m bench.tables 3d-ovs ROOT --out OUT --masks M   # 3D-OVS with instance masks in the folder M of each scene

Each scene is reconstructed and segmented from its photographs and its own noisy masks with the test views of the data
set held out, and scored by the protocol of the papers (backend/evaluate). Published figures are copied from the sources
in the footnotes; they were not reproduced. The last two tables are of masks that text prompts name: bench/prompts.py
describes the replacement of the text detector, and bench/text_prompts.py makes the same tables with objects selected by
text.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from backend.evaluate.folders import find_maps
from backend.evaluate.lerf_mask import score_lerf_mask
from backend.evaluate.ovs import score_ovs
from backend.evaluate.scene_folders import last_frames, score_messy_rooms
from backend.evaluate.scene_pq import SceneScore
from backend.pipeline import segment
from backend.scene.json_files import read_json
from backend.terminal import progress_bars
from bench.prompts import write_prompt_masks
from bench.published import LERF_MASK, MESSY_ROOMS, OVS, ROOMS, SCANNET, Published
from bench.semantics import score_with_classes
from protocol.errors import BadArgument, Fault
from protocol.job_request import JobRequest
from protocol.natural_order import natural_key
from protocol.result.names import REPORT

WIDTH = 120
"""Characters of a line where no terminal says how many it has."""


@dataclass(frozen=True)
class Ours:
    """What one scene gave, and the seconds from folder to labels."""

    score: SceneScore
    seconds: float


app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)

Root = Annotated[Path, typer.Argument(help="A folder of scene folders, or one scene folder.")]
Out = Annotated[Path, typer.Option(help="Where results are kept; a scene that has its result there is not run again.")]
Method = Annotated[str | None, typer.Option(help="Lifting method. Default: the recommended one.")]
Device = Annotated[Literal["auto", "cuda", "cpu"], typer.Option(help="Device for computations.")]
Seed = Annotated[int, typer.Option(min=0)]


@app.callback()
def tables() -> None:
    """Re-run a published table on data sets that are on disk, and print our figures beside the published ones."""


@app.command()
def messy_rooms(root: Root, out: Out, method: Method = None, device: Device = "auto", seed: Seed = 0) -> None:
    """Messy-Rooms: PQ^scene over background and objects, scene by scene."""
    found = {}
    for scene in scenes_below(root, ("metadata.json", "instance", "semantic")):
        frames = list(find_maps(scene / "instance"))
        # "last:0.2" of a number of frames that 5 does not divide may round to another number than the protocol's.
        share = len(last_frames(frames)) / len(frames)
        request = JobRequest(method=method, test_views=f"last:{share}", device=device, seed=seed, meshes=False)
        result = out / scene.name
        seconds = run(scene, result, request)
        found[scene.name] = Ours(score_messy_rooms(result, scene)[0], seconds)
    console().print(messy_rooms_table(found))


@app.command()
def panoptic_lifting(root: Root, out: Out, method: Method = None, device: Device = "auto", seed: Seed = 0) -> None:
    """ScanNet and Replica: PQ^scene over 21 classes, which the masks of m2f_semantics give to our objects."""
    found = {}
    for scene in scenes_below(root, ("intrinsic", "rs_semantics", "rs_instance", "splits.json")):
        request = JobRequest(method=method, test_views="own", device=device, seed=seed, meshes=False)
        result = out / scene.name
        seconds = run(scene, result, request)
        found[scene.name] = Ours(score_with_classes(result, scene, device), seconds)
    console().print(panoptic_lifting_table(found))
    console().print(published_table(SCANNET, "Published, mean over the scenes of a data set, PQ^scene in percent"))


@dataclass(frozen=True)
class OurMasks:
    """What one scene of named masks gave, in percent, and the seconds from folder to labels."""

    iou: float
    boundary_iou: float | None
    seconds: float


Masks = Annotated[str | None, typer.Option(help="Mask folder inside each scene, where it is not a customary one.")]
Detections = Annotated[
    Path | None,
    typer.Option(help="SCENE/VIEW/PROMPT.png of a text detector; default: the truth of one view stands in for it."),
]


@app.command()
def lerf_mask(
    root: Root,
    out: Out,
    method: Method = None,
    device: Device = "auto",
    seed: Seed = 0,
    masks: Masks = None,
    detections: Detections = None,
) -> None:
    """LERF-Mask: mean IoU and boundary IoU of the masks that prompts name, views outside images_train held out."""
    request = JobRequest(masks=masks, method=method, test_views="own", device=device, seed=seed, meshes=False)
    found = {}
    for scene in scenes_below(root, ("sparse", "images_train", "test_mask")):
        chosen, seconds = prompt_masks(scene, out / scene.name, request, "test_mask", detections)
        score = score_lerf_mask(chosen, scene)
        found[scene.name] = OurMasks(100 * score.mean_iou, 100 * score.mean_boundary_iou, seconds)
    console().print(masks_table("LERF-Mask", LERF_MASK, found, one_view_note(detections)))


@app.command("3d-ovs")
def ovs(
    root: Root,
    out: Out,
    method: Method = None,
    device: Device = "auto",
    seed: Seed = 0,
    masks: Masks = None,
    detections: Detections = None,
) -> None:
    """3D-OVS: mean IoU of the masks of named classes, annotated views held out."""
    request = JobRequest(masks=masks, method=method, test_views="own", device=device, seed=seed, meshes=False)
    found = {}
    for scene in scenes_below(root, ("sparse", "segmentations")):
        chosen, seconds = prompt_masks(scene, out / scene.name, request, "segmentations", detections)
        found[scene.name] = OurMasks(100 * score_ovs(chosen, scene).mean_iou, None, seconds)
    console().print(masks_table("3D-OVS", OVS, found, one_view_note(detections)))


def prompt_masks(
    scene: Path, result: Path, request: JobRequest, truth: str, detections: Path | None
) -> tuple[Path, float]:
    """Segment a scene and write the masks that its prompts name; return their folder and the seconds of the result.

    Args:
        truth: the folder of the scene with the true masks.
        detections: boxes of a text detector, by scene; None if the truth of one view replaces it.
    """
    seconds = run(scene, result, request)
    chosen = result / "prompts"
    write_prompt_masks(result, scene, scene / truth, detections and detections / scene.name, chosen)
    return chosen, seconds


def one_view_note(detections: Path | None) -> str:
    """Return how our objects were chosen."""
    how = "of a detector" if detections else "of the truth in one view"
    return f"Ours: objects chosen by masks {how}, not by text."


def masks_table(title: str, published: tuple[Published, ...], found: dict[str, OurMasks], note: str) -> Table:
    """Return our masks below the published ones: IoU and, where the table has it, boundary IoU after a slash."""
    named = next(tuple(row.pq) for row in published if row.pq)
    scenes = (*named, *sorted(found.keys() - set(named), key=natural_key))
    bounds = any(row.boundary or row.given_mean[1] for row in published)
    heading = f"{title}, mean IoU{' / boundary IoU' if bounds else ''} in percent"
    table = Table(title=heading, caption=f"{note}\n{footnotes(published)}")
    table.add_column("method", no_wrap=True)
    for name in (*scenes, "mean"):
        table.add_column(name, justify="right")

    def both(iou: float | None, edge: float | None) -> str:
        return f"{cell(iou)} / {cell(edge)}" if bounds else cell(iou)

    for row in published:
        cells = (both(row.pq.get(scene), row.boundary.get(scene)) for scene in scenes)
        table.add_row(row.method, *cells, both(row.mean, row.boundary_mean))
    table.add_section()
    ours = [found.get(scene) for scene in scenes]
    whole = [one for one in (found.get(scene) for scene in named) if one is not None]
    complete = len(whole) == len(named)
    mean = sum(one.iou for one in whole) / len(named) if complete else None
    edges = [one.boundary_iou for one in whole if one.boundary_iou is not None]
    edge = sum(edges) / len(edges) if complete and edges else None
    table.add_row("ours", *(both(one.iou, one.boundary_iou) if one else "-" for one in ours), both(mean, edge))
    table.add_row("ours, seconds", *(cell(one.seconds if one else None, 0) for one in ours), "-")
    return table


def panoptic_lifting_table(found: dict[str, Ours]) -> Table:
    """Return our figures by scene and their mean."""
    table = Table(title="ScanNet and Replica, ours, PQ^scene in percent")
    table.add_column("scene")
    for name in ("PQ", "things", "stuff", "mean IoU", "seconds"):
        table.add_column(name, justify="right")
    for scene, ours in found.items():
        told = ours.score.as_dict()
        shown = (told[name] for name in ("pq", "pq_things", "pq_stuff", "mean_iou"))
        table.add_row(scene, *(cell(value) for value in shown), cell(ours.seconds, 0))
    table.add_section()
    table.add_row("mean", f"{100 * sum(ours.score.pq for ours in found.values()) / len(found):.1f}", *"----")
    return table


def published_table(rows: tuple[Published, ...], title: str) -> Table:
    table = Table("method", title=title, caption=footnotes(rows))
    for column in rows[0].pq:
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(row.method, *(cell(row.pq.get(column)) for column in rows[0].pq))
    return table


def messy_rooms_table(found: dict[str, Ours]) -> Table:
    """Return our figures by scene below the published ones; a mean only over all eight scenes of the data set."""
    table = Table(title="Messy-Rooms, PQ^scene in percent", caption=footnotes(MESSY_ROOMS))
    table.add_column("method", no_wrap=True)
    scenes = (*ROOMS, *sorted(found.keys() - set(ROOMS), key=natural_key))
    for name in (*scenes, "mean_of_8"):
        table.add_column(name.replace("_", "\n"), justify="right")
    for row in MESSY_ROOMS:
        table.add_row(row.method, *(cell(row.pq.get(scene)) for scene in scenes), cell(row.mean))
    table.add_section()
    ours = {scene: 100 * result.score.pq for scene, result in found.items()}
    mean = sum(ours[scene] for scene in ROOMS) / len(ROOMS) if ours.keys() >= set(ROOMS) else None
    things = {scene: result.score.as_dict()["pq_things"] for scene, result in found.items()}
    seconds = {scene: result.seconds for scene, result in found.items()}
    table.add_row("ours", *(cell(ours.get(scene)) for scene in scenes), cell(mean))
    table.add_row("ours, objects", *(cell(things.get(scene)) for scene in scenes), "-")
    table.add_row("ours, seconds", *(cell(seconds.get(scene), 0) for scene in scenes), "-")
    return table


def cell(value: float | None, digits: int = 1) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def console() -> Console:
    """Return a console as wide as the terminal, or wide enough for the tables where the output is a file."""
    terminal = Console()
    return terminal if terminal.is_terminal else Console(width=WIDTH)


def footnotes(rows: tuple[Published, ...]) -> str:
    methods: dict[str, list[str]] = {}
    for row in rows:
        methods.setdefault(row.source, []).append(row.method)
    return "\n".join(f"{', '.join(names)}: {source}." for source, names in methods.items())


def scenes_below(root: Path, parts: tuple[str, ...]) -> list[Path]:
    """Return ``root`` if it holds all ``parts`` of a scene folder, or else the folders right below it that do.

    Raises:
        BadArgument: if it does not exist.
    """
    if not root.is_dir():
        raise BadArgument(f"The folder {root} does not exist.")
    candidates = [root, *sorted((f for f in root.iterdir() if f.is_dir()), key=lambda f: natural_key(f.name))]
    found = [folder for folder in candidates if all((folder / part).exists() for part in parts)]
    if not found:
        raise BadArgument(f"No scene was found in {root} or right below it: looked for {', '.join(parts)}.")
    return found


class Report(msgspec.Struct):
    """The fields of ``report.json`` that are read."""

    method: str
    test_views: str
    seed: int
    seconds: dict[str, float]


def run(scene: Path, result: Path, request: JobRequest) -> float:
    """Segment, unless the result is there already; return the seconds it took.

    Raises:
        BadArgument: if the result that is there was made with other settings. Fault: as :func:`segment`.
    """
    listing = result / REPORT
    if not listing.is_file():
        with progress_bars() as progress:
            segment(scene, result, request, progress=progress)
    report = read_json(listing, Report)
    asked = (request.method or report.method, request.test_views, request.seed)
    if (report.method, report.test_views, report.seed) != asked:
        raise BadArgument(f"{result} holds a result with other settings.", "Choose another folder with --out.")
    return report.seconds["total"]


def main() -> None:
    try:
        app()
    except Fault as fault:
        sys.exit(f"bench.tables: {fault}")


if __name__ == "__main__":
    main()
