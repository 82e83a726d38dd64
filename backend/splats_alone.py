"""Turns a file of Gaussians without cameras or photographs into a result folder: objects by geometry alone."""

from __future__ import annotations

import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from backend.compiled import report_compilation
from backend.gallery import turntable, write_gif
from backend.geometry import LIMITS, ground_normal, label
from backend.memory import peak_host_mib
from backend.objects import result
from backend.objects.table import object_table
from backend.progress import Progress, silent
from backend.render import device_of
from backend.scene.up import snapped
from protocol.errors import BadSplats
from protocol.formats.read import read_splats_and_warnings
from protocol.result.folder import check_out, whole_folder
from protocol.result.names import FORMAT, GALLERY, OVERVIEW, TURNTABLE
from protocol.result.report import write_report

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
        file: a splat file that :func:`protocol.formats.read.read_splats` can read.
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
    start = time.perf_counter()
    check_out(out)
    device = device_of(device)
    title = title or file.stem
    with report_compilation(progress) as progress:
        progress("scene", 0.0, "reading the Gaussians")
        splats, warnings = read_splats_and_warnings(file)
        splats = splats.without_columns()
        if not len(splats):
            raise BadSplats(f"{file} contains no Gaussian.", "Give a file of 3D Gaussians.")
        lifted = label(splats, device=device, seed=seed, progress=progress)
        labelled = time.perf_counter() - start
        up = snapped(ground_normal(splats, seed))
        with whole_folder(out) as folder:
            result.write_gaussians(folder, splats, lifted, progress)
            notes = result.write_meshes(folder, splats, lifted.labels, [], device, progress) if meshes else []
            result.write_objects(folder, title, lifted, seed, up, object_table(splats, lifted))
            result.write_labels(folder, {})
            result.write_cameras(folder, {})
            frames = turntable(splats, lifted.labels, up, device=device, progress=progress)
            frames[0].save(folder / OVERVIEW)
            if gallery:
                (folder / GALLERY).mkdir()
                write_gif(frames, folder / GALLERY / TURNTABLE)
            progress("write", 1.0)
            report = {
                "format": FORMAT,
                "scene": title,
                "layout": "splats",
                "warnings": [*said, *warnings, *notes, BY_GEOMETRY],
                "seconds": {
                    "gaussians_to_labels": round(labelled, 2),
                    "total": round(time.perf_counter() - start, 2),
                },
                "peak_memory_mib": {"host": peak_host_mib()},
                "gaussians": len(splats),
                "views": {"train": 0, "test": 0},
                "objects": int(lifted.labels.max(initial=0)),
                "device": device,
                "method": lifted.method,
                "settings": lifted.settings,
                "seed": seed,
                "splats": file.name,
                "versions": {name: version(name) for name in ("splatlift", "torch", "numpy", "numba")},
            }
            write_report(folder, report)
    return report
