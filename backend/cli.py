"""The command line: `backend COMMAND`. Each command gathers its arguments and calls one function.

Exit status: 0 done; 2 bad arguments or bad input, with one line on stderr; 130 interrupted, what was finished is kept.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from typer.exceptions import TyperException

from backend.progress import Cancelled
from protocol.errors import BadArgument, Fault, Unavailable

if TYPE_CHECKING:
    from backend.scene.types import MaskIds

INTERRUPTED = 130

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Lift inconsistent 2D masks to one label per Gaussian, and hand each object to Blender.",
)

SceneFolder = Annotated[
    Path, typer.Argument(metavar="SCENE", help="A scene folder in any known layout, or photographs, or a video.")
]
Device = Annotated[Literal["auto", "cuda", "cpu"], typer.Option(help="Where to compute.")]
TestViews = Annotated[str, typer.Option(metavar="none|last:F|every:N", help="Views held out of everything.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of every random choice.")]
Steps = Annotated[int | None, typer.Option(min=1, help="Reconstruction steps; left out, those of the quality.")]
Quality = Annotated[
    Literal["draft", "standard", "high"],
    typer.Option(help="What a reconstruction may take; a draft takes at most a third of the time of standard."),
]
Gpus = Annotated[int, typer.Option(min=1, help="Experimental: GPUs of this machine that reconstruct together.")]
MaskFolder = Annotated[Path | None, typer.Option(help="The mask folder, where it is not the layout's own.")]
BackgroundIds = Annotated[
    list[int] | None, typer.Option("--background-id", metavar="ID", help="A mask id that is background; repeatable.")
]
VoidIds = Annotated[
    list[int] | None, typer.Option("--void-id", metavar="ID", help="A mask id that says nothing is known; repeatable.")
]
Steer = Annotated[bool, typer.Option("--steer/--no-steer", help="Grow more Gaussians where masks show objects.")]


@app.command()
def segment(
    scene: SceneFolder,
    out: Annotated[Path, typer.Option(help="The result folder.")],
    splats: Annotated[Path | None, typer.Option(help="Gaussians of the scene: .ply .spz .splat")] = None,
    masks: Annotated[
        str | None,
        typer.Option(
            metavar="DIR|geometry",
            help='The mask folder, where it is not the layout\'s own; "geometry" finds objects without masks.',
        ),
    ] = None,
    background_id: BackgroundIds = None,
    void_id: VoidIds = None,
    method: Annotated[str | None, typer.Option(help="The lifting method; left out, the best.")] = None,
    test_views: TestViews = "none",
    device: Device = "auto",
    seed: Seed = 0,
    quality: Quality = "standard",
    steps: Steps = None,
    setting: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A setting of the method; repeatable.")
    ] = None,
    gallery: Annotated[bool, typer.Option(help="Make the pictures of gallery/, a few seconds' work.")] = True,
    refine: Annotated[
        bool | None,
        typer.Option(
            "--refine/--no-refine", help="Let labels sharpen the Gaussians' edges; by default not of --splats."
        ),
    ] = None,
    gpus: Gpus = 1,
    steer: Steer = True,
) -> None:
    """Turn a scene folder into labelled objects, in this process, without a server."""
    from backend.pipeline import SegmentRequest
    from backend.pipeline import segment as run
    from backend.terminal import progress_bars

    checkpoint = out.with_name(f".{out.name}.checkpoint")
    request = SegmentRequest(
        scene=scene,
        out=out,
        splats=splats,
        masks=None if masks is None or masks == "geometry" else Path(masks),
        geometry=masks == "geometry",
        mask_ids=_mask_ids(background_id, void_id),
        method=method,
        test_views=test_views,
        device=device,
        seed=seed,
        steps=steps,
        quality=quality,
        checkpoint=checkpoint,
        gallery=gallery,
        settings=parse_settings(setting or []),
        refine=refine,
        gpus=gpus,
        steer=steer,
    )
    with progress_bars() as progress:
        report = run(request, progress)
    checkpoint.unlink(missing_ok=True)
    _warn(report["warnings"])
    typer.echo(_how_solid(report))
    typer.echo(
        f"{report['objects']} objects in {report['gaussians']:,} Gaussians, {report['seconds']['total']:.0f} s "
        f"(Gaussians to labels {report['seconds']['gaussians_to_labels']:.1f} s): {out}"
    )


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
    return f"{said}, {psnr:.1f} dB on held-out photographs, {solidity['psnr_training']:.1f} dB on those of the training"


@app.command()
def inspect(
    scene: SceneFolder,
    masks: MaskFolder = None,
    background_id: BackgroundIds = None,
    void_id: VoidIds = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Tell what a scene folder is read as, before anything is computed; it is left as it is."""
    from backend.scene.inspect import as_lines, inspect_scene

    findings, fault = inspect_scene(scene, masks, _mask_ids(background_id, void_id))
    for line in [json.dumps(findings)] if as_json else as_lines(findings):
        typer.echo(line)
    if fault is not None:
        raise fault


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
            f"{photographs} is no folder of photographs without cameras and no video.",
            "Name a folder that holds photographs or images/, or a video file; backend inspect says what is there.",
        )
    with progress_bars() as progress:
        made = write_workspace(source, out, seed, progress)
    _warn((*source.warnings, *made.warnings))
    typer.echo(f"{len(made.origins)} of {made.given} photographs placed: {out}")


@app.command()
def reconstruct(
    scene: SceneFolder,
    out: Annotated[Path, typer.Option(metavar="FILE.ply", help="The splat file to write.")],
    quality: Quality = "standard",
    steps: Steps = None,
    test_views: TestViews = "none",
    device: Device = "auto",
    seed: Seed = 0,
    masks: MaskFolder = None,
    background_id: BackgroundIds = None,
    void_id: VoidIds = None,
    gpus: Gpus = 1,
    steer: Steer = True,
) -> None:
    """Turn photographs into Gaussians."""
    from backend.pipeline import reconstruct_to_file
    from backend.terminal import progress_bars

    if out.suffix.lower() != ".ply":
        raise BadArgument(f"The output {out} does not end in .ply.", "Name a .ply file.")
    checkpoint = out.with_name(f".{out.name}.checkpoint")
    with progress_bars() as progress:
        count, psnr, warnings = reconstruct_to_file(
            scene, out, masks, steps=steps, quality=quality, test_views=test_views, device=device, seed=seed,
            checkpoint=checkpoint, gpus=gpus, steer=steer, progress=progress,
            mask_ids=_mask_ids(background_id, void_id),
        )  # fmt: skip
    checkpoint.unlink(missing_ok=True)
    _warn(warnings)
    held_out = f", {psnr:.2f} dB on the held-out views" if psnr is not None else ""
    typer.echo(f"{count:,} Gaussians{held_out}: {out}")


@app.command()
def evaluate(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A result folder, or a folder of id maps or masks.")],
    truth: Annotated[Path, typer.Option(help="A folder of exact id maps with the same names, or a data set's scene.")],
    protocol: Annotated[
        Literal["scene", "messy-rooms", "lerf-mask", "3d-ovs"] | None,
        typer.Option(help="Score as the papers on a data set do; left out, objects alone at the size of the truth."),
    ] = None,
    missing: Annotated[
        Literal["zero", "skip"] | None,
        typer.Option(help="lerf-mask and 3d-ovs: what a mask that was not predicted counts; left out, zero."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Score labels against exact ids, over the whole scene."""
    from backend.evaluate.protocols import as_lines, evaluate_by

    score = evaluate_by(protocol, folder, truth, missing)
    for line in [json.dumps(score)] if as_json else as_lines(score):
        typer.echo(line)


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A result folder.")],
    objects: Annotated[list[str], typer.Argument(metavar="OBJECT...", help="Ids or names from objects.json, or all.")],
    to: Annotated[Path, typer.Option(metavar="FILE", help="A .ply splat file, or a mesh: .obj .glb .stl")],
) -> None:
    """Write one or several objects of a result to a file; the ending says which kind."""
    from backend.objects.export import export_objects

    count = export_objects(folder, objects, to)
    typer.echo(f"{count:,} {'Gaussians' if to.suffix.lower() == '.ply' else 'triangles'}: {to}")


@app.command()
def mesh(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A result folder.")],
    objects: Annotated[list[str], typer.Argument(metavar="OBJECT...", help="Ids or names from objects.json, or all.")],
    watertight: Annotated[
        bool, typer.Option("--watertight", help="Close surfaces where no camera saw them, for print and physics.")
    ] = False,
    triangles: Annotated[int, typer.Option(metavar="N", help="Triangles of a mesh, at most.")] = 40_000,
    device: Device = "auto",
) -> None:
    """Make the meshes of objects of a result anew."""
    from backend.objects.remesh import remesh
    from backend.terminal import progress_bars

    with progress_bars() as progress:
        count, notes = remesh(
            folder, objects, watertight=watertight, triangles=triangles, device=device, progress=progress
        )
    _warn(notes)
    typer.echo(f"{count} objects meshed: {folder / 'meshes'}")


@app.command()
def select(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A result folder.")],
    pixel: Annotated[
        tuple[str, int, int] | None,
        typer.Option(metavar="VIEW X Y", help="A pixel of a view: column and row in its label map."),
    ] = None,
    gaussian: Annotated[int | None, typer.Option(help="A Gaussian: its row in splats.ply, from 0.")] = None,
    threshold: Annotated[float, typer.Option(min=-1, max=1, help="Cosine of embeddings, at least.")] = 0.7,
    hull: Annotated[bool, typer.Option(help="Take all Gaussians inside the convex hull of those.")] = True,
    out: Annotated[Path | None, typer.Option(help="Write selection.ply and a mask of every view here.")] = None,
    device: Device = "auto",
) -> None:
    """Select the object that a pixel or a Gaussian is part of."""
    from backend.select import open_result, select_gaussian, select_pixel
    from backend.select.write import check_empty, describe, write_selection
    from backend.terminal import progress_bars

    if (pixel is None) == (gaussian is None):
        raise BadArgument("Nothing, or two things, are to be selected from.", "Give --pixel or --gaussian.")
    if out is not None:
        check_empty(out)
    opened = open_result(folder, device)
    if gaussian is not None:
        selection = select_gaussian(opened, gaussian, threshold, hull)
    else:
        assert pixel is not None
        selection = select_pixel(opened, *pixel, threshold, hull)
    typer.echo(describe(opened, selection))
    if out is not None:
        with progress_bars() as progress:
            write_selection(opened, selection, out, progress)
        typer.echo(f"selection.ply and {len(opened.cameras)} masks: {out}")


@app.command()
def serve(
    bind: Annotated[
        str, typer.Option(metavar="tcp://HOST:PORT", help="Where to listen; beyond this machine it encrypts.")
    ] = "tcp://127.0.0.1:5757",
    data: Annotated[Path | None, typer.Option(help="Where uploads, jobs and results are kept.")] = None,
    device: Device = "auto",
    encrypt: Annotated[bool, typer.Option("--encrypt", help="Encrypt on this machine too.")] = False,
    keep: Annotated[
        float, typer.Option(min=0, metavar="GB", help="What the store may hold; past that the oldest captures go.")
    ] = 200.0,
    end_with_input: Annotated[
        bool, typer.Option("--end-with-input", help="End when standard input does, as with the program that starts it.")
    ] = False,
) -> None:
    """Serve Blender over ZeroMQ until interrupted."""
    if sys.platform == "win32":
        raise Unavailable("The server does not run on Windows.", "Serve from Linux, macOS or WSL.")
    from backend.server.server import serve as run

    run(
        bind=bind,
        data=data or _data_folder(),
        device=device,
        encrypted=encrypt,
        end_with_input=end_with_input,
        keep=round(keep * 1e9),
    )


@app.command()
def pairing(
    data: Annotated[Path | None, typer.Option(help="The server's --data.")] = None,
    renew: Annotated[bool, typer.Option("--renew", help="Make a new one; the old one is of no use then.")] = False,
) -> None:
    """Print the pairing string, a secret, with which Blender on another machine may connect to the server here."""
    if sys.platform == "win32":
        raise Unavailable("The server does not run on Windows.", "Serve from Linux, macOS or WSL.")
    from backend.server import keys

    folder = data or _data_folder()
    known = keys.renew(folder) if renew else keys.load_or_make(folder)[0]
    typer.echo(known.pairing.text())
    if renew:
        typer.echo("A server that runs on this folder takes the old one until it is started again.", err=True)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Where everything is left.")] = Path("demo"),
    seed: Seed = 0,
) -> None:
    """Run the whole line on a small scene made on the spot: no network, no GPU, no Blender window."""
    from backend.demo.run import run_demo
    from backend.terminal import progress_bars

    with progress_bars() as progress:
        lines = run_demo(out, seed=seed, progress=progress)
    for line in lines:
        typer.echo(line)


@app.command()
def doctor() -> None:
    """Tell what this machine has, and what to do about what is missing."""
    from backend.doctor import examine

    for finding in examine():
        typer.echo(f"{'ok ' if finding.good else 'NO '} {finding.what}: {finding.found}")
        if finding.remedy:
            typer.echo(f"      {finding.remedy}")


def parse_settings(pairs: list[str]) -> dict[str, float | int | str | bool]:
    """Return settings written NAME=VALUE with their values as numbers or truth values where they read as such.

    Raises:
        BadArgument: if a pair has no name or no value.
    """
    settings: dict[str, float | int | str | bool] = {}
    for pair in pairs:
        name, sign, text = pair.partition("=")
        if not name or not sign or not text:
            raise BadArgument(f"The setting {pair!r} is not of the form NAME=VALUE.")
        try:
            value = json.loads(text)
        except json.JSONDecodeError:
            value = text
        settings[name] = value if isinstance(value, int | float | bool) else text
    return settings


def main() -> None:
    """Run the command line and leave with its exit status."""
    try:
        # typer turns an interruption into this status and says nothing.
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
        _complain("Interrupted; what was finished is kept, and the same command goes on from there.")
    sys.exit(status)


def _data_folder() -> Path:
    """Return where a server keeps uploads, jobs, results and its keys unless told otherwise."""
    return Path.home() / ".splatlift"


def _complain(sentence: str) -> None:
    typer.echo(f"backend: {sentence}", err=True)


if __name__ == "__main__":
    main()
