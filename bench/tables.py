"""The papers' tables once more, with our row: for whoever has the data sets on disk.

    python -m bench.tables messy-rooms ROOT --out OUT        # each scene folder below ROOT, or ROOT itself
    python -m bench.tables panoptic-lifting ROOT --out OUT   # ScanNet or Replica as Panoptic-Lifting prepares them

Each scene is reconstructed and segmented from its photographs and its own noisy masks with the test views of the data
set held out, and scored by the protocol of the papers (backend/evaluate/scene_pq.py). Published figures are copied from
where the footnotes say; they were not run again.
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
from backend.evaluate.scene_folders import last_frames, score_messy_rooms
from backend.evaluate.scene_pq import SceneScore
from backend.pipeline import SegmentRequest, segment
from backend.scene.json_files import read_json
from backend.scene.names import natural_key
from backend.terminal import progress_bars
from bench.semantics import score_with_classes
from protocol.errors import BadArgument, Fault

UNIC_LIFT = "Dhiman et al., UniC-Lift, Table 1"
UNIC_LIFT_2 = "Dhiman et al., UniC-Lift, Table 2"
PCF_LIFT = "Zhu et al., PCF-Lift (ECCV 2024), results.csv of its repository Runsong123/PCF-Lift"
WIDTH = 120
"""Characters of a line where no terminal says how many it has."""


@dataclass(frozen=True)
class Published:
    """The figures of one method: PQ^scene in percent by scene or data set, and who says so."""

    method: str
    source: str
    pq: dict[str, float]

    @property
    def mean(self) -> float:
        return sum(self.pq.values()) / len(self.pq)


ROOMS = tuple(f"{room}_{count}" for room in ("old_room", "large_corridor") for count in (25, 50, 100, 500))


def _rooms(*pq: float) -> dict[str, float]:
    return dict(zip(ROOMS, pq, strict=True))


MESSY_ROOMS = (
    Published("Panoptic-Lifting", UNIC_LIFT, _rooms(73.2, 69.9, 64.3, 51.0, 65.5, 71.0, 61.8, 49.0)),
    Published("Contrastive-Lift", UNIC_LIFT, _rooms(78.9, 75.8, 69.1, 55.0, 76.5, 75.5, 68.7, 52.5)),
    Published("OmniSeg3D-GS", UNIC_LIFT, _rooms(80.1, 72.4, 61.4, 46.8, 74.9, 79.6, 63.9, 48.5)),
    Published("Unified-Lift", UNIC_LIFT, _rooms(79.1, 72.2, 65.9, 53.9, 77.0, 78.9, 70.7, 54.1)),
    Published("UniC-Lift", UNIC_LIFT, _rooms(86.0, 79.1, 70.8, 57.4, 76.5, 72.3, 73.0, 56.7)),
    Published("PCF-Lift", PCF_LIFT, _rooms(80.9, 78.3, 74.8, 60.3, 81.0, 79.4, 74.0, 58.8)),
)

SCANNET = (
    Published("PNF, true boxes", UNIC_LIFT_2, {"ScanNet": 54.3, "Replica": 52.5}),
    Published("Panoptic-Lifting", UNIC_LIFT_2, {"ScanNet": 58.9, "Replica": 57.9}),
    Published("Contrastive-Lift", UNIC_LIFT_2, {"ScanNet": 62.3, "Replica": 59.1}),
    Published("Gaussian Grouping", UNIC_LIFT_2, {"ScanNet": 61.83, "Replica": 66.52}),
    Published("UniC-Lift", UNIC_LIFT_2, {"ScanNet": 63.0, "Replica": 88.7}),
)


@dataclass(frozen=True)
class Ours:
    """What one scene gave, and the seconds from folder to labels."""

    score: SceneScore
    seconds: float


app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)

Root = Annotated[Path, typer.Argument(help="A folder of scene folders, or one scene folder.")]
Out = Annotated[Path, typer.Option(help="Where results are kept; a scene that has its result there is not run again.")]
Method = Annotated[str | None, typer.Option(help="The lifting method; left out, the best.")]
Device = Annotated[Literal["auto", "cuda", "cpu"], typer.Option(help="Where to compute.")]
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
        request = SegmentRequest(
            scene, out / scene.name, method=method, test_views=f"last:{share}", device=device, seed=seed, meshes=False
        )
        seconds = run(request)
        found[scene.name] = Ours(score_messy_rooms(request.out, scene)[0], seconds)
    console().print(messy_rooms_table(found))


@app.command()
def panoptic_lifting(root: Root, out: Out, method: Method = None, device: Device = "auto", seed: Seed = 0) -> None:
    """ScanNet and Replica: PQ^scene over 21 classes, which the masks of m2f_semantics give to our objects."""
    found = {}
    for scene in scenes_below(root, ("intrinsic", "rs_semantics", "rs_instance", "splits.json")):
        request = SegmentRequest(
            scene, out / scene.name, method=method, test_views="own", device=device, seed=seed, meshes=False
        )
        seconds = run(request)
        found[scene.name] = Ours(score_with_classes(request.out, scene, device), seconds)
    console().print(panoptic_lifting_table(found))
    console().print(published_table(SCANNET, "Published, mean over the scenes of a data set, PQ^scene in percent"))


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
        table.add_row(row.method, *(f"{value:.1f}" for value in row.pq.values()))
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
        BadArgument: if there is none.
    """
    if not root.is_dir():
        raise BadArgument(f"The folder {root} does not exist.")
    candidates = [root, *sorted((f for f in root.iterdir() if f.is_dir()), key=lambda f: natural_key(f.name))]
    found = [folder for folder in candidates if all((folder / part).exists() for part in parts)]
    if not found:
        raise BadArgument(f"No scene was found in {root} or right below it: looked for {', '.join(parts)}.")
    return found


class Report(msgspec.Struct):
    """What is asked of ``report.json``."""

    method: str
    test_views: str
    seed: int
    seconds: dict[str, float]


def run(request: SegmentRequest) -> float:
    """Segment, unless the result is there already; return the seconds it took.

    Raises:
        BadArgument: if the result that is there was made with other settings. Fault: as :func:`segment`.
    """
    listing = request.out / "report.json"
    if not listing.is_file():
        with progress_bars() as progress:
            segment(request, progress)
    report = read_json(listing, Report)
    asked = (request.method or report.method, request.test_views, request.seed)
    if (report.method, report.test_views, report.seed) != asked:
        raise BadArgument(f"{request.out} holds a result with other settings.", "Name another folder with --out.")
    return report.seconds["total"]


def main() -> None:
    try:
        app()
    except Fault as fault:
        sys.exit(f"bench.tables: {fault}")


if __name__ == "__main__":
    main()
