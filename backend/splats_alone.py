"""Turns a file of Gaussians without cameras or photographs into a result folder: objects by geometry alone."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from backend.compiled import report_compilation
from backend.gallery import turntable, write_gif
from backend.geometry import LIMITS, ground_normal, label
from backend.lift.types import Lift
from backend.memory import peak_host_mib
from backend.objects import result
from backend.objects.table import object_table
from backend.progress import Progress, silent
from backend.render import device_of
from backend.run import Run
from backend.scene.up import snapped
from protocol.errors import BadSplats
from protocol.formats.read import read_splats_and_warnings
from protocol.formats.sog import META
from protocol.result.folder import check_out, whole_folder
from protocol.result.names import FORMAT, GALLERY, OVERVIEW, TURNTABLE
from protocol.result.report import write_report
from protocol.splats import Splats

BY_GEOMETRY = f"Objects were found by geometry alone, without cameras or masks. {LIMITS}"


def objects_of_splats(
    file: Path,
    out: Path,
    *,
    title: str | None = None,
    device: str = "auto",
    seed: int = 0,
    meshes: bool = True,
    gallery: bool = True,
    said: Sequence[str] = (),
    progress: Progress = silent,
) -> dict:
    """Turn a splat file into a result folder and return its report, as ``report.json`` holds it.

    The result has no views: no label maps, and no cameras in ``cameras.json``. Up is the normal of the largest plane.

    Args:
        file: a splat file or folder that :func:`protocol.formats.read.read_splats` can read.
        out: the result folder.
        title: name of the scene in the result; None for the file's name.
        device: "auto", "cuda" or "cpu".
        seed: random seed.
        meshes: whether each object also gets a mesh.
        gallery: whether a turntable of the objects is rendered too.
        said: warnings about the choice of the file, for the report.
        progress: told under the stages "scene", "geometry", "objects" and "write".

    Raises:
        BadSplats: if the file cannot be read, or contains no Gaussian.
        Fault: if the device is not usable, or the output folder contains anything else.
        Cancelled: from ``progress``. In all cases ``out`` is unchanged.
    """
    check_out(out)
    # An extracted SOG archive is named by its folder.
    title = title or (file.parent.name if file.name == META else file.stem)
    with report_compilation(progress) as reported:
        run = Run(device_of(device), seed, reported)
        with run.clock("gaussians_to_labels"):
            splats, warnings = _read(file, run)
            lifted = label(splats, device=run.device, seed=seed, progress=run.progress)
        with whole_folder(out) as folder:
            notes = _write_objects(folder, title, splats, lifted, meshes, gallery, run)
            run.progress("write", 1.0)
            report = _report(file, title, lifted, [*said, *warnings, *notes, BY_GEOMETRY], run)
            write_report(folder, report)
    return report


def _read(file: Path, run: Run) -> tuple[Splats, list[str]]:
    """Return the Gaussians of a file without extra columns, and warnings."""
    run.progress("scene", 0.0, "reading the Gaussians")
    splats, warnings = read_splats_and_warnings(file)
    if not len(splats):
        raise BadSplats(f"{file} contains no Gaussian.", "Give a file of 3D Gaussians.")
    return splats.without_columns(), warnings


def _write_objects(
    folder: Path, title: str, splats: Splats, lifted: Lift, meshes: bool, gallery: bool, run: Run
) -> list[str]:
    """Write everything but the report; return warnings about the meshes."""
    up = snapped(ground_normal(splats, run.seed))
    result.write_gaussians(folder, splats, lifted, run.progress)
    notes = result.write_meshes(folder, splats, lifted.labels, [], run.device, run.progress) if meshes else []
    result.write_objects(folder, title, lifted, run.seed, up, object_table(splats, lifted))
    result.write_labels(folder, {})
    result.write_cameras(folder, {})
    frames = turntable(splats, lifted.labels, up, device=run.device, progress=run.progress)
    frames[0].save(folder / OVERVIEW)
    if gallery:
        (folder / GALLERY).mkdir()
        write_gif(frames, folder / GALLERY / TURNTABLE)
    return notes


def _report(file: Path, title: str, lifted: Lift, warnings: Sequence[str], run: Run) -> dict:
    return {
        "format": FORMAT,
        "scene": title,
        "layout": "splats",
        "warnings": list(warnings),
        "seconds": {
            "gaussians_to_labels": round(run.clock.seconds["gaussians_to_labels"], 2),
            "total": round(run.clock.total(), 2),
        },
        "peak_memory_mib": {"host": peak_host_mib()},
        "gaussians": len(lifted.labels),
        "views": {"train": 0, "test": 0},
        "objects": int(lifted.labels.max(initial=0)),
        "device": run.device,
        "method": lifted.method,
        "settings": lifted.settings,
        "seed": run.seed,
        "splats": file.name,
        "versions": {name: version(name) for name in ("splatlift", "torch", "numpy", "numba")},
    }
