"""The command line: `backend COMMAND`. Each command converts its arguments and calls one function.

Exit status: 0 success; 2 bad arguments or bad input, with one line on stderr; 130 interrupted, finished results are
kept.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from typer.exceptions import TyperException

from backend.cli_options import job_options
from backend.progress import Cancelled
from protocol.errors import BadArgument, Fault
from protocol.job_request import JobRequest, check

if TYPE_CHECKING:
    from backend.scene.types import MaskIds
    from backend.segmenter.fetch import Agree, Offer
    from backend.select import Opened
    from backend.words import Answer

INTERRUPTED = 130
RAY_ADDRESS = "http://127.0.0.1:8265"

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Lift inconsistent 2D masks to one label per Gaussian, for separate objects in Blender.",
)

SceneFolder = Annotated[Path, typer.Argument(metavar="SCENE", help="Scene folder, folder of photographs, or video.")]
Device = Annotated[Literal["auto", "cuda", "cpu"], typer.Option(help="Device for computations.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the random numbers.")]
MaskFolder = Annotated[Path | None, typer.Option(help="Mask folder or COCO file. Default: the folder of the layout.")]
Masks = Annotated[
    str | None,
    typer.Option(
        metavar="PATH|geometry",
        help='Mask folder, COCO file, or "geometry" to find objects without masks. Default: the folder of the layout.',
    ),
]
BackgroundIds = Annotated[
    list[int] | None, typer.Option("--background-id", metavar="ID", help="Mask id of background; repeatable.")
]
VoidIds = Annotated[
    list[int] | None, typer.Option("--void-id", metavar="ID", help="Mask id of unknown pixels; repeatable.")
]
OF_RECONSTRUCT = (
    "quality",
    "steps",
    "test_views",
    "device",
    "seed",
    "masks",
    "background_ids",
    "void_ids",
    "long_side",
    "max_gaussians",
    "steer",
    "gpus",
)
"""Options of a job that affect the Gaussians."""
Yes = Annotated[bool, typer.Option("--yes", help="Download the model without asking.")]
DetectorModel = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|DIR", help="Zero-shot detector: hub model or folder. Default: a known one on this machine."
    ),
]
PictureScene = Annotated[
    Path | None, typer.Option(help="Scene folder with the photographs for the overview. Default: rendered images.")
]
BoxModel = Annotated[
    str | None,
    typer.Option(metavar="NAME|DIR", help="Mask model such as SAM, for masks inside the detector's boxes."),
]


@app.command()
@job_options()
def segment(
    scene: SceneFolder,
    out: Annotated[Path, typer.Option(help="The result folder.")],
    request: JobRequest,
    yes: Yes = False,
) -> None:
    """Segment a scene folder into labelled objects, without a server."""
    from backend.pipeline import segment as run
    from backend.terminal import progress_bars

    checkpoint = out.with_name(f".{out.name}.checkpoint")
    with progress_bars() as progress:
        if request.masks_model is not None:
            check(request)
            from backend.segmenter import get_weights

            get_weights(request.masks_model, _agree(yes), progress)
        report = run(scene, out, request, checkpoint=checkpoint, progress=progress)
    checkpoint.unlink(missing_ok=True)
    _warn(report["warnings"])
    typer.echo(_how_solid(report))
    typer.echo(
        f"{report['objects']} objects in {report['gaussians']:,} Gaussians, {report['seconds']['total']:.0f} s "
        f"(Gaussians to labels {report['seconds']['gaussians_to_labels']:.1f} s): {out}"
    )
    _name_least_certain(out)


def _name_least_certain(folder: Path) -> None:
    """Print the objects of a result that are most likely wrong."""
    from protocol.result.table import least_certain, read_table

    rows = least_certain(read_table(folder).objects)
    if rows:
        names = ", ".join(f"{row.name} ({row.confidence:.0%})" for row in rows)
        typer.echo(f"Check these first, by confidence: {names}")


def _mask_ids(background: list[int] | None, void: list[int] | None) -> MaskIds:
    from backend.scene.types import MaskIds

    return MaskIds(tuple(background or ()), tuple(void or ()))


def _warn(warnings: Iterable[str]) -> None:
    for warning in warnings:
        typer.echo(f"warning: {warning}", err=True)


def _how_solid(report: dict) -> str:
    solidity, psnr = report["solidity"], report["psnr_held_out"]
    said = f"{solidity['surface_light']:.0%} of the light from surfaces, median opacity {solidity['opacity']:.2f}"
    if psnr is None:
        return said
    return f"{said}, {psnr:.1f} dB on held-out photographs, {solidity['psnr_training']:.1f} dB on training photographs"


@app.command()
def inspect(
    scene: SceneFolder,
    masks: Masks = None,
    background_id: BackgroundIds = None,
    void_id: VoidIds = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print how a scene folder is read. The folder is not changed."""
    from backend.scene.inspect import as_lines, inspect_scene

    folder = None if masks is None or masks == "geometry" else Path(masks)
    ids, geometry = _mask_ids(background_id, void_id), masks == "geometry"
    findings, fault = inspect_scene(scene, folder, ids, geometry, _model_here)
    for line in [json.dumps(findings)] if as_json else as_lines(findings):
        typer.echo(line)
    if fault is not None:
        raise fault


def _model_here() -> str | None:
    """Return the name of a known segmentation model that is on this machine, or None."""
    from backend.segmenter import find_known

    found = find_known()
    return None if found is None else found.name


@app.command()
def poses(
    photographs: Annotated[Path, typer.Argument(metavar="PHOTOS", help="A folder of photographs, or a video.")],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="The COLMAP workspace to write: images/ and sparse/0/.")],
    seed: Seed = 0,
) -> None:
    """Compute the poses of photographs or of the frames of a video."""
    from backend.mapping import write_workspace
    from backend.scene.unposed import find_unposed
    from backend.terminal import progress_bars

    source = find_unposed(photographs)
    if source is None:
        raise BadArgument(
            f"{photographs} is neither a video nor a folder of photographs without cameras.",
            "Give a video file or a folder that contains photographs or images/. To list its contents, run backend "
            "inspect.",
        )
    with progress_bars() as progress:
        made = write_workspace(source, out, seed, progress)
    _warn((*source.warnings, *made.warnings))
    typer.echo(f"{len(made.origins)} of {made.given} photographs got a pose: {out}")


@app.command()
def masks(
    scene: Annotated[Path, typer.Argument(metavar="SCENE", help="Scene folder with cameras.")],
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|DIR", help="Hub model or folder of a model. Default: a known model on this machine."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Mask folder. Default: masks in the scene.")] = None,
    views: Annotated[
        str | None,
        typer.Option(metavar="N|all", help="Number of photographs that get masks. Default: as many as lifting needs."),
    ] = None,
    points: Annotated[
        int, typer.Option(min=1, max=128, help="Points per image side, for SAM and its successors.")
    ] = 32,
    yes: Yes = False,
    device: Device = "auto",
) -> None:
    """Make masks of photographs by a segmentation model."""
    from backend.render import device_of
    from backend.segmenter import default_model, describe, get_weights, make_masks, scene_to_mask, views_to_mask
    from backend.terminal import progress_bars

    loaded, folder = scene_to_mask(scene, out)
    candidates, count = views_to_mask(loaded, views)
    with progress_bars() as progress:
        weights = get_weights(model or default_model(), _agree(yes), progress)
        typer.echo(f"{describe(weights.name, weights.bytes, weights.licence)}.", err=True)
        made = make_masks(
            candidates, folder, weights, count=count, device=device_of(device), per_side=points, progress=progress
        )
    _warn(made.warnings)
    kept = f", {made.kept} of them from an earlier run" if made.kept else ""
    typer.echo(f"{made.masks:,} masks made; {made.photographs} photographs have masks{kept}: {folder}")


def _agree(yes: bool) -> Agree:
    """Return the function that confirms the download of a model: ``--yes``, else a question at the terminal."""

    def agree(offer: Offer) -> bool:
        if yes:
            typer.echo(f"Downloading {offer}.", err=True)
            return True
        return sys.stdin.isatty() and typer.confirm(f"Download {offer}?", err=True)

    return agree


@app.command()
@job_options(only=OF_RECONSTRUCT)
def reconstruct(
    scene: SceneFolder,
    out: Annotated[Path, typer.Option(metavar="FILE.ply", help="The splat file to write.")],
    request: JobRequest,
) -> None:
    """Reconstruct Gaussians from photographs."""
    from backend.pipeline import reconstruct_to_file
    from backend.terminal import progress_bars

    if out.suffix.lower() != ".ply":
        raise BadArgument(f"The output {out} does not end in .ply.", "Give a file name that ends in .ply.")
    checkpoint = out.with_name(f".{out.name}.checkpoint")
    with progress_bars() as progress:
        count, psnr, warnings = reconstruct_to_file(scene, out, request, checkpoint=checkpoint, progress=progress)
    checkpoint.unlink(missing_ok=True)
    _warn(warnings)
    held_out = f", {psnr:.2f} dB on the held-out views" if psnr is not None else ""
    typer.echo(f"{count:,} Gaussians{held_out}: {out}")


@app.command()
def objects(
    splats: Annotated[
        Path, typer.Argument(metavar="FILE", help="Gaussians without cameras: .ply .spz .sog .splat .glb")
    ],
    out: Annotated[Path, typer.Option(help="The result folder.")],
    device: Device = "auto",
    seed: Seed = 0,
    gallery: Annotated[bool, typer.Option(help="Write images to gallery/; takes a few seconds.")] = True,
) -> None:
    """Find the objects in a splat file by geometry, without cameras, photographs or masks."""
    from backend.splats_alone import objects_of_splats
    from backend.terminal import progress_bars

    with progress_bars() as progress:
        report = objects_of_splats(splats, out, device=device, seed=seed, gallery=gallery, progress=progress)
    _warn(report["warnings"])
    count, total = report["gaussians"], report["seconds"]["total"]
    typer.echo(f"{report['objects']} objects in {count:,} Gaussians, {total:.0f} s: {out}")
    _name_least_certain(out)


@app.command()
def evaluate(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A result folder, or a folder of id maps or masks.")],
    truth: Annotated[
        Path, typer.Option(help="Folder of ground-truth id maps with the same names, or scene of a data set.")
    ],
    protocol: Annotated[
        Literal["scene", "messy-rooms", "lerf-mask", "3d-ovs"] | None,
        typer.Option(help="Protocol of a data set. Default: objects only, at the size of the ground truth."),
    ] = None,
    missing: Annotated[
        Literal["zero", "skip"] | None,
        typer.Option(help="lerf-mask and 3d-ovs: how to score missing predictions. Default: zero."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Score labels against ground-truth ids over the whole scene."""
    from backend.evaluate.protocols import as_lines, evaluate_by

    score = evaluate_by(protocol, folder, truth, missing)
    for line in [json.dumps(score)] if as_json else as_lines(score):
        typer.echo(line)


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A result folder.")],
    objects: Annotated[
        list[str], typer.Argument(metavar="OBJECT...", help="Ids or names from objects.json, all, or background.")
    ],
    to: Annotated[Path, typer.Option(metavar="FILE", help="Output file. Its ending sets the format.")],
    format_name: Annotated[
        str | None, typer.Option("--format", metavar="NAME", help="Format listed by `backend formats`.")
    ] = None,
    labels: Annotated[bool, typer.Option("--labels", help="Also write the label of each Gaussian.")] = False,
) -> None:
    """Export objects of a result as Gaussians, mesh, masks or labels."""
    from backend.objects.export import export_objects

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        written = export_objects(folder, objects, to, format_name, labels=labels)
    _warn(str(each.message) for each in caught if issubclass(each.category, UserWarning))
    typer.echo(f"{written.number:,} {written.what}: {to}")


@app.command()
def formats() -> None:
    """List export formats and what each of them stores."""
    from protocol.formats.registry import FORMATS

    for each in FORMATS:
        lacking = f" (needs {', '.join(each.missing)}, which is not installed)" if each.missing else ""
        typer.echo(f"{each.name:18} {' '.join(each.endings) or 'a folder':18} {each.keeps}{lacking}")


@app.command()
def mesh(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A result folder.")],
    objects: Annotated[list[str], typer.Argument(metavar="OBJECT...", help="Ids or names from objects.json, or all.")],
    watertight: Annotated[
        bool,
        typer.Option("--watertight", help="Close surfaces in regions that no camera saw, for printing and physics."),
    ] = False,
    triangles: Annotated[int, typer.Option(metavar="N", help="Largest number of triangles of a mesh.")] = 40_000,
    textures: Annotated[
        bool,
        typer.Option("--textures", help="Bake a texture for each mesh, in addition to vertex colours."),
    ] = False,
    scene: Annotated[
        Path | None, typer.Option(help="Scene folder with the photographs for the colours. Default: rendered images.")
    ] = None,
    device: Device = "auto",
) -> None:
    """Make the meshes of a result again."""
    from backend.objects.remesh import remesh
    from backend.terminal import progress_bars

    with progress_bars() as progress:
        count, notes = remesh(
            folder, objects, watertight=watertight, triangles=triangles, textures=textures, scene=scene,
            device=device, progress=progress,
        )  # fmt: skip
    _warn(notes)
    typer.echo(f"{count} objects meshed: {folder / 'meshes'}")


@app.command()
def redraw(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A result folder.")],
    scene: PictureScene = None,
    device: Device = "auto",
) -> None:
    """Draw the label maps, the overview and the turntable of a corrected or edited result again."""
    typer.echo(_redrawn(folder, scene, device))


def _redrawn(folder: Path, scene: Path | None, device: str) -> str:
    """Draw the images of labels of a result again; return a sentence about them."""
    from backend.gallery.redraw import redraw as run
    from backend.terminal import progress_bars

    with progress_bars() as progress:
        count, turns = run(folder, scene=scene, device=device, progress=progress)
    what = [f"{count} label maps", "the overview", *(["the turntable"] if turns else [])]
    return f"{', '.join(what[:-1])} and {what[-1]} were drawn again: {folder}"


@app.command()
def fill(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A result folder.")],
    objects: Annotated[list[str], typer.Argument(metavar="OBJECT...", help="Ids or names from objects.json, or all.")],
    out: Annotated[Path, typer.Option(help="The new result folder.")],
    device: Device = "auto",
) -> None:
    """Fill the holes beneath objects in the surfaces they stand on."""
    from backend.objects.fill import fill as run
    from backend.terminal import progress_bars

    with progress_bars() as progress:
        count, notes = run(folder, objects, out, device=device, progress=progress)
    for note in notes:
        typer.echo(note)
    typer.echo(f"{count:,} Gaussians added, marked as invented: {out}")


@app.command()
def select(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A result folder.")],
    pixel: Annotated[
        tuple[str, int, int] | None,
        typer.Option(metavar="VIEW X Y", help="A pixel of a view: column and row in its label map."),
    ] = None,
    gaussian: Annotated[int | None, typer.Option(help="A Gaussian: its row in splats.ply, from 0.")] = None,
    text: Annotated[str | None, typer.Option(help='Name of an object in English, such as "green apple".')] = None,
    scene: Annotated[
        Path | None, typer.Option(help="For --text: scene folder with the photographs. Default: rendered images.")
    ] = None,
    model: DetectorModel = None,
    masks_model: BoxModel = None,
    yes: Yes = False,
    threshold: Annotated[float, typer.Option(min=-1, max=1, help="Minimum cosine similarity of embeddings.")] = 0.7,
    hull: Annotated[bool, typer.Option(help="Also select Gaussians inside the convex hull.")] = True,
    out: Annotated[Path | None, typer.Option(help="Folder for selection.ply and a mask of every view.")] = None,
    device: Device = "auto",
) -> None:
    """Select an object by a pixel, a Gaussian or a text."""
    from backend.select import open_result, select_gaussian, select_objects, select_pixel
    from backend.select.write import check_empty, describe, write_selection
    from backend.terminal import progress_bars
    from backend.words.naming import describe_answer
    from protocol.words import check_word

    if sum(each is not None for each in (pixel, gaussian, text)) != 1:
        raise BadArgument(
            "Exactly one starting point is needed.", "Give exactly one of --pixel, --gaussian and --text."
        )
    if text is not None:
        text = check_word(text)
    if out is not None:
        check_empty(out)
    opened = open_result(folder, device)
    if text is not None:
        (answer,) = _search([text], folder, opened, scene, model, masks_model, yes, device)
        for line in describe_answer(folder, answer):
            typer.echo(line)
        if not answer.found:
            return
        selection = select_objects(opened, tuple(found.label for found in answer.found))
    elif gaussian is not None:
        selection = select_gaussian(opened, gaussian, threshold, hull)
    else:
        assert pixel is not None
        selection = select_pixel(opened, *pixel, threshold, hull)
    typer.echo(describe(opened, selection))
    if out is not None:
        with progress_bars() as progress:
            write_selection(opened, selection, out, progress)
        typer.echo(f"selection.ply and {len(opened.cameras)} masks: {out}")


def _search(
    words: list[str],
    folder: Path,
    opened: Opened,
    scene: Path | None,
    model: str | None,
    masks_model: str | None,
    yes: bool,
    device: str,
) -> list[Answer]:
    """Find objects by words, after the models have been found or downloaded."""
    from backend.render import device_of
    from backend.segmenter import describe, get_weights
    from backend.terminal import progress_bars
    from backend.words.models import default_detector
    from backend.words.naming import search_result

    with progress_bars() as progress:
        weights = get_weights(model or default_detector(), _agree(yes), progress)
        typer.echo(f"{describe(weights.name, weights.bytes, weights.licence)}.", err=True)
        masks = None if masks_model is None else get_weights(masks_model, _agree(yes), progress)
        answers, warnings = search_result(
            words, folder, opened, weights, masks=masks, scene=scene, device=device_of(device), progress=progress
        )
    _warn(warnings)
    return answers


@app.command()
def name(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A result folder.")],
    words: Annotated[Path, typer.Option(metavar="FILE", help="List of English names, one per line.")],
    scene: Annotated[
        Path | None, typer.Option(help="Scene folder with the photographs. Default: rendered images.")
    ] = None,
    model: DetectorModel = None,
    masks_model: BoxModel = None,
    yes: Yes = False,
    device: Device = "auto",
) -> None:
    """Name the objects of a result from a list of words."""
    from backend.select import open_result
    from backend.words import read_words
    from backend.words.naming import name_objects

    wanted = read_words(words)
    opened = open_result(folder, device)
    answers = _search(wanted, folder, opened, scene, model, masks_model, yes, device)
    named, total = name_objects(folder, answers)
    for label, given in named.items():
        typer.echo(f"{label:>5}  {given}")
    typer.echo(f"{len(named)} of {total} objects named: {folder / 'objects.json'}")


@app.command()
def correct(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A result folder.")],
    kind: Annotated[
        Literal["one", "two", "there", "background", "own"] | None,
        typer.Argument(
            metavar="KIND",
            help="one: both targets are one object; two: they are two objects; there: the first target belongs to the "
            "object of the second; background: the target is background; own: the target is a separate object.",
        ),
    ] = None,
    targets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TARGET...", help="Ids or names from objects.json, or Gaussians by their row in splats.ply: @12,40."
        ),
    ] = None,
    here: Annotated[bool, typer.Option("--here", help="Do not correct similar mistakes elsewhere.")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Undo the last correction.")] = False,
    corrections: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Use the corrections.json of another result of this capture.")
    ] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Change the result. Default: only print the changes.")] = False,
    scene: PictureScene = None,
    device: Device = "auto",
) -> None:
    """Correct the objects of a result and mistakes of the same kind elsewhere."""
    from backend import corrections as solving
    from backend.objects.photographs import photographed
    from backend.objects.result import read_cameras
    from protocol.result.corrections import read_correction_file
    from protocol.result.names import BACKUP

    if (kind is not None) + undo + (corrections is not None) != 1:
        raise BadArgument("Exactly one kind of correction is needed.", "Give KIND, --undo or --corrections.")
    if here and kind is None:
        raise BadArgument("--here has no effect without KIND.", "Remove it.")
    if scene is not None and not apply:
        raise BadArgument("--scene has no effect without --apply.", "Remove it, or add --apply.")
    if scene is not None:
        photographed(scene, read_cameras(folder), folder)
    if undo:
        change = solving.undo(folder, apply=apply)
    elif corrections is not None:
        change = solving.correct_from(folder, read_correction_file(corrections), apply=apply)
    else:
        assert kind is not None
        change = solving.correct(folder, kind, targets or [], here=here, apply=apply)
    for line in change.lines or ["No Gaussian changes its object."]:
        typer.echo(line)
    if not apply:
        typer.echo("Nothing was written. Add --apply to change the result.")
    elif (folder / BACKUP).is_dir():
        typer.echo(_redrawn(folder, scene, device))
        if outdated := solving.outdated_meshes(folder):
            ids = " ".join(map(str, outdated))
            typer.echo(f"Meshes of changed objects were removed. To make them again: backend mesh {folder} {ids}")


@app.command()
def serve(
    bind: Annotated[
        str,
        typer.Option(
            metavar="tcp://HOST:PORT", help="Address to listen at. Connections from other machines are encrypted."
        ),
    ] = "tcp://127.0.0.1:5757",
    data: Annotated[Path | None, typer.Option(help="Folder of uploads, jobs and results.")] = None,
    device: Device = "auto",
    encrypt: Annotated[bool, typer.Option("--encrypt", help="Also encrypt connections from this machine.")] = False,
    keep: Annotated[
        float, typer.Option(min=0, metavar="GB", help="Size limit of the store. The oldest captures are deleted first.")
    ] = 200.0,
    worker_memory: Annotated[
        float | None,
        typer.Option(min=0.5, metavar="GB", help="Memory limit of a job. Default: 90 % of this machine's memory."),
    ] = None,
    client_keep: Annotated[
        float | None,
        typer.Option(min=0, metavar="GB", help="Size limit of the files of one client. Default: that of the store."),
    ] = None,
    client_jobs: Annotated[
        int, typer.Option(min=1, metavar="N", help="Limit of the jobs of one client that wait or run.")
    ] = 1000,
    client_sessions: Annotated[
        int, typer.Option(min=1, metavar="N", help="Limit of the connections of one client.")
    ] = 64,
    executor: Annotated[
        Literal["local", "ray"], typer.Option(help="Where jobs run: on this machine, or in a Ray cluster.")
    ] = "local",
    ray_address: Annotated[
        str | None,
        typer.Option(metavar="http://HOST:PORT", help=f"Ray's dashboard, for --executor ray. Default: {RAY_ADDRESS}."),
    ] = None,
    log_format: Annotated[Literal["text", "json"], typer.Option(help="Format of the log on standard error.")] = "text",
    metrics: Annotated[
        str | None,
        typer.Option(metavar="[HOST:]PORT", help="Serve /metrics (Prometheus) and /health by HTTP. Default: off."),
    ] = None,
    end_with_input: Annotated[
        bool, typer.Option("--end-with-input", help="Stop when standard input is closed.")
    ] = False,
) -> None:
    """Run a server for Blender until interrupted."""
    from backend.server.server import ClientLimits
    from backend.server.server import serve as run

    if ray_address is not None and executor != "ray":
        raise BadArgument("--ray-address has no effect without --executor ray.", "Add it, or remove --ray-address.")

    run(
        bind=bind,
        data=data or _data_folder(),
        device=device,
        encrypted=encrypt,
        end_with_input=end_with_input,
        keep=round(keep * 1e9),
        limits=ClientLimits(None if client_keep is None else round(client_keep * 1e9), client_jobs, client_sessions),
        worker_memory=None if worker_memory is None else round(worker_memory * 1e9),
        log_format=log_format,
        metrics=metrics,
        ray_address=(ray_address or RAY_ADDRESS) if executor == "ray" else None,
    )


@app.command()
def status(
    data: Annotated[Path | None, typer.Option(help="Value of --data of the server.")] = None,
    server: Annotated[
        str | None, typer.Option(metavar="tcp://HOST:PORT", help="Address of a server on another machine.")
    ] = None,
    pairing: Annotated[
        str | None,
        typer.Option(
            envvar="SPLATLIFT_PAIRING",
            metavar="STRING",
            help="For --server: the pairing string of an encrypted server.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Print the status of a server: jobs, clients, disk space and start time.

    Exit status: 0 if a server runs, 1 if no server runs on the data folder, 2 if it does not answer.
    """
    from backend.server import status as look
    from protocol.pairing import parse

    if data is not None and server is not None:
        raise BadArgument("Both --data and --server were given.", "Give one of them.")
    if server is None:
        found = look.of_folder(data or _data_folder())
    else:
        found = look.of_server(server, None if pairing is None else parse(pairing))
    for line in [json.dumps(found)] if as_json else look.as_lines(found):
        typer.echo(line)
    return 0 if found["running_server"] else 1


@app.command()
def pairing(
    data: Annotated[Path | None, typer.Option(help="Value of --data of the server.")] = None,
    renew: Annotated[bool, typer.Option("--renew", help="Make a new string. The old one becomes invalid.")] = False,
    name: Annotated[
        str | None,
        typer.Option("--for", metavar="NAME", help="Make a string for one client. It is printed once and not kept."),
    ] = None,
    revoke: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Make the string of a client invalid and close its connections."),
    ] = None,
    list_all: Annotated[bool, typer.Option("--list", help="List the clients.")] = False,
) -> None:
    """Print the secret pairing string that Blender on another machine needs to connect to this server.

    Clients with separate strings cannot see each other's jobs and files.
    """
    from backend.server import pairing_strings as strings

    folder = data or _data_folder()
    if (name is not None) + (revoke is not None) + list_all > 1:
        raise BadArgument("--for, --revoke and --list exclude each other.", "Give one of them.")
    if renew and (revoke is not None or list_all):
        raise BadArgument("--renew has no effect with --revoke or --list.", "Remove it.")
    if list_all:
        for line in strings.listed(folder):
            typer.echo(line)
    elif revoke is not None:
        typer.echo(strings.revoke(folder, revoke))
    elif name is not None:
        typer.echo(strings.of_client(folder, name, renew=renew))
    else:
        text, notes = strings.shared(folder, renew=renew)
        typer.echo(text)
        for note in notes:
            typer.echo(note, err=True)


@app.command("check")
def check_store(
    store: Annotated[
        Path | None,
        typer.Argument(help="Folder of a server (--data), or a store alone, such as the cache of the add-on."),
    ] = None,
) -> int:
    """Check the files and jobs of a stopped server, and remove damaged files so that they are sent again.

    Exit status: 0 without problems, 1 if there were problems, 2 if the folder cannot be checked or repaired.
    """
    from backend.server.check import check as run

    return run(store or _data_folder(), typer.echo)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Output folder.")] = Path("demo"),
    seed: Seed = 0,
) -> None:
    """Run the whole pipeline on a small generated scene, without network, GPU or Blender window."""
    from backend.demo.run import run_demo
    from backend.terminal import progress_bars

    with progress_bars() as progress:
        lines = run_demo(out, seed=seed, progress=progress)
    for line in lines:
        typer.echo(line)


@app.command()
def doctor() -> None:
    """Check what is installed on this machine and how to add what is missing."""
    from backend.doctor import examine

    for finding in examine():
        typer.echo(f"{'ok ' if finding.good else 'NO '} {finding.what}: {finding.found}")
        if finding.remedy:
            typer.echo(f"      {finding.remedy}")


def main() -> None:
    """Run the command line and exit with its status."""
    try:
        # typer converts an interruption into this status without a message.
        status = app(standalone_mode=False) or 0
    except Fault as fault:
        _complain(str(fault))
        status = 2
    except TyperException as error:
        _complain(error.format_message().replace("\n", " "))
        status = 2
    except (KeyboardInterrupt, Cancelled, typer.Abort):
        status = INTERRUPTED
    if status == INTERRUPTED:
        _complain("Interrupted. Finished work is kept; run the same command to continue.")
    sys.exit(status)


def _data_folder() -> Path:
    """Return the default folder for a server's uploads, jobs, results and keys."""
    return Path.home() / ".splatlift"


def _complain(sentence: str) -> None:
    typer.echo(f"backend: {sentence}", err=True)


if __name__ == "__main__":
    main()
